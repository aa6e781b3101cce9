"""Reading a recipe's file, as its own trainer reads it, and the data sets that lie described beside it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path

import yaml

from reconciler.core.errors import LoraformError
from reconciler.core.resources import Json
from reconciler.recipes.axolotl import read_axolotl
from reconciler.recipes.carry import Imported
from reconciler.recipes.llamafactory import read_llamafactory
from reconciler.recipes.trl_sft import read_trl

LARGEST = 1_000_000
"""Bytes of a recipe; a larger file is none."""


class Trainer(StrEnum):
    """Whose recipe it is."""

    AXOLOTL = "axolotl"
    LLAMAFACTORY = "llamafactory"
    TRL = "trl"


def import_recipe(trainer: Trainer, path: Path) -> Imported:
    """What a recipe becomes. Raises LoraformError for what is no recipe, or is for another kind of training."""
    recipe = _mapping(path)
    if trainer is Trainer.AXOLOTL:
        return read_axolotl(recipe)
    if trainer is Trainer.TRL:
        return read_trl(recipe)
    described = _described(path, str(recipe.get("dataset_dir") or "data"))
    return read_llamafactory(recipe, described.get)


def _mapping(path: Path) -> Mapping[str, Json]:
    try:
        if path.stat().st_size > LARGEST:
            raise LoraformError(f"{path} is too large for a recipe.", "Name the YAML file that the trainer is given.")
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise LoraformError(f"{path} cannot be read: {error.strerror}.") from error
    except (UnicodeDecodeError, yaml.YAMLError, RecursionError) as error:
        said = " ".join(str(error).split())
        raise LoraformError(f"{path} is no YAML: {said}", "Name the YAML file that the trainer is given.") from error
    if not isinstance(content, dict) or not content:
        raise LoraformError(f"{path} is no recipe: keys and values are wanted.")
    return {str(key): value for key, value in content.items()}


def _described(path: Path, folder: str) -> Mapping[str, Mapping[str, Json]]:
    """`dataset_info.json` of the recipe's data folder, looked for beside it and in the folders above."""
    for above in (path.parent, *path.parent.resolve().parents):
        place = above / folder / "dataset_info.json"
        if place.is_file():
            try:
                found = json.loads(place.read_text(encoding="utf-8"))
            except (OSError, ValueError) as error:
                raise LoraformError(f"{place} is no JSON: {error}", "Mend it: it says where the rows lie.") from error
            return {str(name): entry for name, entry in found.items() if isinstance(entry, dict)}
    return {}
