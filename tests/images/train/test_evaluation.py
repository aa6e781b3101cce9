from __future__ import annotations

from dataclasses import replace

import pytest

from images.train.evaluation import Prediction, known_metrics, means, score
from images.train.failures import SpecInvalid
from schemas.gate import ALWAYS, PER_ROW, SCORED


def said(answer: str, expected: str = "On the red table.", *, stopped: bool = True) -> Prediction:
    return Prediction("?", expected, answer, stopped)


def test_an_exact_match_forgives_blanks_around_only() -> None:
    scores = score([said(" On the red table.\n"), said("on the red table.")], ["exact_match"], "rows")

    assert scores.metrics == {"exact_match": (1.0, 0.0), "stopped": (1.0, 1.0)}
    assert means(scores) == {"exact_match": 0.5, "stopped": 1.0}


def test_rouge_l_is_the_f_measure_of_the_longest_common_subsequence() -> None:
    scores = score([said("on the table")], ["rouge_l"], "rows")

    assert means(scores)["rouge_l"] == pytest.approx(2 * 1.0 * 0.75 / 1.75, abs=1e-6)


def test_answers_that_do_not_end_by_themselves_are_counted() -> None:
    assert means(score([said("a"), said("b", stopped=False)], [], "rows"))["stopped"] == 0.5


def test_scores_say_which_rows_they_are_of() -> None:
    scores = score([replace(said("a"), row=3), replace(said("b"), row=7)], ["exact_match"], "of these rows")

    assert (scores.rows, scores.eval_digest) == ((3, 7), "of these rows")


def test_what_a_manifest_may_name_is_what_can_be_scored() -> None:

    assert known_metrics((*SCORED, *ALWAYS), True, "messages") == SCORED
    assert set(PER_ROW) == set(score([said("a")], SCORED, "rows").metrics)


def test_the_losses_need_no_generation() -> None:
    assert known_metrics(("eval_loss", "exact_match"), True, "messages") == ("exact_match",)


@pytest.mark.parametrize(
    ("names", "eval_rows", "form", "said"),
    [
        (("bleu",), True, "messages", "'bleu' is not known"),
        (("exact_match",), False, "messages", "needs eval rows"),
        (("rouge_l",), True, "text", "needs questions and answers"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused(
    names: tuple[str, ...], eval_rows: bool, form: str, said: str
) -> None:
    with pytest.raises(SpecInvalid, match=said):
        known_metrics(names, eval_rows, form)
