"""vLLM's own OpenAI server, run in this process: vLLM is imported once, not once more in a program of its own.

Only this module and the plugin import vLLM. Everything is vLLM's: the engine, the app, the loop that serves it;
ours are the socket (it answers since the first second) and, on CPU, the way the engine's process begins.
"""

from __future__ import annotations

import argparse
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import FrameType
from typing import Any

from images.serve.door import Door
from images.serve.processes import die_with_parent


def argument_parser() -> argparse.ArgumentParser:
    """vLLM's parser of its server's command line (imports vLLM: several seconds)."""
    from vllm.entrypoints.launchers.cli_args import make_arg_parser
    from vllm.utils.argparse_utils import FlexibleArgumentParser

    parser: argparse.ArgumentParser = make_arg_parser(FlexibleArgumentParser())
    return parser


def preload() -> None:
    """Import what the server and the forked engine need, while the model is still being fetched."""
    import vllm.entrypoints.launchers.api_server.entry
    import vllm.v1.engine.async_llm
    import vllm.v1.engine.core  # noqa: F401  # the fork hands it to the engine


def serve(args: argparse.Namespace, door: Door, engine_threads: int | None) -> None:
    """Serve until SIGTERM or SIGINT. With `engine_threads` the engine is forked, else it starts as vLLM likes.

    ValueError for arguments that vLLM takes one by one and refuses together; SystemExit when stopped while starting.
    """
    import uvloop
    from vllm.entrypoints.launchers.cli_args import validate_parsed_serve_args
    from vllm.logger import configure_logging_from_args

    configure_logging_from_args(args)
    validate_parsed_serve_args(args)
    uvloop.run(_serve(args, door, engine_threads))


async def _serve(args: argparse.Namespace, door: Door, engine_threads: int | None) -> None:
    from vllm.entrypoints.launchers.api_server.entry import build_and_serve, build_async_engine_client
    from vllm.entrypoints.launchers.launcher import validate_api_server_args
    from vllm.utils.system_utils import set_ulimit

    def stop(number: int, frame: FrameType | None) -> None:
        raise SystemExit(128 + number)

    # Until uvicorn installs its own, a signal ends the start where it stands, and the engine with it.
    signal.signal(signal.SIGTERM, stop)
    validate_api_server_args(args)
    set_ulimit()
    client = build_async_engine_client(args) if engine_threads is None else _forked_engine(args, door, engine_threads)
    door.reason = "loading the model"
    async with client as engine:
        door.reason = "opening the server"
        dead = _note_death(engine)
        address = f"http://{args.host}:{args.port}"
        stopped = await build_and_serve(engine, address, door.hand_over(), args)
    await stopped
    if any(dead):
        raise RuntimeError("the engine died; its own words are above")


def _note_death(engine: Any) -> list[bool]:
    """Filled, when the engine is first told to stop, with whether it was dead by then. vLLM's server does not tell."""
    dead: list[bool] = []
    shutdown = engine.shutdown

    def noting_shutdown(timeout: float | None = None) -> None:
        if not dead:
            dead.append(bool(engine.errored))
        shutdown(timeout=timeout)

    engine.shutdown = noting_shutdown
    return dead


@asynccontextmanager
async def _forked_engine(args: argparse.Namespace, door: Door, threads: int) -> AsyncIterator[Any]:
    """vLLM's engine in a forked process: it inherits the imports that a spawned one would repeat for ten seconds.

    Safe because this process never computes: it runs with one OpenMP thread, so that there is no thread pool that
    the child could wait for in vain. vLLM spawns on CPU only in order to pin threads, which `cpu_environment` waives.
    """
    from vllm.engine.arg_utils import AsyncEngineArgs
    from vllm.usage.usage_lib import UsageContext
    from vllm.v1.engine.async_llm import AsyncLLM

    engine_args = AsyncEngineArgs.from_cli_args(args)
    config = engine_args.create_engine_config(usage_context=UsageContext.OPENAI_API_SERVER)
    # The CPU platform has just set it to spawn.
    os.environ["VLLM_WORKER_MULTIPROC_METHOD"] = "fork"
    _prepare_children(door, threads)
    engine = AsyncLLM.from_vllm_config(
        vllm_config=config,
        usage_context=UsageContext.OPENAI_API_SERVER,
        enable_log_requests=engine_args.enable_log_requests,
        aggregate_engine_logging=engine_args.aggregate_engine_logging,
        disable_log_stats=engine_args.disable_log_stats,
    )
    try:
        await engine.reset_mm_cache()
        yield engine
    finally:
        engine.shutdown(timeout=config.shutdown_timeout)


def _prepare_children(door: Door, threads: int) -> None:
    import torch

    parent = os.getpid()

    def begin() -> None:
        die_with_parent(parent)
        door.socket.close()
        torch.set_num_threads(threads)

    os.register_at_fork(after_in_child=begin)
