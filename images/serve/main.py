"""From a serving spec and the `AIP_*` variables to a running server: read, fetch, check, serve.

Exit codes: 0 stopped by a signal, 1 the world is not as announced (no such object, port taken, engine died), 2 the
spec is wrong.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from pydantic import ValidationError

from images.common.base_model import Way, fetch_base, fetch_tokenizer, is_hub_id
from images.common.storage import cache_folder, fetch_folder
from images.serve.artifact import has_chat_template, read_artifact
from images.serve.container import Container, read_container
from images.serve.cpu import cpu_engine, cpu_environment, engine_threads, is_cpu_build
from images.serve.door import Door
from images.serve.engine_args import EngineArgumentError, Folders, parse, server_argv
from images.serve.instances import check_generation
from images.serve.processes import follow_parent
from images.serve.request_log import log_line
from images.serve.settings import BASE, Settings, to_environment
from schemas.serving_spec import ServingSpec


def main(argv: list[str]) -> int:
    """Serve until told to stop. Prints one line that says what is wrong, instead of a traceback."""
    parser = argparse.ArgumentParser(prog="python -m images.serve", description="Serve one trained experiment.")
    parser.add_argument("--spec", required=True, help="canonical JSON of schemas.serving_spec.ServingSpec")
    text = parser.parse_args(argv).spec
    try:
        spec = ServingSpec.model_validate_json(text)
        check_generation(spec.generation)
        container = read_container(os.environ)
    except ValidationError as error:
        return _fail(2, "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors()))
    except ValueError as error:
        return _fail(2, str(error))
    if os.environ.get("LORAFORM_API_ENDPOINT"):
        follow_parent()
    try:
        with Door(container.host, container.port) as door:
            _run(spec, container, door)
    except EngineArgumentError as error:
        return _fail(2, str(error))
    except (OSError, LookupError, ValueError, RuntimeError) as error:
        return _fail(1, f"{type(error).__name__}: {error}")
    return 0


def fetch_all(spec: ServingSpec, container: Container, cache: Path) -> Folders:
    """Artifact, base and tokenizer on this disk, side by side. Errors are those of `images.common`."""
    way = Way(cache)
    with ThreadPoolExecutor(3) as pool:
        artifact_folder = pool.submit(fetch_folder, container.storage_uri, cache)
        # A full model replaces its base; what it lacks is the tokenizer at most, and the trainer writes one.
        base_folder = pool.submit(fetch_base, spec.model, way) if spec.form == "adapter" else None
        tokenizer = pool.submit(fetch_tokenizer, spec.model, way)
        artifact = read_artifact(artifact_folder.result(), spec.form)
        base = base_folder.result() if base_folder is not None else artifact.folder
        # Another tokenizer than the base's was saved beside the adapter by the training run.
        own = artifact.tokenizer if spec.model.tokenizer is not None else None
        return Folders(artifact=artifact, base=base, tokenizer=own or tokenizer.result())


def settings_of(spec: ServingSpec, folders: Folders, container: Container) -> Settings:
    """What the plugin must know."""
    artifact = folders.artifact
    return Settings(
        tuned=spec.experiment,
        base=BASE if artifact.form == "adapter" else None,
        health_route=container.health_route,
        predict_route=container.predict_route,
        generation=dict(spec.generation),
        stop_token_ids=artifact.stop_token_ids,
        chat=has_chat_template(artifact.folder, folders.tokenizer, folders.base),
        row_template=artifact.row_template,
    )


def process_environment(spec: ServingSpec, environ: Mapping[str, str], cpu: bool) -> dict[str, str]:
    """Variables for vLLM in this process and its children; what the operator set stays."""
    plugins = [name for name in environ.get("VLLM_PLUGINS", "").split(",") if name]
    wanted = {"VLLM_PLUGINS": ",".join(dict.fromkeys([*plugins, "loraform"]))}
    quiet = {"VLLM_NO_USAGE_STATS": "1", "TOKENIZERS_PARALLELISM": "false"}
    wanted |= {name: value for name, value in quiet.items() if name not in environ}
    return wanted | (cpu_environment(spec.engine, environ) if cpu else {})


def _run(spec: ServingSpec, container: Container, door: Door) -> None:
    started = time.monotonic()
    cpu = is_cpu_build(os.environ)
    os.environ.update(process_environment(spec, os.environ, cpu))
    forked = cpu and os.environ["VLLM_ENABLE_V1_MULTIPROCESSING"] == "0"
    threads = engine_threads(os.environ) if forked else None
    if not any(name and is_hub_id(name) for name in (spec.model.base, spec.model.tokenizer)):
        # Read at import: no library shall ask the hub about what lies in a folder.
        os.environ.setdefault("HF_HUB_OFFLINE", "1")
    if forked:
        # This process only forwards; see `server._forked_engine` for why it must not have a pool of threads.
        os.environ["OMP_NUM_THREADS"] = "1"
    door.reason = "fetching the model"
    with ThreadPoolExecutor(1) as pool:
        fetching = pool.submit(fetch_all, spec, container, cache_folder(os.environ))
        from images.serve import server

        parser = server.argument_parser()
        server.preload()
        folders = fetching.result()
    engine = cpu_engine(folders.base, spec.form == "adapter", spec.engine, os.environ) if cpu else spec.engine
    argv = server_argv(spec, engine, folders, container, parser)
    args = parse(parser, argv)
    os.environ.update(to_environment(settings_of(spec, folders, container)))
    log_line(sys.stdout, "starting vLLM", argv=argv, seconds=round(time.monotonic() - started, 1))
    server.serve(args, door, threads)


def _fail(code: int, message: str) -> int:
    log_line(sys.stderr, message, severity="ERROR")
    return code
