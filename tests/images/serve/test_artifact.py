from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from images.serve.artifact import has_chat_template, read_artifact, stop_token_ids


def test_an_adapter_tells_its_largest_rank_and_its_template(write_artifact: Callable[..., Path]) -> None:
    folder = write_artifact(adapter_config={"r": 8, "rank_pattern": {"up_proj": 24}}, chat_template="{{ messages }}")

    artifact = read_artifact(folder, "adapter")

    assert artifact.rank == 24
    assert artifact.chat_template == folder / "chat_template.jinja"


@pytest.mark.parametrize(("form", "needed"), [("adapter", "adapter_config.json"), ("full", "config.json")])
def test_an_artifact_of_the_other_form_is_refused_with_what_it_holds(
    write_artifact: Callable[..., Path], form: str, needed: str
) -> None:
    folder = write_artifact(metrics={})

    with pytest.raises(FileNotFoundError, match=rf"needs {needed}.*holds: metrics\.json"):
        read_artifact(folder, "adapter" if form == "adapter" else "full")


def test_an_answer_ends_with_the_tokenizers_end_token_and_the_generation_configs(
    write_artifact: Callable[..., Path],
) -> None:
    folder = write_artifact(
        generation_config={"eos_token_id": [2, 9]},
        tokenizer_config={"eos_token": {"content": "<|end|>"}},
        tokenizer={"added_tokens": [{"id": 5, "content": "<|end|>"}, {"id": 6, "content": "<|pad|>"}]},
    )

    assert stop_token_ids(folder) == (2, 5, 9)


def test_an_artifact_without_such_files_adds_no_end(write_artifact: Callable[..., Path]) -> None:
    assert stop_token_ids(write_artifact(adapter_config={})) == ()


def test_a_chat_template_may_lie_in_the_tokenizers_config(write_artifact: Callable[..., Path]) -> None:
    folder = write_artifact(tokenizer_config={"chat_template": "{{ messages }}"})

    assert has_chat_template(None, folder)
    assert not has_chat_template(folder / "nowhere")


def test_an_artifact_brings_the_template_that_made_its_rows(write_artifact: Callable[..., Path]) -> None:
    folder = write_artifact(adapter_config={"r": 8})
    without = read_artifact(folder, "adapter").row_template
    (folder / "row_template.jinja").write_text("{% block prompt %}", encoding="utf-8")

    assert without is None
    assert read_artifact(folder, "adapter").row_template == "{% block prompt %}"
