"""Cloud Audit Logs: mutating calls with their caller, as `entries:list` shows them; secrets are never kept."""

from __future__ import annotations

import json
from pathlib import Path

import httpx

from tests.emulator.logs import entries
from tests.emulator_fixture import running_emulator

PARENT = "projects/loraform-local/locations/us-central1"


def create(url: str, name: str, **headers: str) -> httpx.Response:
    body = {"displayName": name}
    return httpx.post(f"{url}/v1/{PARENT}/endpoints?endpointId={name}", json=body, headers=headers)


def test_who_changed_what_is_kept_over_a_restart_and_reads_are_not(tmp_path: Path) -> None:
    with running_emulator(tmp_path, {}) as url:
        create(url, "one", authorization="Bearer eve@example.com", **{"user-agent": "console"})
        create(url, "two", authorization="Bearer ya29.secret")
        create(url, "one")  # refused: it exists
        httpx.get(f"{url}/v1/{PARENT}/endpoints")
        httpx.patch(f"{url}/v1/{PARENT}/endpoints/two?updateMask=displayName", json={"displayName": "2"})
    with running_emulator(tmp_path, {}) as url:
        found = entries(url, 'protoPayload.serviceName="aiplatform.googleapis.com"')["entries"]
        updates = entries(url, 'protoPayload.methodName:"UpdateEndpoint" AND protoPayload.resourceName:"endpoints/two"')
        others = entries(url, 'resource.type="ml_job" AND resource.labels.job_id="7"')["entries"]

    told = [
        (
            item["protoPayload"]["methodName"].rsplit(".", 1)[-1],
            item["protoPayload"]["authenticationInfo"]["principalEmail"],
        )
        for item in found
    ]
    assert told == [
        ("CreateEndpoint", "eve@example.com"), ("CreateEndpoint", "anonymous"), ("UpdateEndpoint", "anonymous"),
    ]  # fmt: skip
    assert found[0]["protoPayload"]["requestMetadata"] == {"callerSuppliedUserAgent": "console"}
    assert [item["protoPayload"]["resourceName"] for item in updates["entries"]] == [f"{PARENT}/endpoints/two"]
    assert others == []
    assert "secret" not in (tmp_path / "logs/audit.jsonl").read_text()
    assert json.dumps(found).count("cloudaudit.googleapis.com%2Factivity") == 3
