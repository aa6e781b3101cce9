from __future__ import annotations

import importlib.metadata
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, get_args

import pytest
from google.cloud.aiplatform_v1.types import AcceleratorType
from pydantic_core import SchemaValidator, ValidationError

from reconciler.repo.vocabulary import keys_of, part_of
from schemas import dropped, json_schema
from schemas.adapter import METHODS, Adapter, Method
from schemas.effects import declared_fields
from schemas.endpoint import Rank
from schemas.experiment import Experiment
from schemas.generate import Row, entry
from schemas.keys import OURS, Block, Key, core_of, json_schema_of, moved_defaults, table
from schemas.machine import Accelerator
from schemas.ownership import effect_of
from schemas.serving_rules import MAX_RANK
from tests.factories_manifest import document, experiment

ROOT = Path(__file__).parents[2]


def test_the_table_was_written_from_the_installed_libraries() -> None:
    libraries = {name: block.library.split() for name, block in table().items()}

    installed = {name: version(library) for name, (library, _, _) in libraries.items()}

    assert {name: parts[1] for name, parts in libraries.items()} == installed, "run `python -m schemas.generate`"


def version(library: str) -> str:
    try:
        return importlib.metadata.version(library).split("+")[0]
    except importlib.metadata.PackageNotFoundError:
        return importlib.metadata.version(f"{library}-cpu").split("+")[0]


@pytest.mark.heavy
def test_the_table_says_what_the_installed_libraries_say() -> None:
    program = "from schemas.generate import keys_text; import sys; sys.stdout.write(keys_text())"

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    written = (ROOT / "schemas/keys.json").read_text()
    assert done.stdout[done.stdout.index('{"blocks"') :] == written, "run `python -m schemas.generate`"


@pytest.mark.parametrize("path", sorted(json_schema.texts()), ids=lambda path: path.name)
def test_the_committed_json_schemas_are_current(path: Path) -> None:
    assert path.read_text() == json_schema.texts()[path], "run `python -m schemas.generate`"


def test_importing_the_manifests_costs_little_more_than_importing_pydantic() -> None:
    """Both are measured in one process, so that a busy machine slows both: about 45 ms and 60 ms on an idle one."""
    program = (
        "import time; start = time.process_time(); from pydantic import BaseModel; middle = time.process_time(); "
        "import schemas.experiment; print((time.process_time() - middle) / (middle - start))"
    )
    ratio = min(
        float(
            subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
        )
        for _ in range(3)
    )

    assert ratio < 2.5


