"""What the service shows of an object that a call of ours made: an echo through Google's types, no more."""

from __future__ import annotations

from typing import Any

from google.cloud import aiplatform_v1
from google.protobuf import json_format

from reconciler.backends.deployment import linked
from reconciler.backends.registry import KINDS
from reconciler.core.calls import Call
from reconciler.core.changes import Action
from reconciler.core.evaluations import with_evaluations
from reconciler.core.resources import LiveResource, Record, Resource, Role, Snapshot
from reconciler.core.verdict import GATE, label_of
from tests.backends.subjects import change, scene

PLACE = "projects/580378083368/locations/us-central1"


def answered(call: Call) -> dict[str, Any]:
    """What the service shows of the object that a create made: numbers as it writes them, its own name."""
    request = getattr(aiplatform_v1, f"{call.method}Request")
    parsed = json_format.ParseDict(call.request, request.pb(request()))
    shown = json_format.MessageToDict(parsed, preserving_proto_field_name=True)
    place = "projects/580378083368/locations/us-central1"
    if call.method == "DeployModel":
        labels = {"loraform-fleet": "acme", "loraform-experiment": "support-bot", "loraform-role": "endpoint"}
        return {"name": shown["endpoint"], "labels": labels, "deployed_models": [shown["deployed_model"]]}
    made = next(shown[key] for key in ("custom_job", "model", "endpoint") if key in shown)
    return {**made, "name": f"{place}/things/1"}


def standing(wanted: dict[Role, Resource], version: int = 1, serves: bool = True) -> Snapshot:
    """A snapshot in which all of `wanted` was created and is ready; with `serves` it also has the traffic."""
    gate = wanted[Role.DEPLOYMENT].gate if Role.DEPLOYMENT in wanted else None
    said = {GATE: label_of(gate.text, wanted[gate.metrics_of.role].stamp, passed=True)} if gate else {}
    made = {role: answered(create(resource, said if role is Role.MODEL else {})) for role, resource in wanted.items()}
    found: list[LiveResource] = list(KINDS["custom_job"].live({**made[Role.TRAINING], "state": 4}, "acme"))
    if Role.MODEL in made:
        model = {**made[Role.MODEL], "name": f"{PLACE}/models/lf-acme-support-bot", "version_id": str(version)}
        (deployed,) = made[Role.DEPLOYMENT]["deployed_models"]
        deployed = {**deployed, "model": model["name"], "model_version_id": str(version)}
        endpoint = {
            **made[Role.ENDPOINT],
            "name": f"{PLACE}/endpoints/lf-acme-support-bot",
            "deployed_models": [deployed],
            "traffic_split": {deployed["id"]: 100} if serves else {},
        }
        found += [*KINDS["model"].live(model, "acme"), *KINDS["endpoint"].live(endpoint, "acme")]
    training, measured = wanted[Role.TRAINING], wanted.get(Role.EVALUATION)
    outputs = {"artifact_uri": "gs://b/a", "evaluation": measured.identity if measured else ""}
    records = {training.stamp: Record(training.stamp, outputs, {"eval_loss": 1.0})}
    if merge := wanted.get(Role.MERGE):
        found += KINDS["custom_job"].live({**made[Role.MERGE], "name": f"{PLACE}/things/2", "state": 4}, "acme")
        records[merge.stamp] = Record(merge.stamp, {"artifact_uri": "gs://b/m"})
    return Snapshot(linked(tuple(found)), with_evaluations(records, ()))


def together(*snapshots: Snapshot) -> Snapshot:
    """Several snapshots as one; what stands in several of them stands once."""
    live = {(item.name, item.stamp): item for snapshot in snapshots for item in snapshot.live}
    records = {stamp: record for snapshot in snapshots for stamp, record in snapshot.records.items()}
    return Snapshot(tuple(live.values()), records)


def create(resource: Resource, stamps: dict[str, str] | None = None) -> Call:
    """The one call that creates a resource."""
    (call,) = KINDS[resource.kind].create(change(Action.CREATE, resource, stamps=stamps), scene())
    return call
