"""Several servers of one deployed model: how many there are, whose turn it is, and what happens when one fails."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud, until

pytestmark = pytest.mark.slow

QUICK = {"period_seconds": 1, "failure_threshold": 1}


def resources(count: int, **more: Any) -> dict[str, Any]:
    return {"machine_spec": {"machine_type": "n1-standard-4"}, "min_replica_count": count, **more}


def two(cloud: Cloud, *args: str, **container: Any) -> v1.Endpoint:
    endpoint = cloud.endpoint()
    model = cloud.model(*args, container=container)
    cloud.deploy(endpoint, model, {"0": 100}, id="1", dedicated_resources=resources(2)).result()
    return endpoint


def scale(cloud: Cloud, endpoint: v1.Endpoint, count: int) -> v1.DeployedModel:
    deployed = {"id": "1", "dedicated_resources": {"min_replica_count": count, "max_replica_count": 3}}
    mask = {"paths": ["dedicated_resources.min_replica_count", "dedicated_resources.max_replica_count"]}
    request = {"endpoint": endpoint.name, "deployed_model": deployed, "update_mask": mask}
    return cloud.endpoints.mutate_deployed_model(request=request).result().deployed_model


def pid(cloud: Cloud, endpoint: v1.Endpoint, *instances: str) -> int:
    return int(cloud.predict(endpoint, instances or ["x"]).predictions[0]["pid"])


def pids(cloud: Cloud, endpoint: v1.Endpoint, requests: int = 6) -> Counter[int]:
    return Counter(pid(cloud, endpoint) for _ in range(requests))


def available(cloud: Cloud, endpoint: v1.Endpoint) -> int:
    return int(cloud.read(endpoint).deployed_models[0].status.available_replica_count)


def test_replicas_answer_in_turn(cloud: Cloud) -> None:
    endpoint = two(cloud)

    answered = pids(cloud, endpoint)

    assert sorted(answered.values()) == [3, 3]
    assert available(cloud, endpoint) == 2


def test_a_small_machine_runs_fewer_replicas_than_asked_for_and_says_so(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(), {"0": 100}, dedicated_resources=resources(3)).result()

    deployed = cloud.read(endpoint).deployed_models[0]

    assert deployed.dedicated_resources.min_replica_count == 3
    assert deployed.status.available_replica_count == 2
    assert "at most 2 (--replicas-at-most)" in deployed.status.message


def test_a_deployment_is_scaled_up(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(), {"0": 100}, id="1").result()

    deployed = scale(cloud, endpoint, 2)

    assert deployed.dedicated_resources.min_replica_count == 2
    assert len(pids(cloud, endpoint)) == 2


def test_scaling_down_drops_no_request(cloud: Cloud) -> None:
    endpoint = two(cloud)

    with ThreadPoolExecutor(4) as pool:
        slow = [pool.submit(pid, cloud, endpoint, "slow") for _ in range(4)]
        until(lambda: sum(one.running() for one in slow), lambda running: running == 4)
        scale(cloud, endpoint, 1)
        answered = {one.result() for one in slow}

    assert answered
    assert len(pids(cloud, endpoint)) == 1
    assert available(cloud, endpoint) == 1


def test_a_crashed_replica_is_started_again_while_the_other_one_serves(cloud: Cloud) -> None:
    endpoint = two(cloud)
    before = set(pids(cloud, endpoint))

    with pytest.raises(exceptions.ServiceUnavailable):
        cloud.predict(endpoint, ["die"])
    meanwhile = set(pids(cloud, endpoint))
    after = until(lambda: set(pids(cloud, endpoint)), lambda found: len(found) == 2)

    assert meanwhile & before
    assert len(after & before) == 1


def test_a_replica_that_takes_no_connections_any_more_is_started_again(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    model = cloud.model(container={"liveness_probe": QUICK})
    cloud.deploy(endpoint, model, {"0": 100}).result()
    before = pid(cloud, endpoint, "go deaf")

    after = until(lambda: answer_of(cloud, endpoint), lambda found: found not in (None, before))

    assert after


def test_a_sick_replica_gets_no_requests(cloud: Cloud) -> None:
    endpoint = two(cloud, health_probe=QUICK)
    sick = pid(cloud, endpoint, "get sick")

    until(lambda: available(cloud, endpoint), lambda found: found == 1)

    assert sick not in pids(cloud, endpoint)


def test_a_replica_that_never_gets_healthy_fails_the_deployment(cloud: Cloud, tmp_path: Path) -> None:
    model = cloud.model("only-one", str(tmp_path / "first"), container={"deployment_timeout": "3s"})

    operation = cloud.deploy(cloud.endpoint(), model, dedicated_resources=resources(2))

    with pytest.raises(exceptions.GoogleAPICallError, match=r"never became ready: .* of 2 replicas"):
        operation.result()


def test_a_deployment_succeeds_with_as_many_replicas_as_it_requires(cloud: Cloud, tmp_path: Path) -> None:
    endpoint, model = cloud.endpoint(), cloud.model("only-one", str(tmp_path / "first"))

    some = resources(2, required_replica_count=1)
    cloud.deploy(endpoint, model, {"0": 100}, dedicated_resources=some).result()

    assert len(pids(cloud, endpoint, 2)) == 1


def answer_of(cloud: Cloud, endpoint: v1.Endpoint) -> int | None:
    try:
        return pid(cloud, endpoint)
    except exceptions.ServiceUnavailable:
        return None
