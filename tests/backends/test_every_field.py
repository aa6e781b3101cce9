"""Every field of a manifest, walked: a change of it brings about what its declared effect says, and nothing else."""

from __future__ import annotations

import re
import typing
from collections.abc import Iterator
from typing import Any

import pytest
from pydantic import BaseModel, ValidationError

from reconciler.core.between import plan_between
from reconciler.core.changes import Action
from reconciler.core.resources import Resource, Role
from schemas.effects import Effect, declared_fields, effect_of
from schemas.experiment import Experiment
from schemas.keys import OURS, Keys, table
from tests.backends.subjects import KEY, PLAIN, merged, resources

T, V, M, E, D = Role.TRAINING, Role.EVALUATION, Role.MODEL, Role.ENDPOINT, Role.DEPLOYMENT
FORCED = {
    Effect.RETRAIN: {T, V, M, D},
    Effect.EVALUATE: {V},
    Effect.VERSION: {M, D},
    Effect.ROLL: {D},
}
"""The resources that get another identity. All other effects give none a new one."""

FORCED_BY = {"evaluation.gate": set[Role](), "serving.form": {V, M, D}}
"""What a gate says of metrics is no other measurement; the form that is served is another one."""

BATCH = {
    "training.per_device_train_batch_size",
    "training.gradient_accumulation_steps",
    "run.machine.accelerator_count",
    "run.machine.replica_count",
}
"""They change where and how a run is carried out; through the effective batch also what it learns."""
ENDPOINT_TOO = {"serving.network", "serving.encryption_spec.kms_key_name"}
"""What is fixed for the life of an endpoint as well."""
NO_RESOURCES = {
    "apiVersion": "another version is another schema",
    "kind": "another kind is no experiment",
    "name": "the address; test_the_name_is_in_no_identity_so_a_copy_is_not_trained_again",
    "serving.endpoint": "joins a shared endpoint: refused for now",
    "serving.form": "another form is one more resource; tests/backends/test_merging.py",
    "run.backend": "the other backends are refused for now",
    "model.from": "another experiment must be there; tests/repo/test_successors.py",
    "data.train": "a path of the repository is known by what it holds; test_other_rows_at_the_same_path_...",
}
VALUES: dict[str, Any] = {
    "moved_from": "older-bot",
    "adapter.method": "full",
    "adapter.layer_replication": [[0, 4], [2, 5]],
    "quantization.bnb_4bit_quant_type": "fp4",
    "training.liger_kernel_config": {"rope": True},
    "data.format": "text",
    "data.template": "{% block prompt %}{{ q }}{% endblock %}{% block completion %}{{ a }}{% endblock %}",
    "data.on_bad_row": "skip",
    "data.mix": [{"rows": "further.jsonl", "weight": 0.5}],
    "data.on_long_row": "drop",
    "evaluation.machine.accelerator_type": "NVIDIA_L4",
    "run.on_change": "finish",
    "run.scheduling.strategy": ["spot"],
    "run.regions": ["us-central1", "europe-west4"],
    "serving.rollout.strategy": "recreate",
    "serving.engine.collect_detailed_traces": ["all"],
    "serving.engine.custom_histogram_buckets": {"x": [1.0]},
    "model.base": "Qwen/Qwen3-8B",
    "model.revision": "1" * 40,
    "model.token_secret": "projects/p/secrets/s/versions/3",
    "model.mirror": "gs://acme-llm/mirror",
    "model.tokenizer": "Qwen/Qwen3-8B",
    "data.eval_fraction": 0.5,
    "data.eval_seed": 7,
    "data.eval": "gs://b/other.jsonl#1",
    "run.service_account": "x@acme-ml.iam.gserviceaccount.com",
    "run.network": "projects/1/global/networks/n",
    "run.encryption_spec.kms_key_name": KEY,
    "run.tensorboard": "projects/acme-ml/locations/europe-west4/tensorboards/2",
    "run.machine.accelerator_type": "NVIDIA_H100_80GB",
    "run.machine.boot_disk_size_gb": 300,
    "serving.machine.accelerator_type": "NVIDIA_H100_80GB",
    "serving.service_account": "y@acme-ml.iam.gserviceaccount.com",
    "serving.network": "projects/1/global/networks/n",
    "serving.encryption_spec.kms_key_name": KEY,
    "serving.autoscaling_metric_specs": [{"metric_name": "aiplatform.googleapis.com/x", "target": 7}],
    "evaluation.metrics": ["exact_match"],
    "evaluation.own": {"polite": "polite.scores:polite"},
    "evaluation.sql.script": "shop.sql",
    "evaluation.gate": ["eval_loss <= 9"],
    "serving.rollout.steps": [50, 100],
}
CANDIDATES: tuple[Any, ...] = (
    True, False, 7, 2, 0.123, "90m", "word", "a2-highgpu-1g", "us", ["word"], [3], {"word": "word"}, {"WORD": "x"},
    {"word": 1}, {"word": {"word": 1}}, ["word", "other"], [["word"]], [{"word": 1}], None,
)  # fmt: skip


