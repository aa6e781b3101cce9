"""`serving.form: merged`: one more run between the training and the model, cached like a training."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from reconciler.backends.registry import KINDS
from reconciler.core.changes import Action, Plan, Reason
from reconciler.core.plan import make_plan
from reconciler.core.resources import Cause, Failure, Phase, Resource, Role, Snapshot
from schemas.training_spec import TrainingSpec
from tests.backends.answers import standing
from tests.backends.subjects import change, resources, scene

T, G, M, E, D = Role.TRAINING, Role.MERGE, Role.MODEL, Role.ENDPOINT, Role.DEPLOYMENT
MERGED: dict[str, Any] = {"serving": {"form": "merged"}}


def plan(wanted: dict[Role, Resource], snapshot: Snapshot) -> Plan:
    return make_plan(wanted.values(), snapshot, now=4e9, target="local")


def steps(changes: tuple[Any, ...]) -> list[tuple[Role, Action]]:
    return [(item.address.role, item.action) for item in changes if item.action.mutates]


def test_a_new_experiment_is_trained_then_merged_then_served() -> None:
    found = plan(resources(MERGED), Snapshot())

    assert steps(found.now) == [(T, Action.CREATE), (E, Action.CREATE)]
    assert steps(found.follow) == [(G, Action.CREATE), (M, Action.CREATE), (D, Action.CREATE), (D, Action.UPDATE)]


def test_another_form_merges_what_was_trained_and_trains_nothing() -> None:
    wanted = resources(MERGED)

    found = plan(wanted, standing(resources()))

    assert wanted[T].identity == resources()[T].identity
    assert steps(found.now) == [(Role.EVALUATION, Action.CREATE), (G, Action.CREATE)]
    assert steps(found.follow) == [(M, Action.CREATE), (D, Action.CREATE), (D, Action.UPDATE), (D, Action.DELETE)]


def test_a_merge_that_left_its_record_is_used_again() -> None:
    wanted = resources(MERGED)

    found = plan(wanted, standing(wanted))

    assert (steps(found.now), steps(found.follow), found.blocked) == ([], [], ())


def test_another_rank_is_trained_and_merged_anew() -> None:
    found = plan(resources({**MERGED, "adapter": {"r": 32}}), standing(resources(MERGED)))

    assert steps(found.now) == [(T, Action.CREATE)]
    assert steps(found.follow)[:3] == [(G, Action.CREATE), (M, Action.CREATE), (D, Action.CREATE)]


def test_a_merge_that_does_not_fit_is_held_alone_and_what_was_trained_stays() -> None:
    wanted = resources(MERGED)
    seen = standing(wanted)
    failure = Failure(Cause.MEMORY, "the container was killed: out of memory")
    live = tuple(
        replace(item, phase=Phase.FAILED, failure=failure) if item.address.role is G else item
        for item in seen.live
        if item.address.role in (T, G)
    )

    found = plan(wanted, replace(seen, live=live, records={wanted[T].stamp: seen.records[wanted[T].stamp]}))

    held = {item.address.role: item.reason for item in found.changes if item.action is Action.HOLD}
    assert held == {G: Reason.FAILED, M: Reason.PREREQUISITE, D: Reason.PREREQUISITE}
    assert next(item.action for item in found.changes if item.address.role is T) is Action.NOOP


def test_the_job_is_told_where_the_adapter_lies_and_has_a_record_of_its_own() -> None:
    wanted = resources(MERGED)

    (call,) = KINDS["custom_job"].create(change(Action.CREATE, wanted[G]), scene())

    (argument,) = [
        pool["container_spec"]["args"][1]
        for pool in call.request["custom_job"]["job_spec"]["worker_pool_specs"]  # type: ignore[index,call-overload]
    ]
    spec = TrainingSpec.model_validate(json.loads(argument))
    assert spec.merge == "gs://b/loraform/acme/artifacts/x/attempt-1/model"
    assert (spec.identity, spec.identity in spec.output.record) == (wanted[G].identity, True)


def test_the_model_holds_what_was_merged_and_serves_it_as_a_whole_model() -> None:
    (call,) = KINDS["model"].create(change(Action.CREATE, resources(MERGED)[M]), scene())

    model: Any = call.request["model"]
    assert model["artifact_uri"] == "gs://b/loraform/acme/artifacts/y/attempt-1/model"
    assert json.loads(model["container_spec"]["args"][1])["form"] == "full"
    assert model["labels"]["loraform-trained-by"] == resources(MERGED)[T].stamp


def test_full_fine_tuning_needs_no_merge() -> None:
    adapter = {"method": "full", "r": None, "lora_alpha": None, "target_modules": None}

    assert G not in resources({**MERGED, "adapter": adapter})
