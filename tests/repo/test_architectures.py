"""A base that lies in the repository says what it is: what vLLM would refuse of it is refused before anything runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.repo.manifests import load
from tests.repo.repository import repository

MANIFEST = """apiVersion: loraform/v1
kind: Experiment
name: bot
model: {{base: ./models/tiny}}
data: {{train: data/train.jsonl}}
adapter: {{method: {method}}}
serving: {{form: {form}, machine: {{machine_type: g2-standard-12}}}}
"""


def refused(root: Path, architecture: str, form: str = "adapter", method: str = "lora") -> list[str]:
    repository(root, bot=MANIFEST.format(form=form, method=method))
    (root / "models/tiny/config.json").write_text(json.dumps({"architectures": [architecture]}))
    return [f"{item.message}. {item.remedy}" for item in load(root).diagnostics if item.rule == "not-servable"]


def test_an_adapter_beside_a_base_that_takes_none_is_refused_with_the_way_out(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, "GPT2LMHeadModel")

    assert "takes no adapter beside a GPT2LMHeadModel. Write `form: merged` under `serving`." in said


def test_an_architecture_that_nobody_serves_is_refused(tmp_path: Path) -> None:
    (said,) = refused(tmp_path, "HomeMadeForCausalLM")

    assert "does not know the architecture HomeMadeForCausalLM" in said


@pytest.mark.parametrize(
    ("architecture", "form", "method"),
    [
        ("Qwen3ForCausalLM", "adapter", "lora"),
        ("GPT2LMHeadModel", "merged", "lora"),
    ],
)
def test_what_vllm_serves_passes(tmp_path: Path, architecture: str, form: str, method: str) -> None:
    assert refused(tmp_path, architecture, form, method) == []
