"""Who is applying: a name that tells a person whom to ask, and this program whether that process still lives."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Holder:
    """One applying process. `str()` of it is its name: `user@host/pid/nonce`; the nonce is never used twice."""

    user: str
    host: str
    pid: int
    nonce: str

    def __str__(self) -> str:
        return f"{self.user}@{self.host}/{self.pid}/{self.nonce}"


def this_process() -> Holder:
    """A new holder for this process."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = "uid-" + str(os.getuid())
    return Holder(user, socket.gethostname(), os.getpid(), secrets.token_hex(4))


def is_dead_here(name: str) -> bool:
    """True when `name` is a holder on this host whose process has ended; False when that cannot be told."""
    who, _, rest = name.partition("/")
    pid = rest.partition("/")[0]
    if not pid.isdigit() or who.partition("@")[2] != socket.gethostname():
        return False
    try:
        os.kill(int(pid), 0)
    except ProcessLookupError:
        return True
    except PermissionError:
        return False
    return False
