"""No process of this server outlives the one that started it, however that one ends.

vLLM stops its engine when its server stops in an orderly way; this is for the other ways.
"""

from __future__ import annotations

import ctypes
import os
import signal
import threading
import time

PR_SET_PDEATHSIG = 1
LOOK_EVERY_SECONDS = 0.5
PATIENCE_SECONDS = 10.0


def die_with_parent(parent: int) -> None:
    """Have the kernel kill this process when its parent ends; at once if the parent `parent` has ended already.

    Linux only, elsewhere nothing happens. The kernel's "parent" is the thread that forked: call it in children of
    a main thread.
    """
    try:
        ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    except (OSError, AttributeError):
        return
    if os.getppid() != parent:
        os.kill(os.getpid(), signal.SIGKILL)


def follow_parent() -> None:
    """Watch, in a thread, whether the process that started us still lives; when it is gone, end as by SIGTERM.

    For a server that the embedded Vertex AI started: a killed `loraform up` must not leave a model in memory.
    """
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(PATIENCE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="follow-parent", daemon=True).start()
