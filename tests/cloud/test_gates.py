"""Gates against a real bucket and registry: what is said once stays said, whatever happens in between."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from reconciler.cloud import verdicts
from reconciler.cloud.apply import apply_plan
from reconciler.cloud.reconcile import Wish, look
from reconciler.cloud.site import Site, open_site
from reconciler.core.changes import Action, Reason
from reconciler.core.report import Outcome
from reconciler.core.resources import Gate, Resource, Role
from reconciler.core.target import Target
from reconciler.core.verdict import Bound, Verdict
from tests.cloud.story import actions, apply, live, measured, messages, models, settle
from tests.cloud.test_crash import BOUNDARIES, afterwards, kill_one
from tests.cloud.wishes import whole
from tests.core.builders import bound

BETTER = bound("rouge_l >= champion - 0.05", 0.95)
LOW = bound("eval_loss <= 1")


def gated(target: Target, *bounds: Bound, r: int = 8) -> tuple[Resource, ...]:
    run, model, endpoint, deployment = whole(target, r=r)
    return run, model, endpoint, replace(deployment, gate=Gate(bounds, run.address))


def verdict_of(site: Site, desired: tuple[Resource, ...]) -> tuple[dict[str, object], int]:
    """(content, generation) of what was said about the run of `desired`."""
    gate = desired[3].gate
    assert gate is not None
    name = f"{verdicts.folder_of(site.target)}bot/{desired[0].stamp}-{gate.text}.json"
    content, generation = site.storage.read(name)
    return json.loads(content), generation


def label_of(site: Site) -> str:
    (model,) = models(site)
    return str(dict(model["labels"])["loraform-gate"])


def test_a_model_below_the_gate_is_registered_labelled_and_never_deployed(site: Site) -> None:
    desired = gated(site.target, bound("eval_loss <= 0.4"))
    measured(site, desired[0], {"eval_loss": 0.5})

    last = settle(site, desired)
    said, generation = verdict_of(site, desired)
    again = settle(site, desired)

    assert actions(last)["deployment"] is Action.HOLD, messages(last)
    assert [change.reason for change in last.plan.blocked] == [Reason.GATE]
    assert label_of(site).startswith("failed-")
    assert live(site, Role.DEPLOYMENT) == []
    assert (said["passed"], said["digest"], said["rows"]) == (False, "rows", 4)
    assert said["judged"][0]["limit"] == 0.4
    assert again.plan.blocked[0].detail == "eval_loss = 0.5, not <= 0.4, misses by 0.1"
    assert verdict_of(site, desired)[1] == generation


def test_a_candidate_is_compared_row_by_row_with_what_serves(site: Site) -> None:
    champion, worse, alike = (gated(site.target, BETTER, r=r) for r in (8, 16, 32))
    scores = [0.5, 0.7, 0.9, 0.6] * 25
    measured(site, champion[0], rouge_l=scores)
    measured(site, worse[0], rouge_l=[score - 0.2 for score in scores])
    measured(site, alike[0], rouge_l=[score + 0.01 * (-1) ** row for row, score in enumerate(scores)])

    settle(site, champion)
    held = settle(site, worse)
    rolled = settle(site, alike)

    first, beaten, passed = (verdict_of(site, desired)[0] for desired in (champion, worse, alike))
    assert (first["passed"], first["champion"]) == (True, "")
    assert (beaten["passed"], beaten["champion"]) == (False, champion[0].stamp)
    assert beaten["judged"][0]["certainty"] == 0.0
    assert "not >= champion's 0.675 - 0.05 at 0 % (95 % asked, " in held.plan.blocked[0].detail
    assert (passed["passed"], passed["judged"][0]["certainty"]) == (True, 1.0)
    assert [item.stamp for item in live(site, Role.DEPLOYMENT)] == [alike[3].stamp]
    assert set(actions(rolled).values()) == {Action.NOOP}


def test_a_candidate_without_scores_per_row_is_held(site: Site) -> None:
    champion, candidate = gated(site.target, BETTER), gated(site.target, BETTER, r=16)
    measured(site, champion[0], rouge_l=[0.5, 0.6])
    settle(site, champion)
    measured(site, candidate[0], {"rouge_l": 0.9})

    held = settle(site, candidate)

    assert "left no rouge_l per row" in held.plan.blocked[0].detail


def test_a_champion_measured_on_other_rows_holds_and_a_number_helps(site: Site) -> None:
    plain = bound("rouge_l >= champion")
    champion, candidate = gated(site.target, plain), gated(site.target, plain, r=16)
    measured(site, champion[0], {"rouge_l": 0.5})
    settle(site, champion)
    measured(site, candidate[0], {"rouge_l": 0.9}, digest="other rows")

    held = settle(site, candidate)
    numbered = settle(site, gated(site.target, bound("rouge_l >= 0.5"), r=16))

    assert "were measured on other rows" in held.plan.blocked[0].detail
    assert set(actions(numbered).values()) == {Action.NOOP}, messages(numbered)
    assert label_of(site).startswith("passed-")


def test_a_revert_is_not_judged_again_though_a_better_one_serves(site: Site) -> None:
    plain = bound("rouge_l >= champion")
    first, better = gated(site.target, plain), gated(site.target, plain, r=16)
    measured(site, first[0], {"rouge_l": 0.5})
    measured(site, better[0], {"rouge_l": 0.9})
    settle(site, first)
    settle(site, better)

    reverted = settle(site, first)

    assert set(actions(reverted).values()) == {Action.NOOP}, messages(reverted)
    assert [item.stamp for item in live(site, Role.DEPLOYMENT)] == [first[3].stamp]


def test_without_the_kept_numbers_the_label_of_the_version_still_counts(site: Site) -> None:
    desired = gated(site.target, bound("eval_loss <= 0.4"))
    measured(site, desired[0], {"eval_loss": 0.5})
    settle(site, desired)
    for listed in site.storage.list(verdicts.folder_of(site.target)):
        site.storage.delete(listed.name)
    measured(site, desired[0], {"eval_loss": 0.1})

    held = settle(site, desired)

    assert held.plan.blocked[0].detail == "not passed, says the label of the model version; the numbers are gone"


def test_of_two_who_judge_at_once_the_second_registers_nothing(site: Site) -> None:
    desired = gated(site.target, LOW)
    measured(site, desired[0], {"eval_loss": 0.5})
    seen = look(site, Wish(desired))
    mine = next(change.verdict for change in seen.plan.changes if change.verdict)
    other: Verdict = replace(mine, passed=False, words="as another saw it")
    assert verdicts.keep(site.storage, site.target, other)

    report = apply_plan(seen.plan, seen.snapshot, site, by="latecomer")
    after = apply(site, desired)

    outcomes = {str(result.change.address.role): result.outcome for result in report.results}
    assert outcomes["model"] is Outcome.WAITING
    assert next(change.detail for change in after.plan.blocked) == "as another saw it"
    assert label_of(site).startswith("failed-")


@pytest.mark.slow
def test_killed_anywhere_between_the_metrics_and_the_registration_a_gate_speaks_once(
    target: Target, tmp_path: Path
) -> None:
    """After each death the metrics read otherwise: who judged again would say something else."""
    said_before_death = 0
    for nth in range(1, BOUNDARIES):
        mine = replace(target, fleet=f"{target.fleet}-{nth}")
        desired = gated(mine, LOW)
        site = open_site(mine, tmp_path)
        measured(site, desired[0], {"eval_loss": 0.5})
        requests = kill_one(mine, tmp_path, desired, nth)
        said = bool(site.storage.list(verdicts.folder_of(mine)))
        if requests is None:
            break
        said_before_death += said
        measured(site, desired[0], {"eval_loss": 7.0})

        settle(afterwards(mine, tmp_path), desired)

        assert verdict_of(site, desired)[0]["passed"] is said, requests
        assert label_of(site).startswith("passed-" if said else "failed-"), requests
        assert bool(live(site, Role.DEPLOYMENT)) is said, requests
    else:
        pytest.fail("the apply never ended")
    assert said_before_death >= 3


def test_what_cannot_be_read_as_scores_or_verdicts_is_none(site: Site) -> None:
    desired = gated(site.target, BETTER)
    measured(site, desired[0], rouge_l=[0.5, 0.6])
    scores = f"{site.target.artifact_uri(desired[0].identity, 1)}/model/scores.json".removeprefix(
        f"gs://{site.target.bucket}/"
    )
    for content in (b"{", b"[]", b'{"rows": 1}', b'{"rows": [0], "eval_digest": "", "metrics": {"rouge_l": [NaN]}}'):
        site.storage.write(scores, content)

        found = look(site, Wish(desired)).snapshot.scores.get(desired[0].stamp)

        assert found is None or not found.metrics
    site.storage.write(f"{verdicts.folder_of(site.target)}bot/notes.json", b"{}")
    site.storage.write(f"{verdicts.folder_of(site.target)}bot/a-b.json", b"{}")

    assert look(site, Wish(desired)).snapshot.verdicts == {}
