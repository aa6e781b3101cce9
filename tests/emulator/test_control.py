"""The control surface over HTTP, on a server of its own: faults, clock, reset, and who may not use it."""

from __future__ import annotations

import itertools
import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import httpx
import pytest

from reconciler.emulator.quotas import read_quotas
from tests.emulator.clients import Cloud, until
from tests.emulator_fixture import running_emulator

GUIDE = Path(__file__).parents[2] / "docs" / "emulator.md"
_NUMBERS = itertools.count(1)


@pytest.fixture(scope="module")
def own_url(tmp_path_factory: pytest.TempPathFactory, programs: Mapping[str, Sequence[str] | str]) -> Iterator[str]:
    with running_emulator(tmp_path_factory.mktemp("control"), programs, "--jobs-at-once", "4") as url:
        yield url


@pytest.fixture
def own(own_url: str) -> Iterator[Cloud]:
    yield Cloud(own_url, f"projects/own-{next(_NUMBERS)}/locations/us-central1")
    httpx.delete(f"{own_url}/emulator/faults")
    httpx.post(f"{own_url}/emulator/clock", json={"mode": "real"})


def order(cloud: Cloud, method: str, effect: dict[str, Any], **more: Any) -> dict[str, Any]:
    asked = {"match": {"method": method}, "effect": effect, **more}
    answered = httpx.post(f"{cloud.url}/emulator/faults", json=asked)
    assert answered.status_code == 200, answered.text
    found: dict[str, Any] = answered.json()
    return found


def test_a_fault_answers_with_googles_envelope_and_the_code_that_was_asked_for(own: Cloud) -> None:
    order(own, "JobService.ListCustomJobs", {"status": 502, "message": "Bad gateway."})

    struck = httpx.get(f"{own.url}/v1/{own.parent}/customJobs")
    after = httpx.get(f"{own.url}/v1/{own.parent}/customJobs")

    assert struck.json() == {"error": {"code": 502, "message": "Bad gateway.", "status": "INTERNAL"}}
    assert (struck.status_code, after.status_code) == (502, 200)


def test_faults_are_listed_and_withdrawn(own: Cloud) -> None:
    one = order(own, "JobService.*", {"status": 503}, times=None)
    order(own, "storage.*", {"lost": True})

    httpx.delete(f"{own.url}/emulator/faults/{one['id']}")
    left = httpx.get(f"{own.url}/emulator/faults").json()["faults"]
    httpx.delete(f"{own.url}/emulator/faults")

    assert [fault["match"]["method"] for fault in left] == ["storage.*"]
    assert httpx.get(f"{own.url}/emulator/faults").json() == {"faults": []}


def test_a_lost_response_drops_the_connection_after_the_effect(own: Cloud) -> None:
    order(own, "EndpointService.CreateEndpoint", {"lost": True})

    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"{own.url}/v1/{own.parent}/endpoints", json={"displayName": "x"})

    assert len(httpx.get(f"{own.url}/v1/{own.parent}/endpoints").json()["endpoints"]) == 1


def test_cloud_storage_can_be_struck_too(own: Cloud) -> None:
    place = f"{own.url}/storage/v1/b?project=p"

    order(own, "storage.POST", {"status": 503})
    refused = httpx.post(place, json={"name": "struck-bucket"})
    order(own, "storage.POST", {"lost": True})
    with pytest.raises(httpx.RemoteProtocolError):
        httpx.post(place, json={"name": "struck-bucket"})

    assert (refused.status_code, refused.json()["error"]["code"]) == (503, 503)
    assert httpx.get(f"{own.url}/storage/v1/b/struck-bucket").status_code == 200


def test_a_crashed_replica_is_started_again(own: Cloud) -> None:
    endpoint, model = own.endpoint(), own.model()
    own.deploy(endpoint, model, {"0": 100}).result()
    first = own.predict(endpoint, [1]).predictions[0]["pid"]
    order(own, "PredictionService.Predict", {"crash": True})
    body = {"instances": [1]}

    httpx.post(f"{own.url}/v1/{endpoint.name}:predict", json=body)
    again = until(
        lambda: httpx.post(f"{own.url}/v1/{endpoint.name}:predict", json=body),
        lambda answered: answered.status_code == 200 and answered.json()["predictions"][0]["pid"] != first,
    )

    assert again.json()["predictions"][0]["instances"] == [1]


def test_virtual_time_ends_a_job_at_its_timeout(own: Cloud) -> None:
    httpx.post(f"{own.url}/emulator/clock", json={"mode": "virtual"})
    job = own.job("sleep", "600")
    until(lambda: own.jobs.get_custom_job(name=job.name), lambda found: found.state.name == "JOB_STATE_RUNNING")

    moved = httpx.post(f"{own.url}/emulator/clock", json={"advance_s": 8 * 24 * 3600}).json()
    ended = own.ended(job)

    assert moved["mode"] == "virtual"
    assert moved["ahead_s"] > 7 * 24 * 3600
    assert "longer than its timeout" in ended.error.message


def test_a_clock_that_makes_no_sense_is_refused(own: Cloud) -> None:
    asked: list[dict[str, Any]] = [{"mode": "fast"}, {"advance_s": -1}, {"advance_s": "1"}, {"now": 3}]

    codes = [httpx.post(f"{own.url}/emulator/clock", json=one).status_code for one in asked]

    assert codes == [400] * 4


