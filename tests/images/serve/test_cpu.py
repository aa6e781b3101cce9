from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from images.serve.cpu import MIB, cache_bytes, cpu_engine, cpu_environment, engine_threads

LLAMA = {
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "hidden_size": 4096,
    "max_position_embeddings": 8192,
}


@pytest.fixture
def model(tmp_path: Path) -> Path:
    (tmp_path / "config.json").write_text(json.dumps(LLAMA), encoding="utf-8")
    return tmp_path


def test_a_tiny_model_gets_the_smallest_cache() -> None:
    tiny = {"num_hidden_layers": 4, "num_attention_heads": 4, "hidden_size": 64, "max_position_embeddings": 512}

    assert cache_bytes(tiny) == 64 * MIB


def test_a_large_model_gets_no_more_than_four_gibibytes() -> None:
    assert cache_bytes(LLAMA) == 4096 * MIB


def test_one_sequence_of_full_length_always_fits() -> None:
    size = cache_bytes(LLAMA, max_model_len=65536)

    assert size is not None
    assert size >= 65536 * 2 * 32 * 8 * 128 * 4


@pytest.mark.parametrize("config", [{}, {"num_hidden_layers": "many"}, {"num_attention_heads": 0, "hidden_size": 1}])
def test_a_config_without_sizes_leaves_the_cache_to_vllm(config: dict[str, Any]) -> None:
    assert cache_bytes(config) is None


def test_engine_keys_of_the_spec_win(model: Path) -> None:
    engine = cpu_engine(model, False, {"dtype": "bfloat16", "kv_cache_memory_bytes": 5}, {})

    assert engine == {"dtype": "bfloat16", "enforce_eager": True, "kv_cache_memory_bytes": 5}


def test_the_environments_cache_size_wins(model: Path) -> None:
    assert "kv_cache_memory_bytes" not in cpu_engine(model, False, {}, {"VLLM_CPU_KVCACHE_SPACE": "1"})


def test_an_adapter_gets_a_slot_beside_an_empty_one(model: Path) -> None:
    assert cpu_engine(model, True, {}, {})["max_loras"] == 2
    assert cpu_engine(model, True, {"max_loras": 4, "max_cpu_loras": 4}, {})["max_cpu_loras"] == 5


def test_variables_that_are_set_already_stay() -> None:
    wanted = cpu_environment({}, {"VLLM_ENABLE_V1_MULTIPROCESSING": "1"})

    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in wanted
    assert wanted["TORCHDYNAMO_DISABLE"] == "1"
    assert "TORCHDYNAMO_DISABLE" not in cpu_environment({"enforce_eager": False}, {})


def test_openmp_threads_are_the_operators_choice() -> None:
    assert engine_threads({"OMP_NUM_THREADS": "3"}) == 3
    assert engine_threads({}) >= 1
