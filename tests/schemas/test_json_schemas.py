"""The JSON Schemas agree with the models: what an editor accepts is what `loraform validate` accepts."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from reconciler.render.json_plan import plan_document
from schemas.effects import plain
from schemas.plan import Plan
from tests.factories_manifest import document, endpoint, project
from tests.render.stories import everything

ROOT = Path(__file__).parents[2]


def validator(name: str) -> jsonschema.Draft202012Validator:
    schema = json.loads((ROOT / f"schemas/json/{name}.schema.json").read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


def test_a_manifest_from_the_factory_is_valid() -> None:
    assert list(validator("experiment").iter_errors(document())) == []


def test_an_endpoint_and_a_project_are_valid() -> None:
    assert list(validator("endpoint").iter_errors(plain(endpoint(routes={"bot": "support-bot"})))) == []
    assert list(validator("project").iter_errors(plain(project()))) == []


@pytest.mark.parametrize(
    "over",
    [
        {"adapter": {"rank": 3}},
        {"adapter": {"method": "qlorra"}},
        {"training": {"learning_rate": "high"}},
        {"training": {"output_dir": "x"}},
        {"run": {"scheduling": {"strategy": "SPOT"}}},
        {"run": {"scheduling": {"timeout": "6 hours"}}},
        {"serving": {"engine": {"max_model_len": "long"}}},
        {"name": "Support Bot"},
        {"kind": "Endpoint"},
    ],
    ids=str,
)
def test_what_the_model_refuses_an_editor_marks(over: dict[str, Any]) -> None:
    errors = list(validator("experiment").iter_errors(document(**over)))

    assert errors


@pytest.mark.parametrize(
    "over",
    [
        {"run": {"scheduling": {"strategy": "spot", "timeout": "6h"}}},
        {"run": {"scheduling": {"strategy": ["spot", "standard"]}}},
        {"evaluation": {"gate": "eval_loss <= 1"}},
        {"evaluation": {"gate": [{"expr": "eval_loss <= 1", "confidence": 0.9}, "eval_loss <= 2"]}},
        {"training": {"report_to": ["tensorboard"], "eval_steps": None}},
    ],
    ids=str,
)
def test_every_way_of_writing_a_field_is_known_to_the_editor(over: dict[str, Any]) -> None:
    assert list(validator("experiment").iter_errors(document(**over))) == []


def test_the_manifests_of_this_repository_are_valid() -> None:
    check = validator("experiment")
    for path in (ROOT / "experiments").rglob("*.yaml"):
        yaml_1_1 = re.sub(r"(\d)e-", r"\1.0e-", path.read_text())  # PyYAML alone reads 2e-4 as text
        content = json.loads(json.dumps(yaml.safe_load(yaml_1_1)))

        assert list(check.iter_errors(content)) == [], path.name


def test_a_plan_as_it_is_printed_has_the_form_that_the_schema_promises() -> None:
    printed = json.loads(json.dumps(plan_document(everything(), where="main@4be21d")))

    Plan.model_validate(printed)
    assert list(validator("plan").iter_errors(printed)) == []


def test_every_key_of_a_printed_plan_is_required() -> None:
    schema = json.loads((ROOT / "schemas/json/plan.schema.json").read_text())

    parts = [schema, *schema["$defs"].values()]

    assert all(set(part["required"]) == set(part["properties"]) for part in parts)
