from __future__ import annotations

import pickle
from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from schemas.effects import Effect, declared_fields, effect_of, plain
from schemas.endpoint import Endpoint
from schemas.experiment import BATCH, Experiment
from schemas.keys import OURS, Keys, table
from schemas.quantization import QLORA
from tests.factories_manifest import document, endpoint, experiment


def leaves_of(model: type[BaseModel], prefix: str = "", inherited: Effect | None = None) -> Iterator[tuple[str, Any]]:
    for name, field in model.model_fields.items():
        effect = effect_of(field) or inherited
        inner = next((part for part in (field.annotation, *get_args(field.annotation)) if is_block(part)), None)
        path = f"{prefix}{field.alias or name}"
        if inner is not None and issubclass(inner, BaseModel):
            yield from leaves_of(inner, f"{path}.", effect)
        elif inner is None:
            yield path, effect


def is_block(part: Any) -> bool:
    return isinstance(part, type) and issubclass(part, (BaseModel, Keys))


@pytest.mark.parametrize("model", [Experiment, Endpoint])
def test_every_field_of_a_manifest_declares_what_a_change_of_it_brings_about(model: type[BaseModel]) -> None:
    silent = [path for path, effect in leaves_of(model) if effect is None]

    assert silent == []


def test_every_foreign_key_has_an_effect_or_is_set_by_loraform() -> None:
    words = {*Effect, OURS}

    odd = [(name, key) for name, block in table().items() for key, row in block.keys.items() if row.effect not in words]

    assert odd == []


@pytest.mark.parametrize(
    ("path", "effect"),
    [
        ("model.base", Effect.RETRAIN),
        ("model.token_secret", Effect.RUN),
        ("data.train", Effect.RETRAIN),
        ("data.eval", Effect.EVALUATE),
        ("adapter.method", Effect.RETRAIN),
        ("adapter.r", Effect.RETRAIN),
        ("quantization.bnb_4bit_quant_type", Effect.RETRAIN),
        ("training.learning_rate", Effect.RETRAIN),
        ("training.seed", Effect.RETRAIN),
        ("training.logging_steps", Effect.NOTHING),
        ("training.save_steps", Effect.NOTHING),
        ("training.dataloader_num_workers", Effect.RUN),
        ("training.per_device_train_batch_size", Effect.RUN),
        ("run.machine.machine_type", Effect.RUN),
        ("run.scheduling.timeout", Effect.RUN),
        ("run.attempt", Effect.RUN),
        ("run.labels", Effect.NOTHING),
        ("evaluation.gate", Effect.EVALUATE),
        ("serving.form", Effect.VERSION),
        ("serving.engine.max_model_len", Effect.VERSION),
        ("serving.generation.temperature", Effect.VERSION),
        ("serving.machine.machine_type", Effect.ROLL),
        ("serving.max_replica_count", Effect.IN_PLACE),
        ("serving.labels", Effect.LABEL),
        ("labels", Effect.LABEL),
        ("owner", Effect.NOTHING),
        ("description", Effect.NOTHING),
    ],
)
def test_the_block_tells_what_a_change_costs(path: str, effect: Effect) -> None:
    values: dict[str, Any] = {
        "description": "x",
        "labels": {"a": "b"},
        "model": {"token_secret": "projects/p/secrets/s/versions/1"},
        "adapter": {"method": "qlora"},
        "quantization": {"bnb_4bit_quant_type": "nf4"},
        "training": {
            "seed": 1,
            "logging_steps": 5,
            "save_steps": 5,
            "dataloader_num_workers": 2,
            "per_device_train_batch_size": 4,
        },
        "run": {"scheduling": {"timeout": "6h"}, "attempt": 2, "labels": {"a": "b"}},
        "evaluation": {"gate": ["eval_loss <= 1"]},
        "serving": {"form": "adapter", "labels": {"a": "b"}},
    }

    fields = declared_fields(experiment(**values))

    assert fields[path].effect is effect


def test_only_what_the_manifest_gives_is_declared_and_it_is_sorted() -> None:
    content = {
        "apiVersion": "loraform/v1",
        "kind": "Experiment",
        "name": "a",
        "model": {"base": "b"},
        "data": {"train": "t"},
    }

    fields = declared_fields(Experiment.model_validate(content))

    assert list(fields) == ["apiVersion", "data.train", "kind", "model.base", "name"]


def test_a_field_that_is_given_its_default_is_at_default() -> None:
    fields = declared_fields(experiment(adapter={"r": 8, "lora_dropout": 0}, training={"num_train_epochs": 3}))

    assert fields["adapter.r"].at_default
    assert fields["adapter.lora_dropout"].at_default
    assert fields["training.num_train_epochs"].at_default
    assert not fields["adapter.lora_alpha"].at_default


