"""The block `evaluation`: how a trained model is scored, and what it must reach to serve."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from schemas import gate
from schemas.effects import Effect
from schemas.machine import Machine
from schemas.primitives import FUNCTION, METRIC, TASK, Block, Positive, Tuple, listed

Metric = Annotated[str, Field(pattern=METRIC)]
Function = Annotated[str, Field(pattern=FUNCTION)]
Task = Annotated[str, Field(pattern=TASK)]


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


class Sql(Block):
    """The database that `sql_match` runs queries in: made in sqlite, in memory, by a script."""

    field: Annotated[str | None, Effect.EVALUATE] = Field(
        None, min_length=1, description="The field of each evaluation row that holds the script (CREATE TABLE ...)."
    )
    script: Annotated[str | None, Effect.EVALUATE] = Field(
        None, min_length=1, description="A file of the repository with one script for all rows."
    )


class Evaluation(Block):
    """Scores and bounds."""

    metrics: Annotated[Tuple[Metric], Effect.EVALUATE] = Field(
        (), description=f"Scores of answers: {', '.join(gate.SCORED)}."
    )
    gate: Annotated[Tuple[Rule], BeforeValidator(listed, json_schema_input_type=Rule | list[Rule]), Effect.EVALUATE] = (
        Field((), description="Bounds that must all hold: eval_loss <= 1.2, rouge_l >= champion - 0.01")
    )
    max_samples: Annotated[Positive | None, Effect.EVALUATE] = Field(
        None, description="Measure at most so many rows, evenly drawn, the same ones each time."
    )
    own: Annotated[dict[Metric, Function], Effect.EVALUATE] = Field(
        {},
        description="Metrics of your own, by name: PATH.py:FUNCTION of the repository, or package.module:function of "
        "the image. FUNCTION(answer, expected) or FUNCTION(answer, expected, record) gives a number.",
    )
    sql: Sql = Field(Sql(), description="What `sql_match` needs.")
    base: Annotated[bool, Effect.EVALUATE] = Field(True, description="Measure the base model too, to compare with.")
    harness: Annotated[Tuple[Task], Effect.EVALUATE] = Field(
        (), description="Tasks of lm-evaluation-harness by name; the training image must have it installed."
    )
    machine: Annotated[Machine | None, Effect.RUN] = Field(
        None, description="A machine of its own: the evaluation is then a job of its own, after the training."
    )
