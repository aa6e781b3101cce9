"""transformers' and trl's own training keys: those that the block `training` has keep their names, others are told."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.core.resources import Json
from reconciler.recipes.carry import Left, Outcome, Put, Rule, number
from schemas.keys import OURS, table

_WARMUP = "a number below 1 is the share of all steps"


def training_rules() -> dict[str, Rule]:
    """A rule for every key of `SFTConfig`, and for those that it had in earlier releases."""
    known = table()["training"].keys
    return {
        **{key: _left if row.effect == OURS else _same(key) for key, row in known.items()},
        "warmup_ratio": lambda value, recipe: (
            Left("`warmup_steps` is given too, and counts")
            if recipe.get("warmup_steps")
            else Put("training.warmup_steps", number(value), _WARMUP)
        ),
        "evaluation_strategy": _renamed("eval_strategy"),
        "max_seq_length": _renamed("max_length"),
        "group_by_length": lambda value, _: (
            Put("training.train_sampling_strategy", "group_by_length") if value else Left("off, as here")
        ),
        "logging_dir": _left,
        "push_to_hub": _left,
        "include_tokens_per_second": _left,
        "torch_empty_cache_steps": _same("torch_empty_cache_steps"),
    }


def _same(key: str) -> Rule:
    def rule(value: Json, recipe: Mapping[str, Json]) -> Outcome:
        if key.startswith("eval_") and key != "eval_packing" and not _judged(recipe):
            return Left("there are no eval rows")
        return Put(f"training.{key}", number(value) if not isinstance(value, str) or _numeric(key) else value)

    return rule


def _renamed(key: str) -> Rule:
    return lambda value, _: Put(f"training.{key}", number(value), "renamed")


def _numeric(key: str) -> bool:
    return table()["training"].keys[key].type.startswith(("int", "float"))


def _judged(recipe: Mapping[str, Json]) -> bool:
    share = number(recipe.get("val_size") or recipe.get("test_split_size") or 0)
    return bool(share or recipe.get("eval_dataset") or recipe.get("dataset_test_split"))


def _left(value: Json, recipe: Mapping[str, Json]) -> Outcome:
    return Left("Loraform sets it itself")
