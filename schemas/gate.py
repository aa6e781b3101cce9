"""The gate grammar: `METRIC OP NUMBER`, or `METRIC OP champion`, with `+ NUMBER` or `- NUMBER` after it.

It says what an expression is, and which metrics there are to be named; judging a model is the planner's.
"""

from __future__ import annotations

import re
from typing import NamedTuple

_UNSIGNED = r"(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_GATE = re.compile(
    rf"\s*(?P<metric>[a-z][a-z0-9_]*)\s*(?P<operator><=|>=|==|<|>)\s*"
    rf"(?:(?P<bound>[-+]?{_UNSIGNED})|(?P<champion>champion)(?:\s*(?P<sign>[-+])\s*(?P<margin>{_UNSIGNED}))?)\s*"
)
ALWAYS = ("eval_loss", "eval_mean_token_accuracy", "train_loss", "perplexity")
"""Metrics that every run with `data.eval` has, beside those that the manifest names."""
SQL = "sql_match"
SCORED = ("exact_match", "rouge_l", "f1", "bleu", "chrf", "json_valid", SQL)
"""Metrics that a manifest may name: the tuned model answers the evaluation rows, and each answer gets a score."""
STOPPED = "stopped"
"""The share of the answers that ended by themselves, beside any of `SCORED`."""
LEAST_STOPPED = 0.95
"""What it must at least be: a model that does not end its answers is a broken one."""
PER_ROW = (*SCORED, STOPPED)
"""Metrics with a score per row, so that a confidence can be asked for."""


class Expression(NamedTuple):
    """`metric operator bound`; relative to the champion's value of the metric when `relative`."""

    metric: str
    operator: str
    bound: float
    relative: bool


def parse(text: str) -> Expression | None:
    """The expression, or None where the text is none."""
    match = _GATE.fullmatch(text)
    if match is None:
        return None
    relative = match["champion"] is not None
    bound = match["margin"] if relative else match["bound"]
    signed = float(bound or 0.0) * (-1 if match["sign"] == "-" else 1)
    return Expression(match["metric"], match["operator"], signed, relative)
