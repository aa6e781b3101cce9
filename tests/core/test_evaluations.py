"""An evaluation is a run of its own: found where the training did it, made again on other rows, trains nothing."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.changes import Action, FieldChange, Plan, Reason
from reconciler.core.evaluations import with_evaluations
from reconciler.core.lineage import Commit, Kind, Point, Run, Traces, joined, lineage
from reconciler.core.resources import (
    Cause,
    Declared,
    Failure,
    Gate,
    LiveResource,
    Phase,
    Record,
    Resource,
    Role,
    Snapshot,
)
from reconciler.core.verdict import GATE
from tests.core.builders import (
    HOUR,
    NOW,
    at,
    bound,
    deployment,
    endpoint,
    identity,
    live,
    model,
    plan,
    record,
    snapshot,
    the,
    training,
)


def evaluation(rows: int = 1, **overrides: Any) -> Resource:
    values: dict[str, Any] = {
        "address": at(Role.EVALUATION),
        "kind": "custom_job",
        "identity": identity(Role.EVALUATION, rows),
        "attempt_key": "first",
        "fields": {"data.eval": Declared(f"rows-{rows}", "evaluate")},
        "depends_on": (at(Role.TRAINING),),
        "once": True,
    }
    return Resource(**(values | overrides))


def gated(text: str = "eval_loss <= 1.2") -> Gate:
    return Gate((bound(text),), at(Role.EVALUATION))


def desired(rows: int = 1, apart: bool = False, text: str = "eval_loss <= 1.2") -> tuple[Resource, ...]:
    """One experiment whose training evaluates on `rows`, or leaves that to a job of its own (`apart`)."""
    measured = evaluation(rows)
    trained = training(evaluates="" if apart else measured.stamp)
    return trained, measured, model(), endpoint(), deployment(gate=gated(text))


def measured(rows: int, loss: float = 1.0, **overrides: Any) -> Record:
    values: dict[str, Any] = {"of": training().stamp, "metrics": {"eval_loss": loss}, "eval_digest": f"rows-{rows}"}
    return record(evaluation(rows), **(values | overrides))


def serving(*records: Record) -> Snapshot:
    """Everything of `desired(1)` stands, trained and measured on the rows 1."""
    wanted = desired()
    first = measured(1)
    verdict = plan(wanted, snapshot(live(endpoint()), records=(record(training()), first)))
    said = the(verdict, Role.MODEL).verdict
    assert said is not None
    things = [live(one) for one in wanted[3:]]
    registered = live(model(), outputs={"gate": said.label})
    job = live(training(), declared={"data.eval": "rows-1", "adapter.r": 8})
    seen = snapshot(job, registered, *things, records=(record(training()), first, *records))
    return replace(seen, verdicts={said.key: replace(said, judged=(), kept=True)})


def steps(made: Plan) -> list[tuple[str, str]]:
    return [(str(change.address.role), str(change.action)) for change in made.follow]


def test_a_training_that_evaluates_needs_no_second_job() -> None:
    first = plan(desired())

    assert {change.address.role for change in first.now} == {Role.TRAINING, Role.ENDPOINT}
    assert Role.EVALUATION not in {change.address.role for change in first.follow}
    waits = the(first, Role.EVALUATION)
    assert (waits.action, waits.reason) == (Action.WAIT, Reason.PREREQUISITE)
    done = with_evaluations({training().stamp: record(training(), outputs={"evaluation": evaluation().identity})}, ())
    trained = plan(desired(), replace(snapshot(live(endpoint())), records=done))
    assert the(trained, Role.EVALUATION).reason is Reason.REUSED
    assert the(trained, Role.MODEL).stamps.keys() == {GATE}


def test_a_training_that_runs_for_other_rows_is_followed_by_an_evaluation() -> None:
    job = live(training(), Phase.RUNNING, outputs={"evaluates": evaluation(1).stamp})

    made = plan(desired(2), snapshot(job, live(endpoint())))

    assert made.now == ()
    assert ("evaluation", "create") in steps(made)
    assert ("training", "create") not in steps(made)
    same = plan(desired(1), snapshot(job, live(endpoint())))
    assert ("evaluation", "create") not in steps(same)


def test_other_rows_are_evaluated_and_judged_again_and_nothing_is_trained() -> None:
    made = plan(desired(2), serving())

    (change,) = made.now
    assert (change.address.role, change.action) == (Role.EVALUATION, Action.CREATE)
    assert change.detail == "evaluated again: nothing is trained"
    assert change.fields == (FieldChange("data.eval", "rows-1", "rows-2", "evaluate"),)
    assert steps(made) == [("model", "update")]
    assert the(made, Role.DEPLOYMENT).action is Action.NOOP
    (impact,) = made.impacts
    assert (impact.runs, impact.evaluations) == (0, 1)


@pytest.mark.parametrize(("loss", "word"), [(1.0, "passed"), (2.0, "failed")])
def test_what_the_new_rows_say_is_kept_and_takes_nothing_down(loss: float, word: str) -> None:
    made = plan(desired(2), serving(measured(2, loss)))

    (change,) = made.now
    assert (change.address.role, change.reason) == (Role.MODEL, Reason.JUDGED)
    assert change.fields[-1].after == word
    assert change.verdict is not None
    assert change.verdict.stamp == evaluation(2).stamp
    assert the(made, Role.DEPLOYMENT).action is Action.NOOP
    kept = replace(change.verdict, judged=(), kept=True)
    after = replace(serving(measured(2, loss)), verdicts={kept.key: kept})
    doubts = the(plan(desired(2), after), Role.DEPLOYMENT).detail
    assert doubts == ("" if word == "passed" else f"serves, and does not pass its gate: {kept.words}")


def test_what_is_no_longer_measured_is_named_as_well() -> None:
    seen = serving()
    scored = tuple(
        replace(item, declared={**item.declared, "evaluation.metrics": ["rouge_l"]}) if item.declared else item
        for item in seen.live
    )

    made = plan(desired(2), replace(seen, live=scored))

    assert [item.path for item in the(made, Role.EVALUATION).fields] == ["data.eval", "evaluation.metrics"]


def test_a_revert_to_the_old_rows_measures_nothing() -> None:
    made = plan(desired(1), serving(measured(2, 2.0)))

    assert made.now == ()


def test_a_model_that_does_not_serve_is_judged_by_the_rows_that_git_names() -> None:
    records = (record(training()), measured(1, 1.0), measured(2, 2.0))
    seen = snapshot(live(endpoint()), records=records)

    good, bad = plan(desired(1), seen), plan(desired(2), seen)

    assert the(good, Role.DEPLOYMENT).action is Action.WAIT
    assert (the(bad, Role.DEPLOYMENT).action, the(bad, Role.DEPLOYMENT).reason) == (Action.HOLD, Reason.GATE)


def test_an_evaluation_on_a_machine_of_its_own_comes_after_the_training_and_before_the_deployment() -> None:
    first = plan(desired(apart=True))
    trained = plan(desired(apart=True), snapshot(live(endpoint()), records=(record(training()),)))

    assert steps(first)[:2] == [("evaluation", "create"), ("model", "create")]
    assert steps(first).index(("model", "update")) < steps(first).index(("deployment", "create"))
    assert {change.address.role for change in trained.now} == {Role.EVALUATION, Role.MODEL}
    assert the(trained, Role.EVALUATION).detail == ""
    assert (the(trained, Role.DEPLOYMENT).action, the(trained, Role.DEPLOYMENT).verdict) == (Action.WAIT, None)


def test_a_running_evaluation_is_waited_for_and_one_of_other_rows_is_cancelled() -> None:
    running = live(evaluation(2), Phase.RUNNING)
    older = live(evaluation(3), Phase.RUNNING)

    made = plan(desired(2), replace(serving(), live=(*serving().live, running, older)))

    assert (the(made, Role.EVALUATION).action, the(made, Role.EVALUATION).reason) == (Action.WAIT, Reason.IN_PROGRESS)
    (cancelled,) = made.now
    assert (cancelled.action, cancelled.before) == (Action.CANCEL, older)


def test_a_failed_evaluation_is_held_with_what_it_gates_until_its_attempt_changes() -> None:
    failed = live(evaluation(2), Phase.FAILED, failure=Failure(Cause.DATA, "a bad row"))
    seen = replace(snapshot(failed, live(endpoint()), live(model())), records={training().stamp: record(training())})

    held = plan(desired(2), seen)
    again = plan((desired(2)[0], evaluation(2, attempt_key="second"), *desired(2)[2:]), seen)

    assert (the(held, Role.EVALUATION).action, the(held, Role.EVALUATION).reason) == (Action.HOLD, Reason.FAILED)
    assert the(held, Role.DEPLOYMENT).action is Action.HOLD
    assert the(again, Role.EVALUATION).action is Action.CREATE
    assert the(again, Role.EVALUATION).reason is Reason.ATTEMPT_CHANGED


def test_a_held_training_holds_its_evaluation() -> None:
    failed = live(training(), Phase.FAILED)

    made = plan(desired(), snapshot(failed, live(endpoint())))

    assert (the(made, Role.EVALUATION).action, the(made, Role.EVALUATION).reason) == (Action.HOLD, Reason.PREREQUISITE)


def test_an_evaluation_of_an_artifact_that_was_trained_again_is_void() -> None:
    def stored(digest: str, **overrides: Any) -> Record:
        return record(training(), outputs={"artifact_digest": digest}, **overrides)

    other = measured(2, outputs={"artifact_digest": "one"})

    def known(run: Record) -> set[str]:
        return set(with_evaluations({run.stamp: run}, (other,)))

    assert known(stored("one")) == {training().stamp, other.stamp}
    assert known(stored("two")) == {training().stamp}
    assert known(stored("one", pruned=True)) == {training().stamp}
    assert set(with_evaluations({}, (other,))) == set()


def test_a_pruned_run_evaluates_nothing_any_more() -> None:
    pruned = record(training(), outputs={"evaluation": evaluation().identity}, pruned=True)

    assert set(with_evaluations({pruned.stamp: pruned}, ())) == {pruned.stamp}


def test_the_job_of_a_void_evaluation_holds_nothing() -> None:
    """It succeeded, and its record tells of an artifact that was pruned and trained again since."""
    again = record(training(), since=NOW - HOUR / 2)
    old = live(evaluation(2), created=NOW - HOUR)

    made = plan(desired(2), replace(serving(), live=(*serving().live, old), records={again.stamp: again}))

    assert the(made, Role.EVALUATION).action is Action.CREATE
    younger = replace(old, created=NOW - HOUR / 4, since=NOW - HOUR / 4)
    kept = plan(desired(2), replace(serving(), live=(*serving().live, younger), records={again.stamp: again}))
    assert the(kept, Role.EVALUATION).reason is Reason.ARTIFACT_MISSING


def test_a_champion_is_compared_by_its_evaluation_on_the_candidate_s_rows() -> None:
    wanted = desired(2, text="eval_loss <= champion")
    rival = live(deployment(version=7), outputs={"trained_by": training(version=7).stamp})
    its_run = record(training(version=7), metrics={"eval_loss": 9.0}, eval_digest="rows-1")

    def said(*records: Record) -> str:
        seen = snapshot(live(endpoint()), rival, records=(record(training()), measured(2, 1.0), its_run, *records))
        verdict = the(plan(wanted, seen), Role.MODEL).verdict
        assert verdict is not None
        assert verdict.champion == training(version=7).stamp
        return verdict.words

    old = Record("older", metrics={"eval_loss": 0.1}, eval_digest="rows-2", of=its_run.stamp, since=1.0)
    new = Record("newer", metrics={"eval_loss": 0.5}, eval_digest="rows-2", of=its_run.stamp, since=2.0)

    assert "were measured on other rows" in said()
    assert said(old) == "eval_loss = 1, not <= champion's 0.1, misses by 0.9"
    assert said(old, new) == "eval_loss = 1, not <= champion's 0.5, misses by 0.5"


def test_where_it_is_told_what_was_measured_before_an_evaluation_names_no_field() -> None:
    seen = serving()
    silent: tuple[LiveResource, ...] = tuple(replace(item, declared={}) for item in seen.live)

    made = plan(desired(2), replace(seen, live=silent))

    assert the(made, Role.EVALUATION).fields == ()


def test_a_retry_of_an_evaluation_says_where_and_that_nothing_is_trained() -> None:
    passing = live(evaluation(2), Phase.FAILED, failure=Failure(Cause.STOCKOUT, "none"), since=NOW - HOUR)

    made = plan(desired(2), replace(serving(), live=(*serving().live, passing)))

    assert the(made, Role.EVALUATION).reason is Reason.RETRY
    assert the(made, Role.EVALUATION).detail.endswith("evaluated again: nothing is trained")


def test_a_commit_with_other_rows_is_told_as_an_evaluation_with_its_own_metrics() -> None:
    def point(number: int, rows: int) -> Point:
        commit = Commit(str(number), "2026-01-01T00:00:00Z", "ann", "rows")
        return Point(commit, "bot", "bot.yaml", (training(), evaluation(rows), model(), endpoint(), deployment()))

    history = lineage([point(1, 1), point(2, 2)])
    traces = Traces(
        runs={training().stamp: Run("job", metrics={"eval_loss": 1.0})},
        measured={evaluation(2).stamp: {"eval_loss": 2.0}},
    )

    newest, oldest = joined(history, traces)

    assert (newest.step.kind, oldest.step.kind) == (Kind.EVALUATION, Kind.NEW)
    assert newest.run is not None
    assert oldest.run is not None
    assert (newest.run.metrics, oldest.run.metrics) == ({"eval_loss": 2.0}, {"eval_loss": 1.0})


def test_every_evaluation_tells_its_own_identity_and_whose_artifact_it_measured() -> None:
    run = record(training(), outputs={"evaluation": evaluation(1).identity, "artifact_digest": "one"})
    apart = measured(2, outputs={"artifact_digest": "one"})

    found = with_evaluations({run.stamp: run}, (apart,))

    own = found[evaluation(1).stamp]
    assert (own.stamp, own.of, own.metrics) == (evaluation(1).stamp, run.stamp, run.metrics)
    assert found[evaluation(2).stamp] is apart
    assert found[run.stamp] is run
