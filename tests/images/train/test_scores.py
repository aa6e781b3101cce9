from __future__ import annotations

from dataclasses import replace

import pytest

from images.train.answers import Prediction
from images.train.failures import SpecInvalid
from images.train.scores import known_metrics, means, score
from images.train.sql import Databases
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
    databases = Databases([{}], script="CREATE TABLE t (a)")

    scores = score([said("SELECT a FROM t", "SELECT a FROM t")], SCORED, "rows", databases=databases)

    assert known_metrics((*SCORED, *ALWAYS), (), True, "messages") == SCORED
    assert set(PER_ROW) == set(scores.metrics)


def test_the_losses_need_no_generation() -> None:
    assert known_metrics(("eval_loss", "exact_match"), (), True, "messages") == ("exact_match",)


@pytest.mark.parametrize(
    ("names", "eval_rows", "form", "said"),
    [
        (("blue",), True, "messages", "'blue' is not known"),
        (("exact_match",), False, "messages", "needs eval rows"),
        (("rouge_l",), True, "text", "needs questions and answers"),
    ],
)
def test_a_metric_that_cannot_be_computed_is_refused(
    names: tuple[str, ...], eval_rows: bool, form: str, said: str
) -> None:
    with pytest.raises(SpecInvalid, match=said):
        known_metrics(names, (), eval_rows, form)


@pytest.mark.parametrize(
    ("metric", "answer", "expected", "value"),
    [
        ("f1", "the red table", "On the red table.", 0.8),
        ("f1", "", "", 1.0),
        ("f1", "blue", "On the red table.", 0.0),
        ("bleu", "On the red table.", "On the red table.", 1.0),
        ("bleu", "nothing alike", "On the red table.", 0.0),
        ("chrf", "On the red table.", "On the red table.", 1.0),
        ("json_valid", '{"shelf": [1, 2]}', "", 1.0),
        ("json_valid", '{"shelf": NaN}', "", 0.0),
        ("json_valid", "{'shelf': 1}", "", 0.0),
    ],
)
def test_each_metric_says_how_good_an_answer_is(metric: str, answer: str, expected: str, value: float) -> None:
    assert means(score([said(answer, expected)], [metric], "rows"))[metric] == pytest.approx(value, abs=1e-6)


def test_bleu_and_chrf_are_sacrebleus_of_one_sentence() -> None:
    scores = means(score([said("the red table is here", "the red table is there")], ["bleu", "chrf"], "rows"))

    assert scores["bleu"] == pytest.approx(0.6687403, abs=1e-6)
    assert scores["chrf"] == pytest.approx(0.7818596, abs=1e-6)


def test_a_users_own_metric_is_one_of_them() -> None:
    scores = score([said("abc")], ["length"], "rows", own={"length": lambda p: len(p.answer)})

    assert known_metrics(("length",), ("length",), True, "messages") == ("length",)
    assert means(scores)["length"] == 3.0


def test_a_score_that_is_no_number_is_refused() -> None:
    with pytest.raises(SpecInvalid, match="length of row 0 is nan"):
        score([said("abc")], ["length"], "rows", own={"length": lambda p: float("nan")})
