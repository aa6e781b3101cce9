"""A create of which nothing came is remembered by its claim: permanent ones hold, passing ones wait, for every kind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from reconciler.cloud import claims
from reconciler.cloud.reconcile import Wish, look
from reconciler.cloud.site import Site
from reconciler.core.changes import Action, Change, Reason
from reconciler.core.resources import Address, Cause, Failure, Refusal, Resource, Role, Rung
from tests.cloud.story import already_trained, apply, jobs, messages, outcomes, settle
from tests.cloud.wishes import training, whole
from tests.emulator_fixture import post

NO_MACHINE = "Resources are insufficient in region: europe-west4. Please try a different region."
NO_QUOTA = (
    "The following quota metrics exceed quota limits: aiplatform.googleapis.com/custom_model_serving_nvidia_l4_gpus"
)
WRONG = 'Accelerator "NVIDIA_TESLA_K80" is not supported for machine type "n1-standard-4".'
METHODS = {
    Role.TRAINING: "JobService.CreateCustomJob",
    Role.MODEL: "ModelService.UploadModel",
    Role.ENDPOINT: "EndpointService.CreateEndpoint",
    Role.DEPLOYMENT: "EndpointService.DeployModel",
}


@pytest.fixture
def order(site: Site) -> Any:
    """Refuse the next creates of a role, so many that a test uses them up."""

    def refuse(role: Role, status: str, message: str, times: int = 1) -> None:
        fault = {"match": {"method": METHODS[role]}, "times": times, "effect": {"status": status, "message": message}}
        post(f"{site.target.api_endpoint}/emulator/faults", fault)

    return refuse


def prepared(site: Site, role: Role) -> tuple[Resource, ...]:
    """Desired resources of which the one of `role` is what comes next."""
    desired = whole(site.target)
    wanted = tuple(replace(one, attempt_key=one.attempt_key or "first") for one in desired)
    if role in (Role.MODEL, Role.DEPLOYMENT):
        already_trained(site, wanted[0])
    if role is Role.DEPLOYMENT:
        settle(site, wanted[:3])
    return wanted


def about(site: Site, desired: tuple[Resource, ...], role: Role) -> Change:
    seen = look(site, Wish(desired))
    return next(item for item in seen.plan.changes if item.address.role is role and item.after is not None)


@pytest.mark.parametrize("role", list(METHODS))
def test_what_the_api_finds_wrong_is_held_until_the_attempt_changes(site: Site, order: Any, role: Role) -> None:
    desired = prepared(site, role)
    order(role, "INVALID_ARGUMENT", WRONG)

    first = apply(site, desired)
    held = about(site, desired, role)
    second = apply(site, desired)
    raised = tuple(replace(one, attempt_key="second") for one in desired)
    again = about(site, raised, role)

    assert outcomes(first)[f"{role} create"] == "failed"
    assert (held.action, held.reason) == (Action.HOLD, Reason.FAILED)
    assert held.failure is not None
    assert held.failure.cause is Cause.MACHINE
    assert f"{role} create" not in outcomes(second)
    assert (again.action, again.reason) == (Action.CREATE, Reason.ATTEMPT_CHANGED)


@pytest.mark.parametrize("message", [NO_MACHINE, NO_QUOTA])
@pytest.mark.parametrize("role", [Role.TRAINING, Role.DEPLOYMENT])
def test_a_lack_of_machines_waits_and_is_tried_again(
    site: Site, order: Any, later: Callable[[float], Site], role: Role, message: str
) -> None:
    desired = prepared(site, role)
    order(role, "RESOURCE_EXHAUSTED", message)

    first = apply(site, desired)
    waiting = about(site, desired, role)
    due = about(later(30), desired, role)
    apply(later(30), desired)
    after = about(site, desired, role)

    assert outcomes(first)[f"{role} create"] == "waiting"
    assert (waiting.action, waiting.reason) == (Action.WAIT, Reason.BACKOFF)
    assert (due.action, due.reason) == (Action.CREATE, Reason.RETRY)
    assert after.reason in (Reason.IN_PROGRESS, Reason.IN_SYNC, Reason.SETTINGS_CHANGED), after


def test_a_lack_of_machines_is_held_after_five_tries(site: Site, order: Any, later: Callable[[float], Site]) -> None:
    run = replace(training(site.target), attempt_key="first")
    order(Role.TRAINING, "RESOURCE_EXHAUSTED", NO_MACHINE, times=5)

    for number in range(5):
        apply(later(1000 * number), (run,))
    last = about(later(100_000), (run,), Role.TRAINING)

    assert (last.action, last.reason) == (Action.HOLD, Reason.FAILED)
    assert last.detail.endswith("(5 tries)")
    assert jobs(site) == []


@pytest.mark.parametrize("status", ["PERMISSION_DENIED", "UNAUTHENTICATED"])
def test_what_the_one_who_asks_may_not_do_is_asked_again_by_the_next(site: Site, order: Any, status: str) -> None:
    run = training(site.target)
    order(Role.TRAINING, status, "The caller does not have permission")

    first = apply(site, (run,))
    second = apply(site, (run,))

    assert outcomes(first) == {"training create": "failed"}
    assert outcomes(second) == {"training create": "done"}, messages(second)


def test_a_job_is_created_in_the_region_of_its_rung_and_seen_there_by_everybody(site: Site) -> None:
    elsewhere = replace(site.target, buckets={"us-central1": "acme-us"})
    wide = replace(site, target=elsewhere)
    rungs = (Rung("spot", "us-central1", "gs://acme-us/x"), Rung("standard", "europe-west4", "gs://b/x"))
    run = replace(training(elsewhere), rungs=rungs)

    apply(wide, (run,))
    seen, unseen = about(wide, (run,), Role.TRAINING), look(site, Wish((run,)))

    assert seen.before is not None
    assert "/locations/us-central1/" in seen.before.name
    assert (seen.reason, seen.before.outputs["strategy"]) == (Reason.IN_PROGRESS, "spot")
    assert [item for item in unseen.snapshot.live if item.kind == "custom_job"] == []


def test_a_second_look_finds_a_run_in_whatever_region(site: Site) -> None:
    wide = replace(site, target=replace(site.target, buckets={"us-central1": "acme-us"}))
    there = replace(training(wide.target), rungs=(Rung("spot", "us-central1", "gs://acme-us/x"),))
    here = replace(there, rungs=(Rung("spot", "europe-west4", "gs://b/x"),))
    plan = look(wide, Wish((here,))).plan
    apply(wide, (there,))
    claims.drop(wide.storage, wide.target, there)

    from reconciler.cloud.apply import apply_plan
    from reconciler.core.resources import Snapshot

    report = apply_plan(plan, Snapshot(), wide, by="late")

    assert [str(result.outcome) for result in report.results] == ["waiting"]
    assert "somebody else started it" in report.results[0].message


def test_the_claim_of_a_run_tells_whose_attempt_each_refusal_was(site: Site) -> None:
    run = replace(training(site.target), attempt_key="first")
    refusals = [Refusal(100.0 + number, Failure(Cause.STOCKOUT, f"no {number}"), number) for number in range(3)]
    for refusal in refusals:
        taken = claims.take(site.storage, site.target, run, "me", now=refusal.at)
        assert taken is not None
        claims.refuse(site.storage, taken, refusal)
    listing = site.storage.list(claims.folder_of(site.target))
    (claim,) = claims.claims_in(listing).values()

    again = claims.take(site.storage, site.target, replace(run, attempt_key="second"), "me", now=200.0)

    assert [(item.rung, item.failure.cause) for item in claim.refusals] == [(n, Cause.STOCKOUT) for n in range(3)]
    assert [item.failure.message for item in claim.refusals] == ["stock-out", "stock-out", "no 2"]
    assert again is not None
    assert [item.attempt_key for item in again.refusals] == ["first"] * 3
    thing = replace(run, once=False, address=Address("bot", Role.MODEL))
    for key in ("first", "second"):
        held = claims.take(site.storage, site.target, replace(thing, attempt_key=key), "me", now=300.0)
        assert held is not None
        assert held.refusals == ()
        claims.refuse(site.storage, held, refusals[0])


@pytest.mark.parametrize("text", ["", "[]", "{", "[[1]]", '[[1,0,"no such cause",""]]', '["x"]', "7"])
def test_what_somebody_else_wrote_into_a_claim_is_no_refusal(text: str) -> None:
    assert claims.refusals_of(text) == ()
