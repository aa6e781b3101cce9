"""The command in a process that the kernel or its own hook kills amid what it writes to this disk."""

from __future__ import annotations

import os
import resource
import signal
import sys
from pathlib import Path
from typing import Any

from reconciler.cli.main import run
from tests.cli.crash_world import CONTEXT, KILLED

WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT
CHANGES = ("os.rename", "os.mkdir", "os.remove", "os.chmod", "os.link", "os.rmdir")
TOO_LARGE = -signal.SIGXFSZ


def dies_before(nth: int, root: Path, *arguments: str) -> bool:
    """Run the command in `root`; it is killed before its nth change to a file there. Whether it came to that."""
    code = _end(root, arguments, nth, None)
    assert code in (0, KILLED), code
    return code == KILLED


def dies_at_byte(size: int, root: Path, *arguments: str) -> bool:
    """Run the command; it is killed when any file is about to grow beyond `size` bytes. Whether it came to that."""
    code = _end(root, arguments, 0, size)
    assert code in (0, TOO_LARGE), code
    return code == TOO_LARGE


def _end(root: Path, arguments: tuple[str, ...], nth: int, size: int | None) -> int:
    process = CONTEXT.Process(target=_live, args=(root, arguments, nth, size))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode


def _live(root: Path, arguments: tuple[str, ...], nth: int, size: int | None) -> None:
    os.chdir(root)
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    if size is not None:
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))
    count = 0

    def watch(event: str, args: tuple[Any, ...]) -> None:
        nonlocal count
        opens = event == "open" and isinstance(args[2], int) and args[2] & WRITES
        if not (opens or event in CHANGES) or not isinstance(args[0], str | os.PathLike):
            return
        if str(root) in os.path.abspath(args[0]):
            count += 1
            if count == nth:
                os.kill(os.getpid(), signal.SIGKILL)

    if nth:
        sys.addaudithook(watch)
    os._exit(run(list(arguments)))
