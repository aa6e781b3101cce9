"""What is not ours in the same project: put there at the start, and looked at again after every step."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from reconciler.emulator.store import Store
from reconciler.emulator.wire.codec import parse
from tests.soak.cloud import PARENT, Cloud

LABELS = {"loraform-fleet": "other", "loraform-experiment": "ape", "loraform-identity": "0" * 20}


def move_in(cloud: Cloud) -> None:
    """A job, a model and a serving endpoint of another fleet, and an endpoint without labels."""

    def ask(method: str, body: dict[str, Any]) -> None:
        cloud.perform(method, parse({"parent": PARENT, **body}, f"{method.partition('.')[2]}Request"))

    pools = [{"containerSpec": {"imageUri": "train"}}]
    job = {"displayName": "x", "labels": {**LABELS, "loraform-role": "training"}, "jobSpec": {"workerPoolSpecs": pools}}
    ask("JobService.CreateCustomJob", {"customJob": job})
    model = {"displayName": "x", "labels": LABELS, "containerSpec": {"imageUri": "serve"}}
    ask("ModelService.UploadModel", {"modelId": "theirs", "model": model})
    for name, labels in (("theirs", {**LABELS, "loraform-role": "endpoint"}), ("nobodys", {})):
        ask("EndpointService.CreateEndpoint", {"endpointId": name, "endpoint": {"displayName": "x", "labels": labels}})
        deployed = {
            "model": f"{PARENT}/models/theirs",
            "displayName": "lf-" + "0" * 20,
            "dedicatedResources": {"machineSpec": {}, "minReplicaCount": 1},
        }
        deploy = {"endpoint": f"{PARENT}/endpoints/{name}", "deployedModel": deployed, "trafficSplit": {"0": 100}}
        request = parse(deploy, "DeployModelRequest")
        cloud.perform("EndpointService.DeployModel", request)
    cloud.jobs_go_on()
    cloud.deployments_go_on()


def footprint(store: Store, rows: Iterable[tuple[str, str]]) -> dict[str, bytes]:
    """The bytes of the rows of these kinds and names, by `kind name`; without those that are not there."""
    found = {f"{kind} {name}": store.get(kind, name) for kind, name in rows}
    return {key: row.body for key, row in found.items() if row}
