"""What a change in a manifest forces, and identities pinned for good: moving one is a `!` commit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from reconciler.core.resources import Declared, Gate, Ref, Role
from reconciler.core.verdict import Bound
from schemas.effects import Effect, declared_fields
from tests.backends.subjects import CLOUD, DIGEST, L4, LOCAL, PLAIN, RICH, merged, resources, subject

T, V, M, E, D = Role.TRAINING, Role.EVALUATION, Role.MODEL, Role.ENDPOINT, Role.DEPLOYMENT
NOTHING: set[Role] = set()
RETRAINED = {T, V, M, D}

GOLDEN = {
    "plain": {
        T: "79503c6d2370ab800a62ec78825813c03d4c3ba266232fdcf3a78f2ebeb27360",
        V: "8c7db52c59dcea9fea7b1ac526ba0e54bd7e2e431821a0327fe2f952130463da",
        M: "c2c708741f32516dc637c95fa16090ec17ad29ddee43dfd2375144ef05f7cab4",
        E: "73141c9065169c2810ed19828c820a9bc1d6bf251950941a70d148d07915cf1d",
        D: "ce6da160711df2c3174f14c7cbba4a4dd0969e6eda1fe69035ffe34c58f503fa",
    },
    "rich": {
        T: "5d8ce640f400a1dfa49a3f1b835d4b6a50b5922b24ec43b706db93958bf9bae4",
        V: "7e0a102b07380a89318a5014a0d89e9d550d76dc06dc902e40a09826493e3533",
        M: "283388c80b79dbbfae2763478336fab4d297145be581eb4dc12c40ae4eb7ceaf",
        E: "f3841d2a55c6e1ded8895a7e395b0f15986ab7dcbe86ba8b56d0e3ef2e1fafd4",
        D: "232c97eccd18e2e32cf890a8b17ecd918b1f1e87846e45b83ee6ae9f753f7895",
    },
}


@pytest.mark.parametrize(("name", "base"), [("plain", PLAIN), ("rich", RICH)])
def test_identities_are_pinned(name: str, base: dict[str, Any]) -> None:
    found = {role: resource.identity for role, resource in resources(base=base).items()}

    assert found == GOLDEN[name]


FORCES: list[tuple[str, dict[str, Any], set[Role]]] = [
    ("another owner", {"owner": "somebody-else", "description": "words"}, NOTHING),
    ("another label", {"labels": {"team": "ops"}, "serving": {"labels": {"tier": "gold"}}}, NOTHING),
    ("another rank", {"adapter": {"r": 32}}, RETRAINED),
    ("another learning rate", {"training": {"learning_rate": 1e-4}}, RETRAINED),
    ("the same number as a whole one", {"training": {"num_train_epochs": 3}}, NOTHING),
    ("a default in so many words", {"training": {"weight_decay": 0.0, "seed": 42}}, NOTHING),
    ("qlora's own presets in so many words", {"quantization": {"bnb_4bit_quant_type": "nf4"}}, NOTHING),
    ("another quantisation", {"quantization": {"bnb_4bit_quant_type": "fp4"}}, RETRAINED),
    ("another revision", {"model": {"revision": "1" * 40}}, RETRAINED),
    ("another template", {"model": {"chat_template": "{{ messages }}"}}, RETRAINED),
    ("a mirror", {"model": {"mirror": "gs://acme-llm/mirror"}}, NOTHING),
    ("another place of the same rows", {"data": {"train": "elsewhere/rows.jsonl"}}, NOTHING),
    ("each row once", {"data": {"deduplicate": True}}, RETRAINED),
    ("bad rows skipped", {"data": {"on_bad_row": "skip", "max_bad_rows": 7}}, RETRAINED),
    ("another limit of bad rows", {"data": {"max_bad_rows": 7}}, NOTHING),
    ("what bad rows do anyway", {"data": {"on_bad_row": "fail"}}, NOTHING),
    ("other eval rows", {"data": {"eval": "gs://b/other.jsonl#1"}}, {V}),
    ("other scores", {"evaluation": {"metrics": ["rouge_l"]}}, {V}),
    ("a machine to evaluate on", {"evaluation": {"machine": L4}}, NOTHING),
    (
        "longer answers to score",
        {"evaluation": {"metrics": ["rouge_l"]}, "serving": {"generation": {"max_tokens": 64}}},
        {V, M, D},
    ),
    ("logging", {"training": {"logging_steps": 1, "save_steps": 7}}, NOTHING),
    ("another machine", {"run": {"machine": {"machine_type": "a2-highgpu-1g"}}}, NOTHING),
    ("two GPUs", {"run": {"machine": {**L4, "accelerator_count": 2}}}, RETRAINED),
    (
        "two GPUs with half the batch each",
        {"run": {"machine": {**L4, "accelerator_count": 2}}, "training": {"per_device_train_batch_size": 4}},
        NOTHING,
    ),
    (
        "accumulation in place of rows",
        {"training": {"per_device_train_batch_size": 2, "gradient_accumulation_steps": 4}},
        NOTHING,
    ),
    ("another attempt", {"run": {"attempt": 2}}, NOTHING),
    ("another account", {"run": {"service_account": "x@y.iam.gserviceaccount.com"}}, NOTHING),
    ("a gate", {"evaluation": {"gate": ["eval_loss <= 0.5"]}}, NOTHING),
    ("another engine setting", {"serving": {"engine": {"max_model_len": 8192}}}, {M, D}),
    ("another request default", {"serving": {"generation": {"max_tokens": 64}}}, {M, D}),
    ("another serving machine", {"serving": {"machine": {"machine_type": "g2-standard-24"}}}, {D}),
    ("spot serving", {"serving": {"spot": True}}, {D}),
    ("more replicas", {"serving": {"max_replica_count": 9}}, NOTHING),
    ("another network", {"serving": {"network": "projects/1/global/networks/n"}}, {E, D}),
    ("protection", {"protect": True}, NOTHING),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "forced"), [row[1:] for row in FORCES], ids=[row[0] for row in FORCES])
def test_a_change_forces_new_objects_as_its_effect_says(changes: dict[str, Any], forced: set[Role]) -> None:
    before, after = resources(), resources(changes)

    assert {role for role in before if before[role].identity != after[role].identity} == forced


def test_eval_rows_that_choose_the_best_checkpoint_change_the_training() -> None:
    best = merged(PLAIN, {"training": {"load_best_model_at_end": True, "eval_strategy": "epoch"}})

    before, after = resources(base=best), resources({"data": {"eval": "gs://b/other.jsonl#1"}}, base=best)

    assert before[T].identity != after[T].identity


def test_other_rows_at_the_same_path_change_the_training() -> None:
    assert resources()[T].identity != resources(train_digest="0" * 64)[T].identity


def test_the_trainer_s_image_changes_no_identity_and_the_server_s_makes_a_new_version() -> None:
    before = resources()
    trained = resources(target=replace(LOCAL, images={**LOCAL.images, "train": "other"}))
    served = resources(target=replace(LOCAL, images={**LOCAL.images, "serve": "other"}))

    assert {role for role in before if before[role].identity != trained[role].identity} == set()
    assert {role for role in before if before[role].identity != served[role].identity} == {M, D}


def test_an_identity_is_the_same_on_every_target_but_for_the_images() -> None:
    here, there = resources(target=replace(LOCAL, images=CLOUD.images)), resources(target=CLOUD)

    assert {role for role in here if here[role].identity != there[role].identity} == {E}


def test_the_name_is_in_no_identity_so_a_copy_is_not_trained_again() -> None:
    assert resources()[T].identity == resources({"name": "copy-of-it"})[T].identity


KEYS: list[tuple[dict[str, Any], set[Role]]] = [
    ({"run": {"attempt": 2}}, {T, V, M, E, D}),
    ({"run": {"machine": {"machine_type": "a2-highgpu-1g"}}}, {T, V}),
    ({"run": {"scheduling": {"strategy": "spot"}}}, {T, V}),
    ({"evaluation": {"machine": L4}}, {T, V}),
    ({"training": {"gradient_checkpointing": False}}, {T, V}),
    ({"data": {"eval": "gs://b/other.jsonl#1"}}, {T}),
    ({"data": {"max_bad_rows": 7}}, {T, V}),
    ({"serving": {"max_replica_count": 9}}, {D}),
    ({"evaluation": {"gate": ["eval_loss <= 9"]}}, set()),
    ({"owner": "somebody-else"}, set()),
    ({"run": {"on_change": "finish"}}, set()),
]


@pytest.mark.parametrize(("changes", "again"), KEYS)
def test_a_failed_try_is_worth_another_when_a_setting_of_it_changes(changes: dict[str, Any], again: set[Role]) -> None:
    before, after = resources(), resources(changes)

    assert {role for role in before if before[role].attempt_key != after[role].attempt_key} == again


def test_an_attempt_key_fits_a_label() -> None:
    assert all(len(resource.attempt_key) in (0, 20) for resource in resources(base=RICH).values())


def test_without_serving_there_is_only_a_training_and_what_measures_it() -> None:
    assert set(resources({"serving": None})) == {T, V}
    assert set(resources({"serving": None, "data": {"eval": None}})) == {T}


def test_resources_depend_on_what_they_refer_to() -> None:
    wanted = resources()

    for role, resource in wanted.items():
        # An evaluation is told the name of the run record, which is known before there is one.
        assert refs(resource.body) == (set(resource.depends_on) if role is not V else set())
    assert wanted[V].depends_on == (wanted[T].address,)


def test_a_deployment_is_gated_by_its_evaluation_or_by_the_training_where_there_are_no_rows() -> None:
    wanted = resources(base=RICH)
    alone = resources({"data": {"eval": None}, "evaluation": {"gate": ["train_loss <= 1.2"]}})

    assert wanted[D].gate == Gate((Bound("eval_loss <= 1.2", "eval_loss", "<=", 1.2),), wanted[V].address)
    assert alone[D].gate == Gate((Bound("train_loss <= 1.2", "train_loss", "<=", 1.2),), alone[T].address)
    assert resources()[D].gate is None


def test_what_is_measured_goes_with_the_training_unless_it_has_a_machine_of_its_own() -> None:
    alike, apart = resources(base=RICH), resources({"evaluation": {"machine": L4}}, base=RICH)

    assert (alike[T].evaluates, apart[T].evaluates) == (alike[V].stamp, "")
    assert alike[V].identity == apart[V].identity
    assert (alike[V].accelerators, apart[V].accelerators) == (1, 1)


def test_rows_that_choose_the_best_checkpoint_are_measured_on_in_the_training() -> None:
    best = merged(PLAIN, {"training": {"load_best_model_at_end": True, "eval_strategy": "epoch"}})
    before, after = resources(base=best), resources({"data": {"eval": "gs://b/other.jsonl#1"}}, base=best)

    assert {role for role in before if before[role].identity != after[role].identity} == RETRAINED


def test_every_field_of_the_manifest_is_behind_one_resource_or_brings_nothing_about() -> None:
    leaves = declared_fields(subject(base=RICH).experiment)

    behind = {path for resource in resources(base=RICH).values() for path in resource.fields}

    silent = {path for path, leaf in leaves.items() if path not in behind}
    assert {leaves[path].effect for path in silent} <= {Effect.NOTHING}


def test_a_field_that_names_a_file_shows_its_content() -> None:
    assert resources()[T].fields["data.train"].value == f"data/train.jsonl (sha256 {DIGEST[:12]})"


def test_a_field_says_what_leaving_it_out_would_mean() -> None:
    assert resources()[T].fields["adapter.r"] == Declared(16, "retrain", 8)


def test_a_run_that_may_finish_says_so() -> None:
    assert resources({"run": {"on_change": "finish"}})[T].lets_finish
    assert not resources()[T].lets_finish


def refs(value: Any) -> set[Any]:
    if isinstance(value, Ref):
        return {value.address}
    if isinstance(value, Mapping):
        return {found for item in value.values() for found in refs(item)}
    return {found for item in value for found in refs(item)} if isinstance(value, list) else set()
