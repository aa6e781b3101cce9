import pytest

from schemas.gate import Expression, parse


@pytest.mark.parametrize(
    ("text", "bound"),
    [
        ("eval_loss <= 1.2", Expression("eval_loss", "<=", 1.2, relative=False)),
        ("rouge_l>=champion-0.01", Expression("rouge_l", ">=", -0.01, relative=True)),
        ("f1 > champion + 1e-3", Expression("f1", ">", 0.001, relative=True)),
        ("exact_match == champion", Expression("exact_match", "==", 0.0, relative=True)),
        (" loss < -2 ", Expression("loss", "<", -2.0, relative=False)),
    ],
)
def test_a_gate_is_a_metric_an_operator_and_a_bound(text: str, bound: Expression) -> None:
    assert parse(text) == bound


@pytest.mark.parametrize(
    "text", ["", "eval_loss", "1 < eval_loss", "a <= b", "a <= champion * 2", "a =< 1", "a < 1 or b"]
)
def test_anything_else_is_none(text: str) -> None:
    assert parse(text) is None
