"""What vLLM can load beside a base is what the installed vLLM's own sources say."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from schemas.generate_serving import FILE, _Classes, render, table
from schemas.vllm_lora import servable


def test_the_table_is_what_the_installed_vllm_says() -> None:
    if importlib.util.find_spec("vllm") is None:
        pytest.skip("there is no vLLM here")

    assert FILE.read_text(encoding="utf-8") == render(table()), "run `python -m schemas.generate_serving`"


def test_the_families_that_are_tuned_here_take_adapters_and_gpt2_does_not() -> None:
    families = {f"{name}ForCausalLM" for name in ("Llama", "Mistral", "Gemma3", "Gemma4", "Qwen2", "Qwen3")}

    assert families <= servable().takes
    assert "GPT2LMHeadModel" in servable().refuses
    assert not servable().takes & servable().refuses


def test_a_class_takes_adapters_by_its_bases_in_other_files_or_by_its_own_word(tmp_path: Path) -> None:
    (tmp_path / "one.py").write_text(
        "class Base(Module, SupportsLoRA): ...\nclass Not(Base):\n    supports_lora = False\n"
    )
    (tmp_path / "two.py").write_text(
        "from .one import Base as Other, Not\nclass Model(Other): ...\nclass Lone(Not): ...\n"
    )

    classes = _Classes(tmp_path)

    assert classes.supports("two", "Model")
    assert not classes.supports("two", "Lone")
    assert not classes.supports("two", "Missing")
