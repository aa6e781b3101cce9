"""`python -m reconciler.emulator`: start the embedded Vertex AI in this process."""

from __future__ import annotations

import argparse
import faulthandler
import shlex
import sys
from contextlib import suppress
from pathlib import Path

from reconciler.emulator.lifecycle import Options, serve
from reconciler.emulator.quotas import read_quotas
from reconciler.emulator.serving import RefusedError
from reconciler.emulator.settings import read_programs, read_stand_ins
from reconciler.emulator.work.docker import RUNNERS


def main() -> int:
    """Serve until told to stop. Returns 0 after a clean end, 1 when the server could not start, 2 for bad options."""
    parser = argparse.ArgumentParser(prog="python -m reconciler.emulator", description="The embedded Vertex AI.")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: this machine only)")
    parser.add_argument("--port", type=int, default=0, help="port; 0 takes a free one")
    parser.add_argument("--state", type=Path, required=True, help="folder for everything that is kept")
    parser.add_argument("--programs", default="{}", help='{"image": ["program", "word"]} as JSON, or a file of it')
    parser.add_argument("--project", default="loraform-local", help="GOOGLE_CLOUD_PROJECT of what is started")
    parser.add_argument("--jobs-at-once", type=int, default=1, help="custom jobs that run at a time")
    parser.add_argument("--tls", action="store_true", help="answer with TLS too, on a port of its own")
    parser.add_argument("--tls-port", type=int, default=0, help="that port; 0 takes a free one")
    parser.add_argument("--replicas-at-most", type=int, default=2, help="servers that run of one deployed model")
    parser.add_argument("--stand-ins", default="{}", help='{"base model": "folder"} as JSON, or a file of it')
    parser.add_argument("--withhold-container-specs", action="store_true", help="read models do not tell theirs")
    parser.add_argument("--quotas", type=Path, help="JSON file with quotas (default: none)")
    parser.add_argument("--runner", choices=RUNNERS, default="auto", help="what runs images that no program stands for")
    parser.add_argument("--docker-run", default="", help="more words for `docker run`, such as '--gpus all'")
    chosen = parser.parse_args()
    try:
        programs = read_programs(chosen.programs)
        stand_ins = read_stand_ins(chosen.stand_ins)
        quotas = read_quotas(chosen.quotas) if chosen.quotas else ()
    except ValueError as error:
        parser.error(str(error))
    options = Options(
        host=chosen.host,
        port=chosen.port,
        folder=chosen.state.resolve(),
        programs=programs,
        project=chosen.project,
        jobs_at_once=max(1, chosen.jobs_at_once),
        stand_ins=stand_ins,
        tls_port=chosen.tls_port if chosen.tls else None,
        replicas_at_most=max(1, chosen.replicas_at_most),
        withhold_containers=chosen.withhold_container_specs,
        quotas=quotas,
        runner=chosen.runner,
        docker_words=tuple(shlex.split(chosen.docker_run)),
    )
    faulthandler.enable()  # a server that crashes says where
    try:
        serve(options, _say)
    except RefusedError as refused:
        print(refused, file=sys.stderr)  # noqa: T201 - and this its one line of complaint
        return 1
    return 0


def _say(line: str) -> None:
    with suppress(OSError):  # nobody reads any more, or the disk is full: no reason to end
        print(line, flush=True)  # noqa: T201 - the program's few lines of output


if __name__ == "__main__":
    sys.exit(main())