def test_writing_out_what_qlora_presets_changes_nothing() -> None:
    written = declared_fields(experiment(adapter={"method": "qlora"}, quantization=dict(QLORA)))
    other = declared_fields(experiment(adapter={"method": "qlora"}, quantization={"bnb_4bit_quant_type": "fp4"}))

    assert all(written[f"quantization.{key}"].at_default for key in QLORA)
    assert not other["quantization.bnb_4bit_quant_type"].at_default


def test_qlora_presets_nf4_with_double_quantisation_and_the_manifest_wins() -> None:
    preset = experiment(adapter={"method": "qlora"})
    own = experiment(adapter={"method": "qlora"}, quantization={"bnb_4bit_use_double_quant": False})

    assert preset.effective_quantization == QLORA
    assert own.effective_quantization == {**QLORA, "bnb_4bit_use_double_quant": False}
    assert experiment().effective_quantization == {}


def machines(count: int, replicas: int = 1) -> dict[str, Any]:
    return {"machine": {"accelerator_type": "NVIDIA_L4", "accelerator_count": count, "replica_count": replicas}}


def test_going_from_one_gpu_to_four_is_seen_as_another_effective_batch() -> None:
    one, four = experiment(run=machines(1)), experiment(run=machines(2, 2))

    assert (one.effective_batch, four.effective_batch) == (8, 32)
    assert BATCH not in declared_fields(one)
    assert declared_fields(four)[BATCH] == (32, 8, Effect.RETRAIN)


def test_the_same_effective_batch_on_more_gpus_is_the_same_training() -> None:
    one = experiment(run=machines(1), training={"gradient_accumulation_steps": 4})
    four = experiment(run=machines(4), training={"gradient_accumulation_steps": 1})

    assert declared_fields(one)[BATCH] == declared_fields(four)[BATCH]


def test_evaluation_rows_are_part_of_the_training_only_where_it_chooses_by_them() -> None:
    choosing = {"load_best_model_at_end": True, "eval_strategy": "steps", "eval_steps": 10, "logging_steps": 3}

    plainly = declared_fields(experiment(training={"eval_steps": 10}))
    chosen = declared_fields(experiment(training=choosing))

    assert (plainly["data.eval"].effect, plainly["training.eval_steps"].effect) == (Effect.EVALUATE, Effect.NOTHING)
    assert (chosen["data.eval"].effect, chosen["training.eval_steps"].effect) == (Effect.RETRAIN, Effect.RETRAIN)
    assert chosen["training.logging_steps"].effect is Effect.NOTHING


def test_a_duration_is_kept_in_seconds_and_one_strategy_is_a_ladder_of_one() -> None:
    fields = declared_fields(experiment(run={"scheduling": {"strategy": "spot", "timeout": "1h30m"}}))

    assert fields["run.scheduling.timeout"].value == "5400s"
    assert fields["run.scheduling.strategy"].value == ["spot"]


def test_nothing_is_coerced() -> None:
    with pytest.raises(ValidationError):
        experiment(training={"num_train_epochs": "3"})
    with pytest.raises(ValidationError):
        experiment(protect="yes")


def test_a_manifest_is_frozen_and_survives_pickling_and_its_plain_form() -> None:
    before = experiment(adapter={"method": "qlora"}, run={"scheduling": {"timeout": "6h"}})

    assert pickle.loads(pickle.dumps(before)) == before
    assert Experiment.model_validate(plain(before)) == before
    with pytest.raises(ValidationError):
        before.name = "other"  # type: ignore[misc]


def test_keys_tell_what_is_given_and_what_holds() -> None:
    adapter = experiment(adapter={"method": "lora", "r": 16}).adapter

    assert ("r" in adapter, "bias" in adapter, "method" in adapter) == (True, False, False)
    assert (adapter["r"], adapter.effective("bias"), adapter.method) == (16, "none", "lora")


def test_an_endpoint_declares_its_capacity_as_a_version_and_its_routes_as_routes() -> None:
    fields = declared_fields(endpoint(routes={"bot": "support-bot"}))

    assert fields["capacity.max_loras"].effect is Effect.VERSION
    assert fields["routes"].effect is Effect.ROUTE
    assert fields["routes"].value == {"bot": {"support-bot": 100}}


def test_the_factory_leaves_a_block_out_on_request() -> None:
    assert experiment(serving=None).serving is None
    assert document("x")["name"] == "x"
