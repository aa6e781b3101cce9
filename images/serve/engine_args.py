"""A serving spec becomes the command line of vLLM's own server, checked against vLLM's own parser.

Pure: it starts nothing. The parser is an argument, so a key is judged by the very vLLM that will run.
"""

from __future__ import annotations

import argparse
import difflib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.serve.artifact import Artifact
from images.serve.container import Container
from images.serve.settings import BASE
from schemas.serving_spec import ServingSpec
from schemas.vllm_lora import servable

LORA_RANKS = servable().ranks
SET_BY_LORAFORM = frozenset(
    [
        "model",
        "model_tag",
        "served_model_name",
        "tokenizer",
        "enable_lora",
        "lora_modules",
        "chat_template",
        "host",
        "port",
        "uds",
        "root_path",
        "config",
        "api_key",
        "ssl_keyfile",
        "ssl_certfile",
        "ssl_ca_certs",
        "middleware",
        "data_parallel_supervisor_port",
        "grpc_port",
        "api_server_count",
        "headless",
        "help",
        "revision",
        "tokenizer_revision",
    ]
)


class EngineArgumentError(ValueError):
    """`engine` in the spec holds what this vLLM does not take; the message lists every problem."""


@dataclass(frozen=True, slots=True)
class Folders:
    """Everything fetched, on this disk."""

    artifact: Artifact
    base: Path
    tokenizer: Path | None = None


def smallest_rank(rank: int) -> int:
    """The smallest max_lora_rank that vLLM allows and that covers `rank`: memory and time grow with it."""
    for allowed in LORA_RANKS:
        if allowed >= rank:
            return allowed
    raise EngineArgumentError(f"the adapter has rank {rank}; vLLM serves ranks up to {LORA_RANKS[-1]}")


def engine_flags(engine: Mapping[str, Any], parser: argparse.ArgumentParser) -> list[str]:
    """snake_case engine arguments as command-line flags, sorted. EngineArgumentError lists all wrong keys at once."""
    options = parser._option_string_actions
    known = sorted({flag[2:].replace("-", "_") for flag in options if flag.startswith("--")} - SET_BY_LORAFORM)
    problems, flags = [], []
    for key in sorted(engine):
        value, flag = engine[key], "--" + key.replace("_", "-")
        if key in SET_BY_LORAFORM:
            problems.append(f"engine.{key} is set by Loraform")
        elif flag not in options:
            near = difflib.get_close_matches(key, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            problems.append(f"engine.{key} is not an argument of this vLLM{hint}")
        elif value is not None:
            flags += _flag(flag, value, options)
    if problems:
        raise EngineArgumentError("; ".join(problems))
    return flags


def server_argv(
    spec: ServingSpec,
    engine: Mapping[str, Any],
    folders: Folders,
    container: Container,
    parser: argparse.ArgumentParser,
) -> list[str]:
    """The whole command line. `engine` is the spec's, completed for this machine."""
    artifact = folders.artifact
    adapter = artifact.form == "adapter"
    model = folders.base if adapter else artifact.folder
    argv = ["--host", container.host, "--port", str(container.port), "--model", str(model)]
    argv += ["--served-model-name", BASE if adapter else spec.experiment]
    if folders.tokenizer is not None:
        argv += ["--tokenizer", str(folders.tokenizer)]
    if artifact.chat_template is not None:
        argv += ["--chat-template", str(artifact.chat_template)]
    engine = dict(engine)
    if adapter:
        if spec.experiment == BASE:
            raise EngineArgumentError(f"an experiment cannot be called {BASE!r}: the base model answers to this name")
        module = {"name": spec.experiment, "path": str(artifact.folder), "base_model_name": BASE}
        argv += ["--enable-lora", "--lora-modules", json.dumps(module)]
        engine.setdefault("max_lora_rank", smallest_rank(max(spec.rank, artifact.rank)))
        if isinstance(engine["max_lora_rank"], int) and engine["max_lora_rank"] < artifact.rank:
            raise EngineArgumentError(
                f"engine.max_lora_rank is {engine['max_lora_rank']}, but the adapter has rank {artifact.rank}: "
                f"leave it out or write {smallest_rank(artifact.rank)}"
            )
    if spec.model.trust_remote_code:
        engine.setdefault("trust_remote_code", True)
    engine.setdefault(
        "disable_access_log_for_endpoints", f"{container.health_route},{container.predict_route},/metrics"
    )
    return argv + engine_flags(engine, parser)


def parse(parser: argparse.ArgumentParser, argv: list[str]) -> argparse.Namespace:
    """vLLM's own reading of `argv`. EngineArgumentError with the parser's words instead of its exit."""

    def refuse(message: str) -> None:
        raise EngineArgumentError(f"vLLM refuses the engine arguments: {message}")

    parser.error = refuse  # type: ignore[method-assign,assignment]  # argparse knows no other way to keep the process
    return parser.parse_args(argv)


def _flag(flag: str, value: Any, options: Mapping[str, argparse.Action]) -> list[str]:
    if isinstance(value, bool) and options[flag].nargs == 0:
        if value:
            return [flag]
        opposite = "--no-" + flag[2:]
        # A switch without an opposite is off when it is not named.
        return [opposite] if opposite in options else []
    if isinstance(value, list | tuple) and options[flag].nargs in ("+", "*"):
        return [flag, *(item if isinstance(item, str) else json.dumps(item) for item in value)]
    return [flag, value if isinstance(value, str) else json.dumps(value, sort_keys=True)]