def test_the_overview_and_the_log_of_a_job_are_there_for_the_page(own: Cloud) -> None:
    job = own.job("echo", "hello")
    own.ended(job)
    number = job.name.rpartition("/")[2]

    seen = httpx.get(f"{own.url}/emulator/overview").json()
    log = httpx.get(f"{own.url}/emulator/jobs/{number}/log").json()
    rest = httpx.get(f"{own.url}/emulator/jobs/{number}/log?after={log['next']}").json()

    assert job.name in [one["name"] for one in seen["jobs"]]
    assert 'words ["hello"]' in log["text"]
    assert rest["job"]["name"] == job.name
    assert (rest["text"], rest["next"]) == ("", log["next"])


@pytest.mark.parametrize(
    "headers",
    [
        {"origin": "https://evil.example"},
        {"origin": "null"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site", "sec-fetch-mode": "cors"},
        {"host": "evil.example:80"},
        {"host": "evil.example", "origin": "http://evil.example"},
    ],
)
@pytest.mark.parametrize("path", ["/", "/emulator/health", "/v1/projects/p/locations/l/customJobs", "/storage/v1/b"])
def test_pages_from_elsewhere_are_refused(own: Cloud, headers: dict[str, str], path: str) -> None:
    answered = httpx.get(f"{own.url}{path}", headers=headers)

    assert answered.status_code == 403


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "none"},
        {"sec-fetch-site": "same-origin", "sec-fetch-mode": "cors"},
        {"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate", "sec-fetch-dest": "document"},
        {"host": "localhost:1234", "origin": "http://localhost:1234"},
        {"host": "[::1]:1234"},
        {"host": "vertex:8080"},
        {"host": "us-central1-aiplatform.googleapis.com"},
    ],
)
def test_the_own_page_and_programs_are_answered(own: Cloud, headers: dict[str, str]) -> None:
    answered = httpx.get(f"{own.url}/emulator/health", headers=headers)

    assert answered.status_code == 200


def test_the_page_runs_nothing_but_itself(own: Cloud) -> None:
    policy = httpx.get(own.url).headers["content-security-policy"]

    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy


def test_reset_leaves_nothing_behind(tmp_path: Path, programs: Mapping[str, Sequence[str] | str]) -> None:
    with running_emulator(tmp_path, programs) as url:
        cloud = Cloud(url, "projects/p/locations/us-central1")
        endpoint = cloud.endpoint("mine")
        cloud.deploy(endpoint, cloud.model(), {"0": 100}).result()
        running = cloud.job("sleep", "600")
        until(lambda: cloud.jobs.get_custom_job(name=running.name).state.name, lambda name: name == "JOB_STATE_RUNNING")
        httpx.post(f"{url}/storage/v1/b?project=p", json={"name": "a-bucket"})
        httpx.post(f"{url}/upload/storage/v1/b/a-bucket/o?name=x&uploadType=media", content=b"x")
        httpx.patch(f"{url}/storage/v1/b/a-bucket/o/x", json={"temporaryHold": True})
        order(cloud, "*", {"status": 503}, times=None)

        answered = httpx.post(f"{url}/emulator/reset", timeout=30)
        seen = httpx.get(f"{url}/emulator/overview").json()

        assert answered.status_code == 200
        assert seen.pop("now") > 0
        assert seen == {"jobs": [], "owners": [], "models": [], "endpoints": [], "deployments": []}
        assert httpx.get(f"{url}/storage/v1/b?project=p").json().get("items", []) == []
        assert cloud.ended(cloud.job("echo", "again")).state.name == "JOB_STATE_SUCCEEDED"


def test_quotas_are_read_when_the_server_starts(tmp_path: Path, programs: Mapping[str, Sequence[str] | str]) -> None:
    table = tmp_path / "quotas.json"
    table.write_text('[{"metric": "resource_management_requests", "limit": 1}]', encoding="utf-8")

    with running_emulator(tmp_path / "state", programs, "--quotas", str(table)) as url:
        found = [httpx.get(f"{url}/v1/projects/p/locations/l/customJobs") for _ in range(2)]

    codes = [(one.status_code, one.json().get("error", {}).get("status")) for one in found]
    assert codes == [(200, None), (429, "RESOURCE_EXHAUSTED")]


@pytest.mark.skipif(shutil.which("curl") is None, reason="the examples of docs/emulator.md were not run: no curl")
def test_the_examples_of_the_guide_work(tmp_path: Path) -> None:
    examples = "\n".join(re.findall(r"```sh\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL))

    with running_emulator(tmp_path, {}) as url:
        done = subprocess.run(["sh", "-ec", examples], env={**os.environ, "URL": url}, capture_output=True, timeout=60)

    assert done.returncode == 0, done
    assert len(examples.splitlines()) >= 10


def test_the_table_of_quotas_in_the_guide_is_read(tmp_path: Path) -> None:
    found = re.search(r"```json\n(.*?)```", GUIDE.read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    (tmp_path / "quotas.json").write_text(found[1], encoding="utf-8")

    assert len(read_quotas(tmp_path / "quotas.json")) == 6
