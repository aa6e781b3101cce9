"""An imported recipe as a manifest that the repository reads back, and as words for the one who asked."""

from __future__ import annotations

import pytest
import yaml

from reconciler.recipes.carry import Imported, Note
from reconciler.recipes.writing import label_safe, manifest_text, notes_text

TEMPLATE = "{% block prompt %}\n{{ q }}\n{% endblock %}\n{% block completion %}{{ a }}{% endblock %}\n"
FOUND = Imported(
    {"model": {"base": "no"}, "data": {"train": "t", "template": TEMPLATE}, "training": {"learning_rate": 1e-5}},
    (
        Note("base_model", "no", "model.base"),
        Note("warmup_ratio", 0.1, "training.warmup_steps", "a share"),
        Note("wandb\n\x1b[31m", "x" * 200, "", "told \u202e elsewhere"),
        Note("datasets", [1, 2], "", "two"),
    ),
)


def test_a_manifest_is_read_back_as_it_was_meant() -> None:
    text = manifest_text(FOUND, "bot", "qlora.yml\n")

    assert yaml.safe_load(text) == {"apiVersion": "loraform/v1", "kind": "Experiment", "name": "bot", **FOUND.manifest}
    assert "  template: |\n    {% block prompt %}\n    {{ q }}\n" in text


def test_nothing_of_a_recipe_leaves_its_line() -> None:
    text = manifest_text(FOUND, "bot", "qlora.yml")
    told = notes_text(FOUND)

    assert text.startswith("# Imported from qlora.yml. What has no place here:\n#   wandb\\n\\x1b[31m xxxx")
    assert all(line.startswith("#") for line in text.splitlines()[:3])
    assert "\x1b" not in text + told
    assert "\u202e" not in told
    assert told.splitlines()[:2] == [
        "carried over  1 keys as they are",
        "changed       warmup_ratio 0.1 -> training.warmup_steps: a share",
    ]
    assert told.splitlines()[3] == "left          datasets: two"


@pytest.mark.parametrize(
    ("text", "name"),
    [("Llama 3_QLoRA", "llama-3-qlora"), ("7b", "imported-7b"), ("", "imported"), ("a" * 60, "a" * 40)],
)
def test_a_name_is_made_of_a_files_name(text: str, name: str) -> None:
    assert label_safe(text) == name
