"""When a gate judges, against whom, and what of it is kept."""

from __future__ import annotations

from dataclasses import replace
from itertools import product
from typing import Any

import pytest

from reconciler.core.changes import Action, FieldChange, Plan, Reason
from reconciler.core.guardrails import Limits
from reconciler.core.judging import unjudged
from reconciler.core.resources import Gate, LiveResource, Phase, Record, Resource, Role, Snapshot, Source
from reconciler.core.verdict import GATE, Scores, Verdict, label_of
from reconciler.core.world import Patience, world_of
from tests.core.builders import (
    NOW,
    at,
    bound,
    deployment,
    endpoint,
    gate,
    live,
    model,
    plan,
    record,
    snapshot,
    the,
    training,
)

LOW = gate("eval_loss <= 1.2")
BETTER = gate("accuracy >= champion")
SURE = Gate((bound("accuracy >= champion - 0.05", 0.9),), at(Role.TRAINING))


def desired(asked: Gate, **overrides: Any) -> tuple[Resource, ...]:
    return training(), model(), endpoint(), deployment(gate=asked, **overrides)


def serving(version: int, share: int = 100, **overrides: Any) -> LiveResource:
    """A deployment of another version, with its share of the traffic."""
    values = {"spec": {"traffic": share}, "outputs": {"trained_by": training(version=version).stamp}}
    return live(deployment(version=version), **(values | overrides))


def accurate(version: int, accuracy: float, **overrides: Any) -> Record:
    return record(training(version=version), metrics={"accuracy": accuracy}, **overrides)


def keeping(seen: Snapshot, verdict: Verdict, registered: LiveResource | None = None) -> Snapshot:
    kept = replace(verdict, judged=(), kept=True)
    live_too = seen.live if registered is None else (*seen.live, registered)
    return replace(seen, live=live_too, verdicts={verdict.key: kept})


def labelled(verdict: Verdict | None) -> LiveResource:
    return live(model(), outputs={"gate": verdict.label} if verdict else {})


def new_verdict(made: Plan) -> Verdict:
    verdict = the(made, Role.MODEL).verdict
    assert verdict is not None
    assert not verdict.kept
    return verdict


def test_a_model_is_registered_with_its_verdict_and_deployed_when_it_passed() -> None:
    made = plan(desired(LOW), snapshot(live(endpoint()), records=(record(training()),)))

    said = new_verdict(made)
    assert the(made, Role.MODEL).action is Action.CREATE
    assert the(made, Role.MODEL).stamps == {GATE: label_of(LOW.text, training().stamp, passed=True)}
    assert (said.passed, said.words, said.digest, said.rows) == (True, "eval_loss = 1, <= 1.2", "rows", 9)
    assert [(str(change.address.role), str(change.action)) for change in made.follow] == [
        ("deployment", "create"),
        ("deployment", "update"),
    ]


def test_a_model_below_the_gate_is_registered_with_its_verdict_and_held_at_once() -> None:
    seen = snapshot(live(endpoint()), records=(record(training()),))
    low = gate("eval_loss <= 0.5")

    first = plan(desired(low), seen)
    second = plan(desired(low), keeping(seen, new_verdict(first), labelled(new_verdict(first))))

    assert the(first, Role.MODEL).stamps == {GATE: label_of(low.text, training().stamp, passed=False)}
    for made in (first, second):
        assert (the(made, Role.DEPLOYMENT).action, the(made, Role.DEPLOYMENT).reason) == (Action.HOLD, Reason.GATE)
        assert the(made, Role.DEPLOYMENT).detail == "eval_loss = 1, not <= 0.5, misses by 0.5"
        assert not [change for change in made.follow if change.address.role is Role.DEPLOYMENT]
    assert the(second, Role.MODEL).action is Action.NOOP


def test_what_was_said_once_is_not_said_again_whoever_serves_now() -> None:
    seen = snapshot(live(endpoint()), records=(accurate(1, 0.5), accurate(2, 0.9)))
    alone = new_verdict(plan(desired(BETTER), seen))

    reverted = plan(desired(BETTER), keeping(replace(seen, live=(*seen.live, serving(2))), alone, labelled(alone)))

    assert alone.words == "accuracy = 0.5, no champion to compare with"
    assert the(reverted, Role.DEPLOYMENT).action is Action.CREATE


def test_a_crash_between_verdict_and_registration_changes_nothing_about_it() -> None:
    seen = snapshot(live(endpoint()), records=(accurate(1, 0.5), accurate(2, 0.9)))
    alone = new_verdict(plan(desired(BETTER), seen))

    again = plan(desired(BETTER), keeping(replace(seen, live=(*seen.live, serving(2))), alone))

    change = the(again, Role.MODEL)
    assert (change.action, change.stamps) == (Action.CREATE, {GATE: alone.label})
    assert change.verdict == replace(alone, judged=(), kept=True)