def leaves(model: type[BaseModel] = Experiment, prefix: str = "", above: Effect | None = None) -> Iterator[str]:
    """The paths of all fields that a manifest may give, down to what has no fields of its own."""
    for name, field in model.model_fields.items():
        path = prefix + (field.alias or name)
        for part in _parts(field.annotation):
            if issubclass(part, Keys):
                yield from (f"{path}.{key}" for key, row in table()[part.block].keys.items() if row.effect != OURS)
                yield from (f"{path}.{key}" for key in part.own)
            else:
                yield from leaves(part, f"{path}.", effect_of(field) or above)
        if not _parts(field.annotation):
            yield path


def _parts(annotation: Any) -> list[type]:
    """The blocks inside an annotation that have fields of their own; items of lists are no blocks."""
    if typing.get_origin(annotation) in (list, tuple, dict, typing.Annotated) and not isinstance(annotation, type):
        return []
    options = typing.get_args(annotation) or (annotation,)
    return [item for item in options if isinstance(item, type) and issubclass(item, (BaseModel, Keys))]


PATHS = sorted(path for path in set(leaves()) - NO_RESOURCES.keys() if not path.startswith("sweep."))
"""A sweep is nothing without its other keys: `test_sweeps.py`."""


@pytest.mark.parametrize("path", PATHS)
def test_a_change_brings_about_what_the_field_declares(path: str) -> None:
    changed, effect = changed_at(path)

    before, after = resources(), resources(changed)

    forced = {role for role in before if before[role].identity != after[role].identity}
    if path in BATCH:
        assert forced == {T, V, M, D}
    else:
        assert forced == FORCED_BY.get(path, FORCED.get(effect, set())) | ({E} if path in ENDPOINT_TOO else set())
    assert shows(before, after) or effect in (Effect.NOTHING, *FORCED)
    if effect is Effect.RUN:
        assert before[T].attempt_key != after[T].attempt_key
    if effect is Effect.NOTHING:
        assert [before[role].spec for role in before] == [after[role].spec for role in before]
        assert [before[role].attempt_key for role in before] == [after[role].attempt_key for role in before]


@pytest.mark.parametrize("path", PATHS)
def test_a_plan_does_what_the_field_declares_and_nothing_else(path: str) -> None:
    changed, effect = changed_at(path)

    plan = plan_between(resources().values(), resources(changed).values(), target="local")

    done = {(change.address.role, change.action) for change in (*plan.changes, *plan.follow) if change.action.mutates}
    created = {role for role, action in done if action is Action.CREATE}
    if path in ENDPOINT_TOO:
        assert {change.address.role for change in plan.blocked} >= {E}
    elif path in BATCH:
        assert created == {T, M, D}
    else:
        forced = FORCED_BY.get(path, FORCED.get(effect, set()))
        assert created == (forced - {V} if T in forced else forced)  # the training's own job evaluates
    if effect in (Effect.IN_PLACE, Effect.LABEL) and done:
        assert {action for _, action in done} == {Action.UPDATE}
    if effect in (Effect.NOTHING, Effect.RUN) and path not in BATCH:
        assert not done
    if path == "evaluation.gate":
        assert done == {(M, Action.UPDATE)}  # the version that is registered gets its verdict
    assert all(item.effect == effect for change in plan.changes for item in change.fields if item.path == path)
    if created:
        named = {item.path for change in plan.changes for item in change.fields}
        assert path in BATCH or any(re.match(rf"{re.escape(path)}($|[.\[])", item) for item in named)


def test_every_field_that_has_an_effect_is_walked() -> None:
    assert len(PATHS) > 400
    assert {path.split(".")[0] for path in PATHS} >= {
        "model", "data", "adapter", "quantization", "training", "run", "evaluation", "serving",
    }  # fmt: skip


def changed_at(path: str) -> tuple[dict[str, Any], Effect]:
    """A change of one field to the first value that the schema takes there and that is another one, with its effect."""
    *blocks, key = path.split(".")
    default = declared_fields(Experiment.model_validate(PLAIN))
    for value in (VALUES[path],) if path in VALUES else (*choices(path), *CANDIDATES):
        changes: dict[str, Any] = {key: value}
        for block in reversed(blocks):
            changes = {block: changes}
        try:
            manifest = Experiment.model_validate(merged(PLAIN, changes))
        except ValidationError:
            continue
        leaf = declared_fields(manifest).get(path)
        if leaf is None or leaf.at_default or leaf == default.get(path):
            continue
        return changes, leaf.effect
    raise AssertionError(f"say in VALUES what else {path} may be")


def choices(path: str) -> tuple[Any, ...]:
    """The values that the table allows for a foreign key, where it lists them."""
    block, _, key = path.rpartition(".")
    rows = table().get(block.rsplit(".", 1)[-1])
    row = rows.keys.get(key) if rows else None
    return tuple(item for item in row.choices if item != row.default) if row else ()


def shows(before: dict[Role, Resource], after: dict[Role, Resource]) -> bool:
    """Whether anything at all differs between the resources."""
    return before != after
