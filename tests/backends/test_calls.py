"""Every call of every kind fits Google's own request type, and says what it should."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from google.cloud import aiplatform_v1
from google.protobuf import json_format

from reconciler.backends.endpoint import resume, suspend
from reconciler.backends.registry import KINDS
from reconciler.core.calls import Call
from reconciler.core.changes import Action
from reconciler.core.errors import LoraformError
from reconciler.core.resources import LiveResource, Role
from schemas.serving_spec import ServingSpec
from schemas.training_spec import TrainingSpec
from tests.backends.answers import answered
from tests.backends.payload import payload
from tests.backends.subjects import CLOUD, LOCAL, PLAIN, RICH, change, merged, resources, scene

OLD, NEW, STRANGER = "1735520984", "4821906375", "7361250984417208320"


def live(name: str, role: Role = Role.DEPLOYMENT, newest: bool = True) -> LiveResource:
    """The newest (or oldest) live resource of a role in a payload."""
    kind = {Role.TRAINING: "custom_job", Role.MODEL: "model"}.get(role, "endpoint")
    found = [item for item in KINDS[kind].live(payload(name), "acme") if item.address.role is role]
    return sorted(found, key=lambda item: item.created)[-1 if newest else 0]


def every_call() -> list[tuple[str, Call]]:
    """(a word for it, call) of all verbs of all kinds, for a plain and a rich experiment, here and in the cloud."""
    found: list[tuple[str, Call]] = []
    for target in (LOCAL, CLOUD):
        for base in (PLAIN, RICH):
            for role, resource in resources(base=base, target=target).items():
                calls = KINDS[resource.kind].create(change(Action.CREATE, resource), scene(target))
                found += [(f"create {role}", call) for call in calls]
    wanted = resources({"serving": {"min_replica_count": 2, "max_replica_count": 5}}, base=RICH)
    lives = {
        Role.TRAINING: live("custom_job-running", Role.TRAINING),
        Role.MODEL: live("model-ready", Role.MODEL),
        Role.ENDPOINT: live("endpoint-rolling", Role.ENDPOINT),
        Role.DEPLOYMENT: live("endpoint-shared"),
    }
    for role, before in lives.items():
        kind = KINDS[before.kind]
        found += [(f"delete {role}", call) for call in kind.delete(change(Action.DELETE, before=before), scene())]
        if role is Role.TRAINING:
            found += [(f"cancel {role}", call) for call in kind.cancel(change(Action.CANCEL, before=before), scene())]
        else:
            update = change(Action.UPDATE, wanted[role], before, stamps={"loraform-gate": "passed-1"})
            found += [(f"update {role}", call) for call in kind.update(update, scene())]
    again = change(Action.CREATE, wanted[Role.MODEL], replaces=(lives[Role.MODEL],))
    found += [("create model version", call) for call in KINDS["model"].create(again, scene())]
    found += [("suspend", call) for call in suspend(lives[Role.ENDPOINT], (lives[Role.DEPLOYMENT],))]
    found += [("resume", call) for call in resume(live("endpoint-suspended", Role.ENDPOINT))]
    return found


@pytest.mark.parametrize(("word", "call"), every_call(), ids=lambda value: value if isinstance(value, str) else "")
def test_every_call_fits_google_s_request_type(word: str, call: Call) -> None:
    request = getattr(aiplatform_v1, f"{call.method}Request")

    parsed = json_format.ParseDict(call.request, request.pb(request()), ignore_unknown_fields=False)

    assert hasattr(getattr(aiplatform_v1, f"{call.service}Client"), snake(call.method))
    assert parsed.ByteSize() > 0


def test_the_walk_meets_every_method_that_the_backends_know() -> None:
    methods = {call.method for _, call in every_call()}

    assert methods == {
        "CreateCustomJob",
        "CancelCustomJob",
        "DeleteCustomJob",
        "UploadModel",
        "UpdateModel",
        "DeleteModelVersion",
        "CreateEndpoint",
        "UpdateEndpoint",
        "DeleteEndpoint",
        "DeployModel",
        "MutateDeployedModel",
        "UndeployModel",
    }


@pytest.mark.parametrize("role", list(Role))
def test_everything_with_labels_carries_who_and_what_it_is(role: Role) -> None:
    resource = resources({"serving": {"form": "merged"}}, base=RICH)[role]

    (call,) = KINDS[resource.kind].create(change(Action.CREATE, resource), scene())

    if role is Role.DEPLOYMENT:
        assert body(call)["display_name"] == f"lf-{resource.stamp}"
        return
    labels = body(call)["labels"]
    assert labels["loraform-fleet"] == "acme"
    assert labels["loraform-experiment"] == "support-bot"
    assert labels["loraform-role"] == str(role)
    assert labels["loraform-identity"] == resource.identity[:20]
    assert (labels["loraform-commit"], labels["loraform-plan"]) == ("4be21d", "7f3a9c")
    assert labels["team"] == "support"
    assert labels["loraform-protect"] == "true"


def test_what_was_created_is_recognised_as_the_same() -> None:
    for resource in resources(base=RICH).values():
        (call,) = KINDS[resource.kind].create(change(Action.CREATE, resource), scene())
        kind = KINDS["endpoint" if resource.kind == "deployment" else resource.kind]

        seen = kind.live(answered(call), "acme")

        assert (resource.address, resource.stamp) in {(item.address, item.stamp) for item in seen}


def test_settings_that_were_created_read_back_as_desired() -> None:
    wanted = resources(base=RICH)
    (endpoint_call,) = KINDS["endpoint"].create(change(Action.CREATE, wanted[Role.ENDPOINT]), scene())
    (deploy_call,) = KINDS["deployment"].create(change(Action.CREATE, wanted[Role.DEPLOYMENT]), scene())

    endpoint = KINDS["endpoint"].live(answered(endpoint_call), "acme")[0]
    deployment = KINDS["deployment"].live(answered(deploy_call), "acme")[0]

    assert dict(endpoint.spec) == dict(wanted[Role.ENDPOINT].spec)
    assert dict(deployment.spec) == {**wanted[Role.DEPLOYMENT].spec, "traffic": 0}


def test_the_trainer_can_read_its_argument() -> None:
    resource = resources(base=RICH)[Role.TRAINING]

    (call,) = KINDS["custom_job"].create(change(Action.CREATE, resource), scene())

    flag, text = body(call)["job_spec"]["worker_pool_specs"][0]["container_spec"]["args"]
    spec = TrainingSpec.model_validate_json(text)
    assert flag == "--spec"
    assert spec.identity == resource.identity
    assert (spec.provenance.commit, spec.provenance.plan) == ("4be21d", "7f3a9c")
    assert spec.provenance.manifest == "experiments/support-bot.yaml"
    assert spec.method == "qlora"
    assert spec.quantization == {
        "load_in_4bit": True,
        "bnb_4bit_quant_type": "nf4",
        "bnb_4bit_use_double_quant": True,
    }
    assert spec.data.eval == "gs://acme-llm/support/eval.jsonl#1763600000000001"


def test_the_trainer_is_told_of_the_keys_about_rows_that_are_given_and_of_no_others() -> None:
    given = {"format": "chat", "default_context": "A dog.", "on_bad_row": "skip", "max_rows": 9, "deduplicate": True}
    told = []
    for data in ({}, given):
        resource = resources({"data": data})[Role.TRAINING]
        (call,) = KINDS["custom_job"].create(change(Action.CREATE, resource), scene())
        told.append(json.loads(body(call)["job_spec"]["worker_pool_specs"][0]["container_spec"]["args"][1])["data"])

    without, with_them = told
    assert set(without) == {"train", "eval", "format"}
    assert with_them == {**without, **given}


def test_the_server_can_read_its_argument() -> None:
    resource = resources({"adapter": {"rank_pattern": {"q_proj": 64}}}, base=RICH)[Role.MODEL]

    (call,) = KINDS["model"].create(change(Action.CREATE, resource), scene())

    spec = ServingSpec.model_validate_json(body(call)["container_spec"]["args"][1])
    assert (spec.form, spec.rank, spec.engine) == ("adapter", 64, {"max_model_len": 4096})
    assert spec.generation == {"max_tokens": 256, "temperature": 0.2}


def test_full_fine_tuning_serves_a_full_model() -> None:
    resource = resources({"adapter": {"method": "full"}}, base=merged(PLAIN, {"adapter": None}))

    (call,) = KINDS["model"].create(change(Action.CREATE, resource[Role.MODEL]), scene())

    assert ServingSpec.model_validate_json(body(call)["container_spec"]["args"][1]).form == "full"


def test_several_machines_become_a_chief_and_workers() -> None:
    resource = resources(base=RICH)[Role.TRAINING]

    (call,) = KINDS["custom_job"].create(change(Action.CREATE, resource), scene())

    pools = body(call)["job_spec"]["worker_pool_specs"]
    assert [pool["replica_count"] for pool in pools] == [1, 2]
    assert pools[0]["container_spec"] == pools[1]["container_spec"]
    assert pools[0]["disk_spec"] == {"boot_disk_type": "pd-ssd", "boot_disk_size_gb": 200}


def test_a_job_starts_on_the_first_rung_of_its_ladder() -> None:
    resource = resources(base=RICH)[Role.TRAINING]

    (call,) = KINDS["custom_job"].create(change(Action.CREATE, resource), scene())

    assert body(call)["job_spec"]["scheduling"] == {
        "strategy": "SPOT",
        "timeout": "21600s",
        "restart_job_on_worker_restart": True,
    }


def test_a_job_writes_below_its_identity_and_attempt() -> None:
    resource = resources({"run": {"attempt": 2}})[Role.TRAINING]

    (call,) = KINDS["custom_job"].create(change(Action.CREATE, resource), scene())

    folder = f"gs://loraform-local/loraform/acme/artifacts/{resource.identity}/attempt-2"
    assert body(call)["job_spec"]["base_output_directory"] == {"output_uri_prefix": folder}


def test_a_first_model_gets_its_id_and_a_later_one_its_parent() -> None:
    resource = resources()[Role.MODEL]
    older = live("model-ready-older", Role.MODEL)

    (first,) = KINDS["model"].create(change(Action.CREATE, resource), scene(model={}))
    (later,) = KINDS["model"].create(change(Action.CREATE, resource, replaces=(older,)), scene(model={}))

    assert first.request["model_id"] == "lf-acme-support-bot"
    assert later.request["parent_model"] == older.outputs["name"]
    assert "model_id" not in later.request


def test_a_model_is_uploaded_with_its_alias_and_its_training() -> None:
    wanted = resources()

    (call,) = KINDS["model"].create(
        change(Action.CREATE, wanted[Role.MODEL], stamps={"loraform-gate": "passed-12"}), scene()
    )

    assert body(call)["version_aliases"] == [f"m-{wanted[Role.MODEL].stamp}", "default"]
    assert body(call)["labels"]["loraform-trained-by"] == wanted[Role.TRAINING].stamp
    assert body(call)["labels"]["loraform-gate"] == "passed-12"
    assert body(call)["artifact_uri"] == "gs://b/loraform/acme/artifacts/x/attempt-1/model"


def test_a_create_before_its_prerequisite_is_ready_is_a_clear_error() -> None:
    resource = resources()[Role.MODEL]

    with pytest.raises(LoraformError, match="support-bot/training has no output 'artifact_uri' yet"):
        KINDS["model"].create(change(Action.CREATE, resource), scene(training={}))


def test_only_cloud_endpoints_without_a_network_are_dedicated() -> None:
    network = {"serving": {"network": "projects/1/global/networks/default"}}
    local, cloud, private = (
        resources(changes, target=target)[Role.ENDPOINT]
        for changes, target in (({}, LOCAL), ({}, CLOUD), (network, CLOUD))
    )

    dedicated = [item.body.get("dedicated_endpoint_enabled") for item in (local, cloud, private)]

    assert dedicated == [None, True, None]


def test_a_deploy_never_moves_traffic() -> None:
    resource = resources()[Role.DEPLOYMENT]

    (call,) = KINDS["deployment"].create(change(Action.CREATE, resource), scene())

    assert "traffic_split" not in call.request


def test_a_second_deploy_of_the_same_identity_has_the_same_ten_digits() -> None:
    wanted, other = resources()[Role.DEPLOYMENT], resources({"adapter": {"r": 32}})[Role.DEPLOYMENT]

    ids = [
        body(call)["id"]
        for resource in (wanted, wanted, other)
        for call in KINDS["deployment"].create(change(Action.CREATE, resource), scene())
    ]

    assert ids[0] == ids[1] != ids[2]
    assert all(len(item) == 10 and item.isdigit() for item in ids)


def test_the_deployed_id_does_not_depend_on_project_number_or_name() -> None:
    resource = resources()[Role.DEPLOYMENT]
    by_number = scene(endpoint={"name": "projects/123/locations/us-central1/endpoints/lf-acme-support-bot"})

    (one,) = KINDS["deployment"].create(change(Action.CREATE, resource), scene())
    (two,) = KINDS["deployment"].create(change(Action.CREATE, resource), by_number)

    assert body(one)["id"] == body(two)["id"]


def test_replica_counts_change_in_place_and_alone() -> None:
    wanted = resources({"serving": {"max_replica_count": 7}})[Role.DEPLOYMENT]

    (call,) = KINDS["deployment"].update(change(Action.UPDATE, wanted, live("endpoint-serving")), scene())

    assert call.method == "MutateDeployedModel"
    assert call.request["update_mask"] == "dedicatedResources.maxReplicaCount,dedicatedResources.minReplicaCount"
    assert call.request["deployed_model"] == {
        "id": NEW,
        "dedicated_resources": {"min_replica_count": 1, "max_replica_count": 7},
    }


def test_traffic_moves_by_one_update_with_the_etag_and_mask() -> None:
    wanted = resources()[Role.DEPLOYMENT]

    (call,) = KINDS["deployment"].update(change(Action.UPDATE, wanted, live("endpoint-rolling")), scene())

    assert call.method == "UpdateEndpoint"
    assert call.request["update_mask"] == "trafficSplit,labels"
    assert body(call)["etag"] == "AMEw9yMQ7f"
    assert body(call)["traffic_split"] == {OLD: 0, NEW: 100}
    assert body(call)["labels"]["team"] == "support"


def test_what_is_not_ours_keeps_its_traffic() -> None:
    wanted = resources()[Role.DEPLOYMENT]

    (call,) = KINDS["deployment"].update(change(Action.UPDATE, wanted, live("endpoint-shared")), scene())

    assert body(call)["traffic_split"] == {OLD: 0, NEW: 70, STRANGER: 30}


def test_an_idle_deployment_is_simply_taken_off() -> None:
    (call,) = KINDS["deployment"].delete(change(Action.DELETE, before=live("endpoint-shared")), scene())

    assert (call.method, call.request["deployed_model_id"]) == ("UndeployModel", NEW)
    assert call.tolerate == {"NOT_FOUND"}


def test_a_deployment_with_traffic_hands_it_over_before_it_goes() -> None:
    old = live("endpoint-shared", newest=False)

    reroute, undeploy = KINDS["deployment"].delete(change(Action.DELETE, before=old), scene())

    assert body(reroute)["traffic_split"] == {STRANGER: 100}
    assert undeploy.request["deployed_model_id"] == OLD


def test_the_last_deployment_goes_with_its_traffic() -> None:
    (call,) = KINDS["deployment"].delete(change(Action.DELETE, before=live("endpoint-serving")), scene())

    assert call.method == "UndeployModel"


def test_labels_of_other_tools_survive_an_update() -> None:
    before = live("endpoint-suspended", Role.ENDPOINT)
    wanted = resources({"labels": {"team": "ops"}})[Role.ENDPOINT]

    (call,) = KINDS["endpoint"].update(
        change(Action.UPDATE, wanted, replace(before, outputs={**before.outputs, "labels": {"argo": "x"}})), scene()
    )

    assert body(call)["labels"]["argo"] == "x"
    assert body(call)["labels"]["team"] == "ops"


def test_a_protection_that_git_dropped_goes_and_a_suspension_stays() -> None:
    wanted = resources()[Role.ENDPOINT]

    (call,) = KINDS["endpoint"].update(
        change(Action.UPDATE, wanted, live("endpoint-suspended", Role.ENDPOINT)), scene()
    )

    assert "loraform-protect" not in body(call)["labels"]
    assert body(call)["labels"]["loraform-suspended"] == "true"


def test_suspending_marks_the_endpoint_before_it_takes_anything_off() -> None:
    calls = suspend(live("endpoint-serving", Role.ENDPOINT), (live("endpoint-serving"),))

    assert [call.method for call in calls] == ["UpdateEndpoint", "UndeployModel"]
    assert body(calls[0])["labels"]["loraform-suspended"] == "true"


def test_resuming_takes_the_mark_off() -> None:
    (call,) = resume(live("endpoint-suspended", Role.ENDPOINT))

    assert "loraform-suspended" not in body(call)["labels"]


@pytest.mark.parametrize(("kind", "verb"), [("custom_job", "update"), ("model", "cancel"), ("endpoint", "cancel")])
def test_a_verb_that_a_kind_lacks_is_loud(kind: str, verb: str) -> None:
    resource = next(item for item in resources().values() if item.kind == kind)

    with pytest.raises(LoraformError, match=f"a {kind} cannot be"):
        getattr(KINDS[kind], verb)(change(Action.UPDATE, resource), scene())


def body(call: Call) -> Any:
    """The resource inside a request."""
    return next(
        call.request[key] for key in ("custom_job", "model", "endpoint", "deployed_model") if is_body(call, key)
    )


def is_body(call: Call, key: str) -> bool:
    return not isinstance(call.request.get(key, ""), str)


def snake(method: str) -> str:
    return "".join(f"_{char.lower()}" if char.isupper() else char for char in method).lstrip("_")