@pytest.mark.parametrize("passed", [True, False])
def test_where_only_the_label_is_left_the_label_counts(passed: bool) -> None:
    version = live(model(), outputs={"gate": label_of(BETTER.text, training().stamp, passed=passed)})
    seen = snapshot(live(endpoint()), version, serving(2), records=(accurate(1, 0.5), accurate(2, 0.9 - 0.8 * passed)))

    made = plan(desired(BETTER), seen)

    assert the(made, Role.DEPLOYMENT).action is (Action.CREATE if passed else Action.HOLD)
    assert the(made, Role.MODEL).action is Action.NOOP


def test_another_gate_text_is_judged_anew_and_relabels_the_model_before_it_is_deployed() -> None:
    version = live(model(), outputs={"gate": label_of(gate("eval_loss <= 0.1").text, training().stamp, passed=False)})
    seen = snapshot(live(endpoint()), version, records=(record(training()),))

    made = plan(desired(LOW), seen)

    change = the(made, Role.MODEL)
    assert (change.action, change.reason) == (Action.UPDATE, Reason.JUDGED)
    assert change.fields == (FieldChange("gate", "failed", "passed", "label"),)
    assert the(made, Role.DEPLOYMENT).reason is Reason.PREREQUISITE
    assert made.follow[0].action is Action.CREATE
    assert the(plan(desired(LOW), keeping(seen, new_verdict(made))), Role.DEPLOYMENT).action is Action.CREATE


@pytest.mark.parametrize("bound", ["eval_loss <= 1.2", "eval_loss <= 0.5"])
def test_a_gate_that_comes_to_what_serves_already_is_said_and_takes_nothing_down(bound: str) -> None:
    wanted = desired(gate(bound))
    things = [live(one) for one in wanted[1:]]

    made = plan(wanted, snapshot(*things, records=(record(training()),)))

    (change,) = (*made.now, *made.follow)
    assert (change.address.role, change.reason, new_verdict(made).passed) == (Role.MODEL, Reason.JUDGED, "1.2" in bound)
    assert the(made, Role.DEPLOYMENT).action is Action.NOOP


def test_a_gate_is_not_judged_before_there_are_metrics_and_the_forecast_says_it_is_unknown() -> None:
    made = plan(desired(LOW))

    said = [change.verdict for change in (*made.changes, *made.follow) if change.verdict]
    assert said
    assert all(verdict.imagined for verdict in said)
    assert Role.DEPLOYMENT in {change.address.role for change in made.follow}


def test_metrics_whose_artifact_is_gone_judge_nothing() -> None:
    seen = snapshot(live(endpoint()), live(model()), records=(record(training(), pruned=True),))

    assert the(plan(desired(LOW), seen), Role.MODEL).verdict is None


def test_the_champion_is_what_has_the_most_traffic_and_comes_from_another_run() -> None:
    of_the_same_run = serving(7, 60, outputs={"trained_by": training().stamp})
    rivals = (serving(2, 30), serving(3, 10), serving(4, 0), of_the_same_run)
    odd = serving(5, name="odd", spec={"traffic": "all"})
    failed = serving(6, phase=Phase.FAILED)
    records = tuple(accurate(n, n / 10) for n in range(1, 7))
    seen = snapshot(live(endpoint()), live(model()), *rivals, odd, failed, records=records)

    said = new_verdict(plan(desired(BETTER), seen))

    assert (said.champion, said.words) == (
        training(version=2).stamp,
        "accuracy = 0.1, not >= champion's 0.2, misses by 0.1",
    )


def test_what_has_no_traffic_is_no_champion() -> None:
    seen = snapshot(live(endpoint()), live(model()), serving(2, 0), records=(accurate(1, 0.1), accurate(2, 0.9)))

    assert new_verdict(plan(desired(BETTER), seen)).passed


def test_a_champion_that_nobody_knows_anything_of_holds() -> None:
    seen = snapshot(live(endpoint()), live(model()), serving(2, outputs={}), records=(accurate(1, 0.9),))

    made = plan(desired(BETTER), seen)

    assert new_verdict(made).champion == deployment(version=2).stamp
    assert "has no run record to compare with" in the(made, Role.DEPLOYMENT).detail


def test_a_champion_that_was_measured_on_other_rows_holds() -> None:
    seen = snapshot(
        live(endpoint()), live(model()), serving(2), records=(accurate(1, 0.9), accurate(2, 0.1, eval_digest="others"))
    )

    assert "were measured on other rows" in the(plan(desired(BETTER), seen), Role.DEPLOYMENT).detail


