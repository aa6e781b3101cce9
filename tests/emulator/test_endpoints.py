from __future__ import annotations

from datetime import timedelta

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud, until


def test_an_endpoint_has_the_id_that_was_asked_for_once(cloud: Cloud) -> None:
    made = cloud.endpoint("lf-fleet-bot", labels={"a": "b"})

    with pytest.raises(exceptions.Conflict) as refused:
        cloud.endpoint("lf-fleet-bot")

    assert made.name.endswith("/endpoints/lf-fleet-bot")
    assert refused.value.response.json()["error"]["status"] == "ALREADY_EXISTS"


@pytest.mark.parametrize("endpoint_id", ["Upper", "ends-", "0123", "1234567890", "a" * 64])
def test_a_malformed_endpoint_id_is_refused(cloud: Cloud, endpoint_id: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Invalid endpoint id"):
        cloud.endpoint(endpoint_id)


def test_endpoints_are_filtered_by_labels_and_listed_in_pages(cloud: Cloud) -> None:
    for number in range(3):
        cloud.endpoint(f"e-{number}", labels={"number": str(number)})

    every = cloud.endpoints.list_endpoints(request={"parent": cloud.parent, "page_size": 2})
    one = cloud.endpoints.list_endpoints(request={"parent": cloud.parent, "filter": "labels.number=1"})
    by_id = cloud.endpoints.list_endpoints(request={"parent": cloud.parent, "filter": 'endpoint="e-2"'})

    assert [found.name[-1] for found in every] == ["2", "1", "0"]
    assert [found.name[-1] for found in one] == ["1"]
    assert [found.name[-1] for found in by_id] == ["2"]


def test_a_deployment_is_listed_only_when_its_server_is_healthy(cloud: Cloud) -> None:
    model, endpoint = cloud.model(), cloud.endpoint()

    operation = cloud.deploy(endpoint, model, {"0": 100}, id="1234567890")
    deployed = operation.result().deployed_model

    live = cloud.read(endpoint)
    assert operation.metadata.deployment_stage == 11
    assert deployed.id == "1234567890"
    assert [one.id for one in live.deployed_models] == ["1234567890"]
    assert dict(live.traffic_split) == {"1234567890": 100}
    assert (deployed.model, deployed.model_version_id, deployed.display_name) == (model.name, "1", "a model")
    assert live.etag != endpoint.etag


def test_a_generated_deployed_id_has_19_digits_and_no_split_gives_no_traffic(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()

    deployed = cloud.deploy(endpoint, cloud.model(image="test/stub")).result().deployed_model

    assert len(deployed.id) == 19
    assert dict(cloud.read(endpoint).traffic_split) == {}
    with pytest.raises(exceptions.BadRequest, match="doesn't have traffic_split"):
        cloud.predict(endpoint, [{}])


def test_a_server_that_exits_fails_the_operation_and_leaves_the_endpoint(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    good = cloud.deploy(endpoint, cloud.model(image="test/stub"), {"0": 100}, id="1").result().deployed_model

    operation = cloud.deploy(endpoint, cloud.model("dies"), {"0": 100}, id="2")
    with pytest.raises(exceptions.GoogleAPICallError, match="Model server exited unexpectedly") as failed:
        operation.result()

    assert "no weights here" in str(failed.value)
    live = cloud.read(endpoint)
    assert [one.id for one in live.deployed_models] == [good.id]
    assert dict(live.traffic_split) == {"1": 100}


def test_a_server_that_never_gets_healthy_fails_the_operation_in_time(cloud: Cloud) -> None:
    operation = cloud.deploy(cloud.endpoint(), cloud.model("sick", container={"deployment_timeout": "1s"}))

    with pytest.raises(exceptions.GoogleAPICallError, match="never became ready"):
        operation.result()

    assert operation.operation.error.code == 9


def test_an_unmapped_serving_image_fails_the_operation_and_says_how_to_map_it(cloud: Cloud) -> None:
    operation = cloud.deploy(cloud.endpoint(), cloud.model(image="acme/server:1"))

    with pytest.raises(exceptions.GoogleAPICallError, match=r"acme/server:1 maps to no program.*--programs"):
        operation.result()


def test_a_deployed_id_is_taken_while_its_deployment_is_in_flight_and_after(cloud: Cloud) -> None:
    endpoint, model = cloud.endpoint(), cloud.model()
    operation = cloud.deploy(endpoint, model, id="7")

    with pytest.raises(exceptions.Conflict):
        cloud.deploy(endpoint, model, id="7")
    operation.result()
    with pytest.raises(exceptions.Conflict):
        cloud.deploy(endpoint, model, id="7")


def test_an_endpoint_with_deployed_models_is_not_deleted(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(image="test/stub"), id="7").result()

    with pytest.raises(exceptions.BadRequest) as refused:
        cloud.endpoints.delete_endpoint(name=endpoint.name)
    assert refused.value.response.json()["error"]["status"] == "FAILED_PRECONDITION"

    cloud.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id="7").result()
    cloud.endpoints.delete_endpoint(name=endpoint.name).result()
    with pytest.raises(exceptions.NotFound):
        cloud.read(endpoint)


def test_a_model_with_traffic_is_undeployed_only_when_the_traffic_moves(cloud: Cloud) -> None:
    endpoint, model = cloud.endpoint(), cloud.model(image="test/stub")
    cloud.deploy(endpoint, model, {"0": 100}, id="1").result()
    cloud.deploy(endpoint, model, {"1": 90, "0": 10}, id="2").result()

    with pytest.raises(exceptions.BadRequest, match="still has traffic"):
        cloud.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id="1")
    request = {"endpoint": endpoint.name, "deployed_model_id": "1", "traffic_split": {"2": 100}}
    cloud.endpoints.undeploy_model(request=request).result()

    assert dict(cloud.read(endpoint).traffic_split) == {"2": 100}


def test_the_last_undeployment_leaves_an_empty_split(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(image="test/stub"), {"0": 100}, id="1").result()

    cloud.endpoints.undeploy_model(endpoint=endpoint.name, deployed_model_id="1").result()

    live = cloud.read(endpoint)
    assert (list(live.deployed_models), dict(live.traffic_split)) == ([], {})


def test_replica_counts_are_mutated_in_place(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    deployed = cloud.deploy(endpoint, cloud.model(image="test/stub"), id="1").result().deployed_model
    deployed.dedicated_resources.max_replica_count = 3

    request = {
        "endpoint": endpoint.name,
        "deployed_model": deployed,
        "update_mask": {"paths": ["dedicated_resources.max_replica_count"]},
    }
    cloud.endpoints.mutate_deployed_model(request=request).result()

    resources = cloud.read(endpoint).deployed_models[0].dedicated_resources
    assert (resources.min_replica_count, resources.max_replica_count) == (1, 3)
    assert resources.machine_spec.machine_type == "n1-standard-4"


def test_traffic_is_moved_by_an_update_and_must_sum_to_100(cloud: Cloud) -> None:
    endpoint, model = cloud.endpoint(), cloud.model(image="test/stub")
    for one in ("1", "2"):
        cloud.deploy(endpoint, model, id=one).result()

    def split(shares: dict[str, int]) -> v1.Endpoint:
        changed = v1.Endpoint(name=endpoint.name, traffic_split=shares)
        return cloud.endpoints.update_endpoint(endpoint=changed, update_mask={"paths": ["traffic_split"]})

    assert dict(split({"1": 40, "2": 60}).traffic_split) == {"1": 40, "2": 60}
    with pytest.raises(exceptions.BadRequest, match="sum to 100"):
        split({"1": 40, "2": 61})
    with pytest.raises(exceptions.BadRequest, match="not deployed here"):
        split({"1": 40, "9": 60})


def test_an_update_leaves_what_its_mask_does_not_name_and_checks_the_etag(cloud: Cloud) -> None:
    endpoint = cloud.endpoint(labels={"a": "1"}, description="kept")

    changed = v1.Endpoint(name=endpoint.name, display_name="ignored", labels={"b": "2"}, etag=endpoint.etag)
    updated = cloud.endpoints.update_endpoint(endpoint=changed, update_mask={"paths": ["labels"]})

    assert (updated.display_name, updated.description, dict(updated.labels)) == ("an endpoint", "kept", {"b": "2"})
    with pytest.raises(exceptions.Conflict, match="etag"):
        cloud.endpoints.update_endpoint(endpoint=changed, update_mask={"paths": ["labels"]})


def test_operations_are_read_listed_per_endpoint_and_waited_for(cloud: Cloud) -> None:
    endpoint, other = cloud.endpoint(), cloud.endpoint()
    operation = cloud.deploy(endpoint, cloud.model(), id="1")

    waited = cloud.endpoints.wait_operation({"name": operation.operation.name, "timeout": timedelta(seconds=20)})
    listed = cloud.endpoints.list_operations({"name": endpoint.name})

    assert waited.done
    assert listed.operations[0].name == operation.operation.name
    assert len(listed.operations) == 2
    assert len(cloud.endpoints.list_operations({"name": other.name}).operations) == 1


def test_a_replica_that_crashes_is_started_again(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    cloud.deploy(endpoint, cloud.model(), {"0": 100}).result()
    before = cloud.predict(endpoint, ["hello"]).predictions[0]["pid"]

    with pytest.raises(exceptions.ServiceUnavailable):
        cloud.predict(endpoint, ["die"])
    after = until(lambda: _pid(cloud, endpoint), bool)

    assert after != before


def _pid(cloud: Cloud, endpoint: v1.Endpoint) -> float | None:
    try:
        return cloud.predict(endpoint, ["hello"]).predictions[0]["pid"]
    except exceptions.ServiceUnavailable:
        return None


def test_an_update_can_be_an_operation(cloud: Cloud) -> None:
    endpoint = cloud.endpoint()
    changed = {"name": endpoint.name, "display_name": "another"}

    done = cloud.endpoints.update_endpoint_long_running(request={"endpoint": changed}).result()

    assert done.display_name == "another"
    assert cloud.read(endpoint).display_name == "another"
