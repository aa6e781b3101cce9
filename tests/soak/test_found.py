"""What histories have found, each as short as it can be told."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from reconciler.cloud.claims import CLOUD_TTL
from reconciler.cloud.errors import from_answer
from reconciler.core.changes import Action, Reason
from tests.factories_manifest import document
from tests.soak.actors import Actor, Request, Stage
from tests.soak.cloud import Cloud, open_cloud
from tests.soak.convergence import quiet
from tests.soak.history import History
from tests.soak.repository import Tree, tree_of

STALE = 590.0
ONE: Tree = tree_of(document("ape", serving=None))
SERVES: Tree = tree_of(document("ape"))
NONE: Tree = ()


@pytest.fixture
def history() -> Iterator[History]:
    with open_cloud() as cloud:
        yield History(cloud)


def test_a_create_that_was_not_answered_is_not_sent_again_while_a_listing_may_be_stale(history: History) -> None:
    refusal = from_answer(503, "UNAVAILABLE", "The service is unavailable.", "CreateCustomJob")

    play(history, ONE, {"JobService.CreateCustomJob": refusal}, stale=STALE)

    assert jobs_of_ours(history.cloud) == 1


def test_a_revert_waits_until_every_listing_shows_the_run_that_was_cancelled(history: History) -> None:
    play(history, ONE)
    play(history, NONE)

    at_once = play(history, ONE, stale=STALE)
    jobs_then = jobs_of_ours(history.cloud)
    history.cloud.jobs_go_on()
    history.cloud.time.now += CLOUD_TTL + 2
    play(history, ONE)

    assert [change.reason for change in at_once.plan.changes] == [Reason.CLAIMED, Reason.PREREQUISITE]
    assert (jobs_then, jobs_of_ours(history.cloud)) == (1, 2)


def test_a_claim_outlives_the_staleness_of_every_listing(history: History) -> None:
    play(history, ONE)
    history.cloud.time.now += STALE

    seen = play(history, ONE, stale=600.0)

    assert [change.reason for change in seen.plan.changes] == [Reason.CLAIMED, Reason.PREREQUISITE]
    assert jobs_of_ours(history.cloud) == 1


def test_equal_experiments_do_not_deploy_by_turns_what_cannot_serve(history: History) -> None:
    twins = tree_of(document("ape"), document("bee"))

    for _ in range(8):
        play(history, twins)
        history.cloud.time.now += 1000
        for _ in range(3):
            history.trainers.go_on(Random(0), well=True)
        history.cloud.deployments_go_on("Model server exited unexpectedly (status 1).")

    operations = [row.body for row in history.cloud.world.store.every("operation")]
    deploys = [body for body in operations if b".DeployModelOperationMetadata" in body and b"/lf-acme-" in body]
    assert len(deploys) == 2


def test_an_endpoint_that_was_renamed_is_not_taken_down_by_a_listing_that_shows_its_former_name(
    history: History,
) -> None:
    history.commits.append(SERVES)
    quiet(history, 20)
    play(history, tree_of(document("cow", moved_from=["ape"])))

    seen = play(history, tree_of(document("cow")), stale=STALE)

    report = seen.result.report
    assert [str(one.outcome) for one in report.results if one.change.action is Action.DELETE] == ["waiting"]
    (ours,) = [one for one in history.cloud.endpoints() if one.name.endswith("/lf-acme-ape")]
    assert (ours.labels["loraform-experiment"], len(ours.deployed_models)) == ("cow", 1)


def play(history: History, tree: Tree, faults: dict[str, Exception] | None = None, stale: float = 0.0) -> Actor:
    """One pass; the first request of each of these words takes effect, and is answered with the fault."""
    history.commits.append(tree)
    actor = history.begin(Random(0), tree)
    actor.stale = stale
    left = dict(faults or {})

    def answer(actor: Actor, request: Request) -> Any:
        if request.act is None:
            return None
        try:
            found = request.act()
        except Exception as error:
            found = error
        return left.pop(request.words, found)

    Stage([actor], lambda active: history.awake(active, Random(0)), answer).run()
    if actor.error:
        raise actor.error
    history.laws.end(actor)
    return actor


def jobs_of_ours(cloud: Cloud) -> int:
    return len([row for row in cloud.rows() if row.kind == "job"]) - 1
