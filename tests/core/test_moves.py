"""`moved_from`: what is live under a former name is adopted, and nothing is trained, deployed or deleted for it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.between import plan_between
from reconciler.core.changes import Action, Change, FieldChange, Reason
from reconciler.core.drift import Verdict, differences
from reconciler.core.moves import adopted, adopted_claims, belongs_to, moves_of
from reconciler.core.resources import Address, Claim, Phase, Resource, Role, Snapshot
from tests.core.builders import (
    NOW,
    at,
    claim,
    converged,
    deployment,
    endpoint,
    fleet,
    live,
    model,
    plan,
    snapshot,
    the,
    training,
)


def renamed(version: int = 1, former: tuple[str, ...] = ("bot",)) -> tuple[Resource, ...]:
    """The experiment `helper`, which was called `bot`."""
    return tuple(replace(item, moved_from=former) for item in fleet("helper", version))


def seen_as(seen: Snapshot, desired: tuple[Resource, ...]) -> Snapshot:
    moves = moves_of(desired)
    return Snapshot(adopted(seen.live, moves), seen.records, adopted_claims(seen.claims, moves))


def test_a_renamed_experiment_keeps_everything_and_only_its_labels_are_written() -> None:
    desired = renamed()

    made = plan(desired, seen_as(converged("bot"), desired))

    assert {(change.address.role, change.action) for change in made.changes} == {
        (Role.TRAINING, Action.NOOP),
        (Role.MODEL, Action.UPDATE),
        (Role.ENDPOINT, Action.UPDATE),
        (Role.DEPLOYMENT, Action.NOOP),
    }
    change = the(made, Role.ENDPOINT, "helper")
    assert change.reason is Reason.ADOPTED
    assert change.detail == "adopted from bot"
    assert change.fields == (FieldChange("name", "bot", "helper", "label"),)
    assert change.before is not None
    assert change.before.name.startswith("bot/endpoint")
    assert made.follow == ()


def test_without_a_word_a_rename_is_a_removal_and_a_new_experiment() -> None:
    desired = fleet("helper", 2)

    made = plan(desired, seen_as(converged("bot"), desired))

    assert {change.action for change in made.changes if change.address.experiment == "bot"} == {
        Action.DELETE,
        Action.WAIT,
    }


def test_a_setting_that_changes_with_the_name_is_told_with_it() -> None:
    desired = renamed()
    seen = converged("bot")
    seen = replace(
        seen,
        live=tuple(
            replace(item, spec={"labels": {"team": "b"}}) if item.address.role is Role.ENDPOINT else item
            for item in seen.live
        ),
    )

    change = the(plan(desired, seen_as(seen, desired)), Role.ENDPOINT, "helper")

    assert change.reason is Reason.SETTINGS_CHANGED
    assert [item.path for item in change.fields] == ["name", "labels"]


def test_a_rename_with_a_new_rank_trains_and_rolls_on_the_old_address() -> None:
    desired = renamed(2)

    made = plan(desired, seen_as(converged("bot"), desired))

    assert the(made, Role.TRAINING, "helper").action is Action.CREATE
    assert the(made, Role.ENDPOINT, "helper").reason is Reason.ADOPTED
    assert [(change.address.role, change.action) for change in made.follow] == [
        (Role.MODEL, Action.CREATE),
        (Role.MODEL, Action.UPDATE),  # the label of the version before
        (Role.DEPLOYMENT, Action.CREATE),
        (Role.DEPLOYMENT, Action.UPDATE),
        (Role.DEPLOYMENT, Action.DELETE),
    ]


def test_a_run_in_progress_under_the_former_name_is_waited_for() -> None:
    desired = renamed()

    change = the(
        plan(desired, seen_as(snapshot(live(training("bot"), Phase.RUNNING)), desired)), Role.TRAINING, "helper"
    )

    assert (change.action, change.reason) == (Action.WAIT, Reason.IN_PROGRESS)


def test_older_versions_are_relabelled_with_the_one_that_is_wanted() -> None:
    desired = renamed()
    older = live(model("bot", 2), history=True)
    seen = seen_as(replace(converged("bot"), live=(*converged("bot").live, older)), desired)

    change = the(plan(desired, seen), Role.MODEL, "helper")

    assert [item.name for item in change.along] == [older.name]
    assert change.fields == (FieldChange("name", "bot", "helper", "label"),)


def test_an_older_version_that_still_says_the_former_name_belongs_to_its_model() -> None:
    older = live(model("bot", 2), history=True)

    found = belongs_to(older, at(Role.MODEL, "helper"))

    assert (found.address, found.adopted_from) == (at(Role.MODEL, "helper"), "bot")
    assert belongs_to(older, older.address) is older


def test_an_endpoint_under_the_new_name_stays_and_the_former_one_is_held() -> None:
    desired = renamed()
    own = live(endpoint("helper"), name="projects/1/endpoints/lf-acme-helper")
    seen = seen_as(replace(converged("bot"), live=(*converged("bot").live, own)), desired)

    made = plan(desired, seen)

    held = [change for change in made.changes if change.action is Action.HOLD]
    assert [(change.address, change.reason) for change in held] == [
        (at(Role.ENDPOINT, "bot"), Reason.IN_USE),
        (at(Role.DEPLOYMENT, "bot"), Reason.IN_USE),
    ]
    assert held[0].detail == (
        "helper has an endpoint of its own, lf-acme-helper: take `moved_from` out to let this one go"
    )
    assert the(made, Role.ENDPOINT, "helper").action is Action.NOOP


def test_a_former_name_that_git_still_declares_has_not_moved() -> None:
    assert moves_of((*renamed(), *fleet("bot"))) == {}


def test_of_several_former_names_each_is_adopted() -> None:
    assert moves_of(renamed(former=("robot", "bot"))) == {"robot": "helper", "bot": "helper"}


def test_claims_follow_so_that_a_deploy_in_flight_is_known() -> None:
    one, other, run = claim(deployment("bot")), claim(deployment("other", 2)), claim(training("bot"))
    newer = claim(deployment("helper"), age=1.0)
    known = {item.key: item for item in (one, other, run)}

    found = adopted_claims(known, {"bot": "helper"})

    moved = deployment("helper").claim_key
    assert set(found) == {moved, other.key, run.stamp}
    assert found[moved].address == Address("helper", Role.DEPLOYMENT)
    assert found[other.key] is other
    assert adopted_claims({**known, newer.key: newer}, {"bot": "helper"})[moved] is newer


def test_a_name_that_a_renamed_experiment_took_with_it_cannot_be_had_again() -> None:
    taken = live(endpoint("helper"), name="projects/1/endpoints/lf-acme-bot")
    version = live(model("helper", 7), name="projects/1/models/lf-acme-bot@1", history=True)
    desired = (
        *fleet("helper"),
        training("bot", 2),
        model("bot", 2, named="lf-acme-bot"),
        endpoint("bot", named="lf-acme-bot"),
    )

    made = plan(desired, snapshot(taken, version))

    for role in (Role.MODEL, Role.ENDPOINT):
        change = the(made, role)
        assert (change.action, change.reason) == (Action.HOLD, Reason.NAME_TAKEN)
        assert change.detail == f"lf-acme-bot is the {role} of helper: give this experiment another name"


def test_a_name_that_is_about_to_become_free_is_waited_for() -> None:
    going = live(endpoint("gone"), name="projects/1/endpoints/lf-acme-bot")

    change = the(plan((endpoint("bot", named="lf-acme-bot"),), snapshot(going)), Role.ENDPOINT)

    assert (change.action, change.reason) == (Action.WAIT, Reason.NAME_TAKEN)


@pytest.mark.parametrize("held", [{"protect": True}, {"in_use": "somebody's model is on it"}])
def test_a_name_that_is_held_together_with_what_has_it_is_not_waited_for(held: dict[str, Any]) -> None:
    staying = live(endpoint("gone"), name="projects/1/endpoints/lf-acme-bot", **held)

    change = the(plan((endpoint("bot", named="lf-acme-bot"),), snapshot(staying)), Role.ENDPOINT, "bot")

    assert (change.action, change.reason) == (Action.HOLD, Reason.NAME_TAKEN)
    assert change.detail == "lf-acme-bot is the endpoint of gone: which is held as well"


def test_an_adoption_that_nobody_applied_yet_is_pending_and_no_drift() -> None:
    desired = renamed()
    seen = seen_as(converged("bot"), desired)

    found = differences(plan(desired, seen), seen, settled=0.0)

    assert {item.verdict for item in found} == {Verdict.PENDING}


def test_between_two_trees_a_rename_is_an_adoption() -> None:
    made = plan_between(fleet("bot"), renamed(), target="test")

    assert {change.reason for change in made.changes} == {Reason.REUSED, Reason.ADOPTED, Reason.IN_SYNC}


def test_an_id_that_is_its_own_experiments_is_taken_by_nobody() -> None:
    wanted = endpoint(named="lf-acme-bot")

    change = the(plan((wanted,), snapshot(live(wanted, name="projects/1/endpoints/lf-acme-bot"))), Role.ENDPOINT)

    assert change.action is Action.NOOP


def test_of_two_former_names_with_an_endpoint_each_the_latest_one_s_becomes_the_address() -> None:
    """Found by the simulation: both were adopted, and the deployment of the one that lost was missed a pass later."""
    desired = renamed(former=("robot", "bot"))
    old, older = (tuple(live(one) for one in (endpoint(name), deployment(name))) for name in ("robot", "bot"))

    found = adopted((*older, *old), moves_of(desired))

    assert {item.address.experiment for item in found if not item.in_use} == {"helper"}
    held = [item for item in found if item.in_use]
    assert [item.address for item in held] == [item.address for item in older]
    assert held[0].in_use.startswith("helper has an endpoint that was robot's, ")


def test_an_endpoint_that_was_just_adopted_is_not_made_anew_where_an_old_list_hides_it() -> None:
    """Found by the simulation: `moved_from` is gone, the list still shows the old name, and a second one was made."""
    wanted = tuple(
        replace(one, named="lf-acme-helper") if one.address.role is Role.ENDPOINT else one for one in fleet()
    )
    held = claim(wanted[2], object="p/endpoints/lf-acme-bot")

    def said(item: Claim) -> Change:
        return the(plan(wanted, snapshot(claims=(item,))), Role.ENDPOINT)

    assert (said(held).action, said(held).reason) == (Action.WAIT, Reason.CLAIMED)
    assert said(held).detail == "it is lf-acme-bot, adopted just now"
    assert said(replace(held, at=NOW - 1e6)).action is Action.CREATE
    assert said(replace(held, object="p/endpoints/lf-acme-helper")).action is Action.CREATE
    assert said(replace(held, object="")).action is Action.CREATE
