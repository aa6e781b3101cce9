"""`adopt:` as the planner sees it: a thing of others is labelled and gone on with, or it is held and says why."""

from __future__ import annotations

from reconciler.core.changes import Action, FieldChange, Reason
from reconciler.core.imported import Carried
from reconciler.core.resources import Role, Snapshot
from tests.core.builders import at, converged, endpoint, fleet, live, model, plan, snapshot, the


def test_an_adopted_endpoint_is_labelled_and_nothing_is_created_in_its_place() -> None:
    theirs = live(endpoint(), name="projects/1/endpoints/77", adopted_from="77")

    made = plan(fleet(), snapshot(theirs))

    change = the(made, Role.ENDPOINT)
    assert (change.action, change.reason) == (Action.UPDATE, Reason.ADOPTED)
    assert change.fields == (FieldChange("name", "77", "bot", "label"),)
    assert all(one.address.role is not Role.ENDPOINT for one in made.follow)


def test_what_others_have_on_an_adopted_endpoint_is_told() -> None:
    theirs = live(endpoint(), adopted_from="77", in_use="1 deployed model on it is not Loraform's")

    change = the(plan(fleet(), snapshot(theirs)), Role.ENDPOINT)

    assert change.detail == "adopted from 77; 1 deployed model on it is not Loraform's, and keeps its traffic"


def test_the_version_of_an_adopted_model_comes_after_what_others_made() -> None:
    theirs = live(model(), name="projects/1/models/88", stamp="", history=True, outputs={"name": "models/88"})
    seen = converged()
    without = tuple(item for item in seen.live if item.address.role is not Role.MODEL)

    change = the(plan(fleet(), Snapshot((*without, theirs), seen.records)), Role.MODEL)

    assert change.action is Action.CREATE
    assert change.before is theirs


def test_what_cannot_be_adopted_holds_the_experiment_now_and_in_the_forecast() -> None:
    seen = Snapshot(barred={at(Role.ENDPOINT): "the endpoint to adopt belongs to the fleet others"})

    made = plan(fleet(), seen)

    change = the(made, Role.ENDPOINT)
    assert (change.action, change.reason) == (Action.HOLD, Reason.BARRED)
    assert change.detail == "the endpoint to adopt belongs to the fleet others"
    assert the(made, Role.DEPLOYMENT).action is Action.HOLD
    assert {one.address.role for one in made.follow} == {Role.MODEL}


def test_only_what_says_something_becomes_part_of_a_block() -> None:
    found = Carried()

    found.give("run", network="", env={}, tensorboard=None)
    found.give("serving", spot=True, min_replica_count=0)

    assert found.blocks == {"serving": {"spot": True}}