def test_too_few_rows_for_a_margin_are_a_warning_where_the_gate_stands() -> None:
    scores = {training().stamp: [0.9, 0.1], training(version=2).stamp: [0.1, 0.9]}
    seen = snapshot(live(endpoint()), serving(2), records=(accurate(1, 0.5), accurate(2, 0.5)))
    known = {stamp: Scores("rows", (0, 1), {"accuracy": tuple(values)}) for stamp, values in scores.items()}

    made = plan(desired(SURE), replace(seen, scores=known))

    (warning,) = made.diagnostics
    assert (warning.rule, str(warning.severity)) == ("gate-rows", "warning")
    assert "rows are needed to show it" in warning.message
    assert warning.remedy == "Widen the margin, or evaluate on more rows."
    assert warning.source == the(made, Role.DEPLOYMENT).after.source
    kept = keeping(replace(seen, scores=known), new_verdict(made))
    assert not plan(desired(SURE), kept).diagnostics
    place = Source("experiments/bot.yaml", 7, 11)
    (placed,) = plan(desired(replace(SURE, sources=(place,))), replace(seen, scores=known)).diagnostics
    assert placed.source == place


def test_scores_are_read_for_candidates_without_a_verdict_and_their_champions_alone() -> None:
    def asked(asked_for: Gate, seen: Snapshot) -> set[str]:
        return set(unjudged(world_of(desired(asked_for), seen, NOW, Patience())))

    both = {training().stamp, training(version=2).stamp}
    seen = snapshot(live(endpoint()), serving(2), records=(accurate(1, 0.5), accurate(2, 0.5)))
    said = Verdict("bot", training().stamp, SURE.text, True, "said", kept=True)
    absolute = Gate((bound("accuracy >= 0.5", 0.9),), at(Role.TRAINING))

    assert asked(SURE, seen) == both
    assert asked(absolute, seen) == {training().stamp}
    assert asked(SURE, replace(seen, live=(live(endpoint()),))) == {training().stamp}
    assert asked(SURE, replace(seen, verdicts={said.key: said})) == set()
    assert asked(SURE, replace(seen, records={})) == set()
    assert asked(BETTER, seen) == set()


def test_what_was_said_under_a_former_name_holds() -> None:
    said = Verdict("old-bot", training().stamp, LOW.text, False, "said before", kept=True)
    seen = snapshot(live(endpoint()), live(model()), records=(record(training()),))

    made = plan(desired(LOW, moved_from=("old-bot",)), replace(seen, verdicts={said.key: said}))

    assert the(made, Role.DEPLOYMENT).detail == "said before"


def test_nothing_is_deployed_before_its_model_has_its_verdict() -> None:
    adopted = live(model(), adopted_from="old-bot")
    seen = snapshot(live(endpoint()), adopted, records=(record(training()),))

    made = plan(desired(LOW), seen)

    assert the(made, Role.MODEL).verdict is None
    assert (the(made, Role.DEPLOYMENT).action, the(made, Role.DEPLOYMENT).reason) == (Action.WAIT, Reason.PREREQUISITE)
    assert made.follow[0].reason is Reason.JUDGED


def test_a_model_that_a_guard_holds_keeps_its_verdict_to_itself() -> None:
    limits = Limits(new_accelerators=0)
    wanted = (training(), model(accelerators=1), endpoint(), deployment(gate=LOW))

    made = plan(wanted, snapshot(live(endpoint()), records=(record(training()),)), limits=limits)

    assert (the(made, Role.MODEL).action, made.now, made.follow) == (Action.HOLD, (), ())


def test_every_case_of_a_gated_deployment_is_decided_by_what_was_said_first() -> None:
    """The rows of the law: a verdict that stands wins over the label, the label over the metrics."""
    asked = gate("eval_loss <= 0.5")
    words = ("no", "passed", "failed")
    for stored, label, metrics, version in product(words, words, ("none", "good", "bad"), (True, False)):
        case = (stored, label, metrics, version)
        seen = snapshot(live(endpoint()))
        if version:
            named = {} if label == "no" else {"gate": label_of(asked.text, training().stamp, passed=label == "passed")}
            seen = replace(seen, live=(*seen.live, live(model(), outputs=named)))
        if metrics != "none":
            done = record(training(), metrics={"eval_loss": 0.1 if metrics == "good" else 1.0})
            seen = replace(seen, records={done.stamp: done})
        if stored != "no":
            said = Verdict("bot", training().stamp, asked.text, stored == "passed", "said before", kept=True)
            seen = replace(seen, verdicts={said.key: said})

        change = the(plan(desired(asked), seen), Role.DEPLOYMENT)

        shown = label if version else "no"
        said_first = [word for word in (stored, shown) if word != "no"]
        known = said_first[0] if said_first else {"good": "passed", "bad": "failed"}.get(metrics)
        if known == "failed":
            expected = (Action.HOLD, Reason.GATE)
        elif not version or not said_first:
            expected = (Action.WAIT, Reason.PREREQUISITE)  # training, registration, or the label comes first
        else:
            expected = (Action.CREATE, Reason.ABSENT)
        assert (change.action, change.reason) == expected, case
