"""The decision table, enumerated: every combination of what git wants and what is live, against the rows of the law.

The rows below are written from the law, first match counts, and know nothing of how the planner is built.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product

from reconciler.core.changes import Action, Reason
from reconciler.core.resources import Cause, Claim, Failure, LiveResource, Phase, Record, Resource, Role
from tests.core.builders import (
    HOUR,
    NOW,
    claim,
    deployment,
    endpoint,
    live,
    model,
    plan,
    record,
    snapshot,
    the,
    training,
)

PHASES = (None, *Phase)
FAILURES = (Cause.ERROR, Cause.STOCKOUT)


@dataclass(frozen=True)
class Case:
    """One combination. `same` and `other` are the phases of the live objects of the desired and another identity."""

    same: Phase | None
    other: Phase | None
    cause: Cause
    same_attempt: bool
    old: bool
    claimed: str
    record: str


def cases() -> Iterator[Case]:
    for values in product(
        PHASES, PHASES, FAILURES, (True, False), (True, False), ("no", "young", "lapsed"), ("no", "yes", "pruned")
    ):
        case = Case(*values)
        if case.same is not Phase.FAILED and case.cause is not Cause.ERROR:
            continue
        yield case


Row = tuple[Callable[[Case], bool], Action, Reason]

THINGS: tuple[Row, ...] = (
    (lambda c: c.same is Phase.READY, Action.NOOP, Reason.IN_SYNC),
    (lambda c: c.same in (Phase.PENDING, Phase.RUNNING), Action.WAIT, Reason.IN_PROGRESS),
    (lambda c: c.same in (Phase.DELETING, Phase.UNKNOWN) and c.old, Action.HOLD, Reason.STUCK),
    (lambda c: c.same in (Phase.DELETING, Phase.UNKNOWN), Action.WAIT, Reason.IN_PROGRESS),
    (lambda c: c.same is Phase.FAILED and c.same_attempt and c.cause is Cause.ERROR, Action.HOLD, Reason.FAILED),
    (lambda c: c.same is Phase.FAILED and c.same_attempt and not c.old, Action.WAIT, Reason.BACKOFF),
    (lambda c: c.claimed == "young", Action.WAIT, Reason.CLAIMED),
    (lambda c: c.same is Phase.FAILED and c.same_attempt, Action.CREATE, Reason.RETRY),
    (lambda c: c.same is Phase.FAILED, Action.CREATE, Reason.ATTEMPT_CHANGED),
    (lambda c: c.other is not None, Action.CREATE, Reason.IDENTITY_CHANGED),
    (lambda c: True, Action.CREATE, Reason.ABSENT),
)

RUNS: tuple[Row, ...] = (
    (lambda c: c.record == "yes", Action.NOOP, Reason.REUSED),
    (lambda c: c.same in (Phase.PENDING, Phase.RUNNING), Action.WAIT, Reason.IN_PROGRESS),
    (lambda c: c.same in (Phase.DELETING, Phase.UNKNOWN) and c.old, Action.HOLD, Reason.STUCK),
    (lambda c: c.same in (Phase.DELETING, Phase.UNKNOWN), Action.WAIT, Reason.IN_PROGRESS),
    (lambda c: c.same is Phase.READY and c.record == "no" and not c.old, Action.WAIT, Reason.IN_PROGRESS),
    (
        lambda c: c.same is Phase.READY and c.record == "no" and c.same_attempt,
        Action.HOLD,
        Reason.ARTIFACT_MISSING,
    ),
    (
        lambda c: c.same is Phase.FAILED and c.record == "no" and c.same_attempt and c.cause is Cause.ERROR,
        Action.HOLD,
        Reason.FAILED,
    ),
    (
        lambda c: c.same is Phase.FAILED and c.record == "no" and c.same_attempt and not c.old,
        Action.WAIT,
        Reason.BACKOFF,
    ),
    (lambda c: c.claimed == "young", Action.WAIT, Reason.CLAIMED),
    (lambda c: c.record == "pruned", Action.CREATE, Reason.PRUNED),
    (lambda c: c.same is Phase.FAILED and c.same_attempt, Action.CREATE, Reason.RETRY),
    (lambda c: c.same in (Phase.FAILED, Phase.READY), Action.CREATE, Reason.ATTEMPT_CHANGED),
    (lambda c: c.other is not None, Action.CREATE, Reason.IDENTITY_CHANGED),
    (lambda c: True, Action.CREATE, Reason.ABSENT),
)


def test_every_case_of_a_thing_is_decided_by_the_first_row_that_fits() -> None:
    needed = training()
    resource, older = model(), model(version=2)

    for case in cases():
        if case.record != "yes":
            continue

        made = plan((needed, resource), world(case, resource, older, needed))

        assert decision(made, Role.MODEL) == expected(THINGS, case), case


def test_every_case_of_a_run_is_decided_by_the_first_row_that_fits() -> None:
    resource, older = training(), training(version=2)

    for case in cases():
        made = plan((resource,), world(case, resource, older, resource))

        assert decision(made, Role.TRAINING) == expected(RUNS, case), case


def test_every_older_run_that_still_runs_is_cancelled_whatever_else_holds() -> None:
    resource, older = training(), training(version=2)

    for case in cases():
        made = plan((resource,), world(case, resource, older, resource))

        cancelled = [change for change in made.changes if change.action is Action.CANCEL]
        assert len(cancelled) == (case.other in (Phase.PENDING, Phase.RUNNING)), case


def test_an_older_deployment_is_deleted_only_beside_a_ready_one_with_the_traffic() -> None:
    resource, older = deployment(), deployment(version=2)
    around = (training(), model(), endpoint())

    for same, other, share in product(PHASES, PHASES, (0, 100)):
        things = [live(one) for one in around[1:]]
        things += [live(resource, same, spec={"max_replica_count": 1, "traffic": share})] if same else []
        things += [live(older, other)] if other else []
        seen = snapshot(*things, records=(record(around[0]),))

        made = plan((*around, resource), seen)

        deleted = [change for change in made.changes if change.action is Action.DELETE]
        goes = other not in (None, Phase.DELETING) and same is Phase.READY and share == 100
        assert [change.reason for change in deleted] == [Reason.SUPERSEDED] * goes, (same, other, share)


def test_every_phase_of_what_git_does_not_name_has_its_answer() -> None:
    ours = deployment()
    answers = {
        Phase.PENDING: (Action.DELETE, Reason.REMOVED),
        Phase.RUNNING: (Action.DELETE, Reason.REMOVED),
        Phase.READY: (Action.DELETE, Reason.REMOVED),
        Phase.FAILED: (Action.DELETE, Reason.REMOVED),
        Phase.DELETING: (Action.WAIT, Reason.IN_PROGRESS),
        Phase.UNKNOWN: (Action.WAIT, Reason.IN_PROGRESS),
    }

    for phase, answer in answers.items():
        made = plan((), snapshot(live(ours, phase, since=NOW)))

        assert [(change.action, change.reason) for change in made.changes] == [answer], phase


def world(case: Case, resource: Resource, older: Resource, needed: Resource) -> object:
    since = NOW - (2 * HOUR if case.old else 1)
    things: list[LiveResource] = []
    if case.same is not None:
        failure = Failure(case.cause, "it broke") if case.same is Phase.FAILED else None
        attempt = resource.attempt_key if case.same_attempt else "before"
        things.append(
            live(resource, case.same, since=since, created=NOW - 3 * HOUR, failure=failure, attempt_key=attempt)
        )
    if case.other is not None:
        things.append(live(older, case.other))
    claims: tuple[Claim, ...] = {"no": (), "young": (claim(resource),), "lapsed": (claim(resource, HOUR),)}[
        case.claimed
    ]
    records: tuple[Record, ...] = {"no": (), "yes": (record(needed),), "pruned": (record(needed, pruned=True),)}[
        case.record
    ]
    return snapshot(*things, records=records, claims=claims)


def expected(rows: tuple[Row, ...], case: Case) -> tuple[Action, Reason]:
    return next((action, reason) for fits, action, reason in rows if fits(case))


def decision(made: object, role: Role) -> tuple[Action, Reason]:
    change = the(made, role)
    return change.action, change.reason
