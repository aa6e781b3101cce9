from __future__ import annotations

import json
from importlib.resources import files

import jsonschema
import pytest

from reconciler.core.changes import Plan
from reconciler.render.json_plan import plan_json
from schemas import plan as contract
from tests.core.builders import converged, fleet, plan
from tests.render.golden import same_as_golden
from tests.render.stories import everything, hostile


@pytest.mark.parametrize("made", [everything(), hostile(), plan(fleet()), plan(fleet(), converged()), plan(())])
def test_every_plan_keeps_to_the_schema(made: Plan) -> None:
    text = plan_json(made, where="main@4be21d")

    jsonschema.validate(json.loads(text), json.loads((files("schemas") / "json/plan.schema.json").read_text()))
    assert contract.Plan.model_validate_json(text).id == made.id


def test_a_plan_as_json_is_stable() -> None:
    same_as_golden("everything.json", plan_json(everything(), where="main@4be21d"))


def test_a_converged_plan_says_so() -> None:
    assert json.loads(plan_json(plan(fleet(), converged())))["in_sync"] is True