def test_the_manifests_need_pydantic_alone() -> None:
    program = (
        "import sys; import schemas.experiment, schemas.endpoint, schemas.project, schemas.rules, schemas.dropped; "
        "print([name for name in ('torch', 'transformers', 'trl', 'peft', 'vllm', 'yaml') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)

    assert done.stdout.strip() == "[]"


def test_accelerators_are_those_that_google_names() -> None:
    google = {item.name for item in AcceleratorType} - {"ACCELERATOR_TYPE_UNSPECIFIED"}

    assert set(get_args(Accelerator)) == google


def test_ranks_are_those_that_vllm_reserves_memory_for() -> None:
    assert get_args(Rank) == table()["engine"].keys["max_lora_rank"].choices
    assert max(get_args(Rank)) == MAX_RANK


def test_the_words_for_the_method_are_one_list() -> None:
    assert get_args(Method) == METHODS == Adapter.own["method"][1].choices


@pytest.mark.parametrize("name", dropped.names())
def test_a_dropped_name_leads_to_a_key_that_exists(name: str) -> None:
    today = dropped.today(("training", name), True)

    if today is not None and today.path:
        block, _, key = today.path.rpartition(".")
        assert key in keys_of(part_of(Experiment, block.split(".") if block else ()))


@pytest.mark.parametrize(
    ("path", "value", "today", "converted"),
    [
        (("training", "max_seq_length"), 2048, "training.max_length", 2048),
        (("training", "warmup_ratio"), 0.03, "training.warmup_steps", 0.03),
        (("training", "evaluation_strategy"), "steps", "training.eval_strategy", "steps"),
        (("training", "train_on_inputs"), False, "training.completion_only_loss", True),
        (("training", "group_by_length"), True, "training.train_sampling_strategy", "group_by_length"),
        (("adapter", "lora_r"), 16, "adapter.r", 16),
        (("adapter", "lora_target_linear"), True, "adapter.target_modules", "all-linear"),
        (("training", "load_in_4bit"), True, "adapter.method", "qlora"),
        (("training", "load_in_4bit"), False, "adapter.method", None),
        (("quantization", "compute_dtype"), "torch.bfloat16", "quantization.bnb_4bit_compute_dtype", "bfloat16"),
        (("serving", "engine", "torch_dtype"), "half", "serving.engine.dtype", "float16"),
        (("serving", "generation", "max_new_tokens"), 9, "serving.generation.max_tokens", 9),
    ],
)
def test_a_dropped_name_is_converted(path: tuple[str, ...], value: Any, today: str, converted: Any) -> None:
    found = dropped.today(path, value)

    assert found is not None
    assert (found.path, found.value) == (today, converted)


def test_a_name_that_nobody_has_used_has_no_successor() -> None:
    assert dropped.today(("training", "wibble"), 1) is None


VALUES: list[Any] = [None, True, 3, 2.5, "a", ["a"], [1], [[1, 2]], {"a": 1}, {"a": "b"}, {"a": [1.5]}]


@pytest.mark.parametrize(
    ("text", "taken"),
    [
        ("int", [3]),
        ("float", [3, 2.5]),
        ("str", ["a"]),
        ("bool", [True]),
        ("int|null", [None, 3]),
        ("str|list[str]|null", [None, "a", ["a"]]),
        ("list[list[int]]", [[[1, 2]]]),
        ("list[int|str]", [["a"], [1]]),
        ("map", [{"a": 1}, {"a": "b"}, {"a": [1.5]}]),
        ("map[int]", [{"a": 1}]),
        ("map[list[float]]", [{"a": [1.5]}]),
        ("bool|str", [True, "a"]),
        ("any", VALUES),
    ],
)
def test_the_type_language_takes_what_it_says(text: str, taken: list[Any]) -> None:
    validator = SchemaValidator(core_of(Key(text, None, "nothing")))

    def takes(value: Any) -> bool:
        try:
            validator.validate_python(value)
        except ValidationError:
            return False
        return True

    assert [value for value in VALUES if takes(value)] == taken


def test_the_json_schema_of_a_key_says_type_default_and_effect() -> None:
    row = Key("str|null", None, "retrain", "The scheduler.", ("linear", "cosine"))

    assert json_schema_of(row) == {
        "anyOf": [{"enum": ["linear", "cosine"]}, {"type": "null"}],
        "default": None,
        "description": "The scheduler. [retrain]",
    }


@pytest.mark.parametrize("block", ["adapter", "quantization", "training", "serving.engine", "serving.generation"])
def test_writing_out_a_default_changes_nothing(block: str) -> None:
    rows = {key: row for key, row in table()[block.split(".")[-1]].keys.items() if row.effect != OURS}
    keys: Any = {key: row.default for key, row in rows.items() if row.default is not None or "null" in row.type}
    content = {"serving": {block.split(".")[1]: keys}} if "." in block else {block: keys}

    fields = declared_fields(experiment(**content))

    assert [key for key in keys if not fields[f"{block}.{key}"].at_default] == []


def test_a_default_that_the_library_has_left_is_still_the_default() -> None:
    rows = {
        "a": Key("int", 1, "retrain", moved=True),
        "b": Key("int", 2, "retrain"),
        "c": Key("int", 3, OURS, moved=True),
    }

    assert moved_defaults(Block("trl 2.0 SFTConfig", rows)) == {"a": 1}


def test_a_published_default_is_kept_when_the_library_moves_on() -> None:
    row = Row("learning_rate", float, 5e-5, "The rate.")

    written = entry("training", row, {"type": "float", "default": 2e-5, "effect": "retrain"})

    assert (written["default"], written["library_default"]) == (2e-5, 5e-5)


def test_a_default_that_binds_nothing_follows_the_library() -> None:
    row = Row("logging_steps", float, 50, "How often.")

    written = entry("training", row, {"type": "float", "default": 10, "effect": "nothing"})

    assert (written["default"], "library_default" in written) == (50, False)


def test_a_key_that_a_new_release_brings_counts_as_one_that_changes_the_result() -> None:
    assert effect_of("training", "brand_new_key") == "retrain"
    assert effect_of("engine", "brand_new_key") == "version"


def test_no_key_that_loraform_sets_is_offered_by_an_editor() -> None:
    schema = json.loads((ROOT / "schemas/json/experiment.schema.json").read_text())
    offered = schema["properties"]["training"]["properties"]

    ours = [key for key, row in table()["training"].keys.items() if row.effect == OURS]

    assert len(ours) > 10
    assert not set(ours) & set(offered)


def test_a_manifest_is_validated_in_well_under_a_millisecond() -> None:
    content = document()
    Experiment.model_validate(content)

    start = time.process_time()
    for _ in range(200):
        Experiment.model_validate(content)
    seconds = (time.process_time() - start) / 200

    assert seconds < 0.001
