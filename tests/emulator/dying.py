"""The server, which kills itself between two writes: `python -m tests.emulator.dying MADE OWNER ...options`.

Once it has written a new row of the kind MADE, it dies at the first statement that would change one of the kind OWNER.
"""

from __future__ import annotations

import os
import runpy
import signal
import sqlite3
import sys
from typing import Any

made, owner = sys.argv[1:3]
sys.argv[1:3] = []
connect = sqlite3.connect


def dying(path: Any, *args: Any, **options: Any) -> sqlite3.Connection:
    """A connection that watches what is written."""
    found = connect(path, *args, **options)
    written = False

    def look(statement: str) -> None:
        nonlocal written
        if written and statement.startswith("UPDATE") and f"WHERE kind = '{owner}'" in statement:
            os.kill(os.getpid(), signal.SIGKILL)
        written = written or (statement.startswith("INSERT") and f"VALUES ('{made}'," in statement)

    if str(path).endswith("vertex.sqlite"):
        found.set_trace_callback(look)
    return found


sqlite3.connect = dying  # type: ignore[assignment]
runpy.run_module("reconciler.emulator", run_name="__main__", alter_sys=True)
