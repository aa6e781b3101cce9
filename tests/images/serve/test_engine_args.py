from __future__ import annotations

import argparse
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from images.serve.artifact import Artifact
from images.serve.container import Container
from images.serve.engine_args import EngineArgumentError, Folders, engine_flags, parse, server_argv, smallest_rank
from schemas.serving_spec import ServingSpec

CONTAINER = Container(8080, "/health", "/predict", "gs://b/a")


@pytest.fixture
def parser() -> argparse.ArgumentParser:
    """A parser with one argument of each kind that vLLM's has."""
    parser = argparse.ArgumentParser()
    for name in ("--host", "--model", "--served-model-name", "--tokenizer", "--chat-template", "--dtype"):
        parser.add_argument(name)
    for name in ("--port", "--max-model-len", "--max-lora-rank"):
        parser.add_argument(name, type=int)
    parser.add_argument("--gpu-memory-utilization", type=float)
    parser.add_argument("--disable-access-log-for-endpoints")
    parser.add_argument("--lora-modules", nargs="*")
    parser.add_argument("--enable-lora", action=argparse.BooleanOptionalAction)
    parser.add_argument("--trust-remote-code", action=argparse.BooleanOptionalAction)
    parser.add_argument("--disable-log-stats", action="store_true")
    parser.add_argument("--allowed-local-media", nargs="+")
    parser.add_argument("--speculative-config", type=json.loads)
    return parser


@pytest.fixture
def folders() -> Callable[..., Folders]:
    def build(**changes: Any) -> Folders:
        fields: dict[str, Any] = {"form": "adapter", "rank": 4, "chat_template": None, "tokenizer": None}
        artifact = Artifact(folder=Path("/a"), stop_token_ids=(), **{**fields, **changes})
        return Folders(artifact, Path("/b"))

    return build


def spec(**changes: Any) -> ServingSpec:
    return ServingSpec.model_validate({"experiment": "facts", "model": {"base": "/b"}, "rank": 4, **changes})


@pytest.mark.parametrize(("rank", "allowed"), [(0, 1), (1, 1), (2, 8), (8, 8), (9, 16), (300, 320), (512, 512)])
def test_the_rank_limit_is_the_smallest_that_covers_the_adapter(rank: int, allowed: int) -> None:
    assert smallest_rank(rank) == allowed


def test_a_rank_beyond_vllms_largest_is_refused() -> None:
    with pytest.raises(EngineArgumentError, match="up to 512"):
        smallest_rank(513)


def test_engine_keys_become_flags_in_order(parser: argparse.ArgumentParser) -> None:
    engine = {
        "max_model_len": 4096,
        "gpu_memory_utilization": 0.9,
        "dtype": "float32",
        "trust_remote_code": False,
        "disable_log_stats": True,
        "allowed_local_media": ["a", "b"],
        "speculative_config": {"model": "x"},
        "tokenizer_mode": None,
    }
    parser.add_argument("--tokenizer-mode")

    flags = engine_flags(engine, parser)

    assert flags == [
        *("--allowed-local-media", "a", "b"),
        "--disable-log-stats",
        *("--dtype", "float32"),
        *("--gpu-memory-utilization", "0.9"),
        *("--max-model-len", "4096"),
        *("--speculative-config", '{"model": "x"}'),
        "--no-trust-remote-code",
    ]
    assert parser.parse_args(flags).speculative_config == {"model": "x"}


def test_a_switch_without_opposite_is_left_out_when_false(parser: argparse.ArgumentParser) -> None:
    assert engine_flags({"disable_log_stats": False}, parser) == []


def test_all_wrong_engine_keys_are_told_at_once(parser: argparse.ArgumentParser) -> None:
    with pytest.raises(EngineArgumentError) as caught:
        engine_flags({"max_model_length": 1, "port": 3, "dtype": "auto"}, parser)

    assert str(caught.value) == (
        "engine.max_model_length is not an argument of this vLLM; did you mean 'max_model_len'?; "
        "engine.port is set by Loraform"
    )


def test_an_adapter_is_served_beside_its_base(parser: argparse.ArgumentParser, folders: Callable[..., Folders]) -> None:
    argv = server_argv(spec(), {}, folders(chat_template=Path("/a/chat_template.jinja")), CONTAINER, parser)

    args = parser.parse_args(argv)
    assert (args.host, args.port) == ("0.0.0.0", 8080)
    assert (args.model, args.served_model_name, args.enable_lora) == ("/b", "base", True)
    assert json.loads(args.lora_modules[0]) == {"name": "facts", "path": "/a", "base_model_name": "base"}
    assert args.max_lora_rank == 8
    assert args.chat_template == "/a/chat_template.jinja"


def test_a_full_model_is_served_under_the_experiments_name(
    parser: argparse.ArgumentParser, folders: Callable[..., Folders]
) -> None:
    argv = server_argv(spec(form="full"), {}, folders(form="full", rank=0), CONTAINER, parser)

    args = parser.parse_args(argv)
    assert (args.model, args.served_model_name) == ("/a", "facts")
    assert args.lora_modules is None


def test_the_artifacts_own_rank_counts_where_the_spec_is_too_small(
    parser: argparse.ArgumentParser, folders: Callable[..., Folders]
) -> None:
    argv = server_argv(spec(rank=4), {}, folders(rank=33), CONTAINER, parser)

    assert parser.parse_args(argv).max_lora_rank == 64


def test_a_rank_limit_below_the_adapter_is_refused_with_the_right_one(
    parser: argparse.ArgumentParser, folders: Callable[..., Folders]
) -> None:
    with pytest.raises(EngineArgumentError, match="write 32"):
        server_argv(spec(), {"max_lora_rank": 16}, folders(rank=20), CONTAINER, parser)


def test_an_experiment_cannot_take_the_bases_name(
    parser: argparse.ArgumentParser, folders: Callable[..., Folders]
) -> None:
    with pytest.raises(EngineArgumentError, match="cannot be called 'base'"):
        server_argv(spec(experiment="base"), {}, folders(), CONTAINER, parser)


def test_the_parsers_refusal_is_an_error_and_not_the_end_of_the_process(parser: argparse.ArgumentParser) -> None:
    with pytest.raises(EngineArgumentError, match="max-model-len"):
        parse(parser, ["--max-model-len", "many"])
