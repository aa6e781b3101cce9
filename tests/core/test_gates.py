import math

import pytest

from reconciler.core.gates import Bound, gate_stamp, judge, parse


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("eval_loss <= 1.2", Bound("eval_loss", "<=", 1.2, relative=False)),
        ("rouge_l>=champion-0.01", Bound("rouge_l", ">=", -0.01, relative=True)),
        ("f1 > champion + 1e-3", Bound("f1", ">", 0.001, relative=True)),
        ("exact_match == champion", Bound("exact_match", "==", 0.0, relative=True)),
        (" loss < -2 ", Bound("loss", "<", -2.0, relative=False)),
    ],
)
def test_a_gate_is_a_metric_an_operator_and_a_bound(text: str, bound: Bound) -> None:
    assert parse(text) == bound


@pytest.mark.parametrize(
    "text", ["", "eval_loss", "1 < eval_loss", "a <= b", "a <= champion * 2", "a =< 1", "a < 1 or b"]
)
def test_anything_else_is_refused_with_the_grammar(text: str) -> None:
    with pytest.raises(ValueError, match="is not a gate: write `metric <= number`"):
        parse(text)


def test_all_expressions_must_hold() -> None:
    verdict = judge(("loss < 1", "f1 >= 0.5"), {"loss": 0.9, "f1": 0.4}, None)

    assert not verdict.passed
    assert verdict.lines == ("loss = 0.9, < 1", "f1 = 0.4, not >= 0.5")


@pytest.mark.parametrize("metrics", [{}, {"loss": math.nan}])
def test_a_metric_that_is_missing_or_not_a_number_does_not_pass(metrics: dict[str, float]) -> None:
    assert judge(("loss < 1",), metrics, None).lines == ("loss was not measured",)


def test_without_a_champion_a_relative_bound_passes_and_says_so() -> None:
    verdict = judge(("f1 >= champion",), {"f1": 0.1}, None)

    assert verdict.passed
    assert verdict.lines == ("f1 = 0.1, no champion to compare with",)


def test_a_champion_that_was_not_measured_does_not_pass() -> None:
    assert not judge(("f1 >= champion",), {"f1": 0.1}, {}).passed


def test_a_margin_is_added_to_the_champions_value() -> None:
    assert judge(("f1 >= champion - 0.05",), {"f1": 0.46}, {"f1": 0.5}).passed
    assert not judge(("f1 >= champion - 0.01",), {"f1": 0.46}, {"f1": 0.5}).passed


def test_a_verdict_is_kept_for_exactly_one_gate_text() -> None:
    stamps = {gate_stamp(text, passed=passed) for text in (("a < 1",), ("a < 2",)) for passed in (True, False)}

    assert len(stamps) == 4
    assert all(len(stamp) <= 63 for stamp in stamps)
