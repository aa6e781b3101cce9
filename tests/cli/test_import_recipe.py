"""`loraform import axolotl|llamafactory|trl FILE`: a manifest that validates, and a word on every key."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from reconciler.cli.main import run

Captured = pytest.CaptureFixture[str]
RECIPE = """\
base_model: acme/tiny-8b
revision_of_model: 0e9e39f249a16976918f6564b8830bc894c89659
adapter: qlora
datasets:
  - {path: rows.jsonl, type: chat_template}
lora_r: 16
learning_rate: 2e-4
wandb_project: ours
"""


def test_a_recipe_becomes_a_manifest_that_validates(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    (repository / "rows.jsonl").write_text('{"messages": []}\n')
    (repository / "My QLoRA.yml").write_text(RECIPE)

    code = run(["import", "axolotl", "My QLoRA.yml"])

    said = capsys.readouterr().out
    manifest = yaml.safe_load((repository / "experiments/my-qlora.yaml").read_text())
    assert code == 0
    assert (manifest["adapter"], manifest["training"]["learning_rate"]) == ({"method": "qlora", "r": 16}, 2e-4)
    assert "wrote experiments/my-qlora.yaml from My QLoRA.yml" in said
    assert "left          wandb_project ours: reports go to" in said
    assert run(["validate"]) == 0


def test_data_sets_are_looked_up_where_llamafactory_describes_them(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    (repository / "data").mkdir()
    (repository / "data/dataset_info.json").write_text(json.dumps({"faq": {"file_name": "faq.json"}}))
    (repository / "recipes").mkdir()
    (repository / "recipes/faq.yaml").write_text("model_name_or_path: acme/x\ndataset: faq\nstage: sft\n")

    code = run(["import", "llamafactory", "recipes/faq.yaml", "--name", "faq-bot"])

    manifest = yaml.safe_load((repository / "experiments/faq-bot.yaml").read_text())
    assert code == 0
    assert manifest["data"]["train"] == "data/faq.json"


def test_a_recipe_of_trl_is_read_too(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    (repository / "sft.yaml").write_text("model_name_or_path: acme/x\ndataset_name: acme/chats\nuse_peft: true\n")

    assert run(["import", "trl", "sft.yaml"]) == 0
    assert (repository / "experiments/sft.yaml").exists()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rl: dpo\n", "no supervised fine-tuning"),
        ("[1, 2]\n", "is no recipe"),
        ("a: [\n", "is no YAML"),
        (None, "cannot be read"),
    ],
)
def test_what_is_no_recipe_writes_nothing_and_says_why(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured, text: str | None, said: str
) -> None:
    monkeypatch.chdir(repository)
    if text is not None:
        (repository / "r.yml").write_text(text)

    code = run(["import", "axolotl", "r.yml"])

    assert code == 1
    assert said in capsys.readouterr().err
    assert not (repository / "experiments").exists()


def test_a_manifest_that_is_there_is_never_written_over(
    repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    (repository / "rows.jsonl").write_text('{"messages": []}\n')
    (repository / "r.yml").write_text(RECIPE)
    run(["import", "axolotl", "r.yml"])
    before = (repository / "experiments/r.yaml").read_text()

    code = run(["import", "axolotl", "r.yml"])

    assert code == 1
    assert "Give another --name" in capsys.readouterr().err
    assert (repository / "experiments/r.yaml").read_text() == before
