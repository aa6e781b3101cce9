"""The block `evaluation`: how a trained model is scored, and what it must reach to serve."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schemas import gate
from schemas.effects import Effect
from schemas.machine import Machine
from schemas.primitives import METRIC, Block, Positive, Tuple, listed

Metric = Annotated[str, Field(pattern=METRIC)]


class GateRule(Block):
    """One bound. With `confidence` it must hold with that probability, by a bootstrap over the evaluation rows."""

    expr: str
    confidence: float | None = Field(None, gt=0.5, lt=1, description="A probability, such as 0.95.")

    @property
    def expression(self) -> gate.Expression:
        """What `expr` says. ValueError where it says nothing, which no manifest that was read has."""
        found = gate.parse(self.expr)
        if found is None:
            raise ValueError(f"{self.expr!r} is no gate")
        return found


def _rule(value: Any) -> Any:
    rule = {"expr": value} if isinstance(value, str) else value
    expression = rule.get("expr") if isinstance(rule, dict) else None
    if isinstance(expression, str) and gate.parse(expression) is None:
        raise PydanticCustomError(
            "gate",
            "`{text}` is no gate: write METRIC, one of <= >= < > ==, and a number or `champion` "
            "(`eval_loss <= 1.2`, `rouge_l >= champion - 0.01`)",
            {"text": expression},
        )
    return rule


Rule = Annotated[GateRule, BeforeValidator(_rule, json_schema_input_type=str | GateRule)]


class Evaluation(Block):
    """Scores and bounds."""

    metrics: Annotated[Tuple[Metric], Effect.EVALUATE] = Field(
        (), description=f"Scores of answers: {', '.join(gate.SCORED)}."
    )
    gate: Annotated[Tuple[Rule], BeforeValidator(listed, json_schema_input_type=Rule | list[Rule]), Effect.EVALUATE] = (
        Field((), description="Bounds that must all hold: eval_loss <= 1.2, rouge_l >= champion - 0.01")
    )
    max_samples: Annotated[Positive | None, Effect.EVALUATE] = Field(None, description="Score at most so many rows.")
    machine: Annotated[Machine | None, Effect.RUN] = Field(None, description="A machine of its own.")
