"""Containers by the command line of Docker, or of Podman, which takes the same words. Decides no more than the words.

A container runs on the host's network, so that it reaches the embedded services and they reach its port; it carries the
server's mark as a label, so that leftovers are known. Images are never pulled.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

RUNNERS = ("auto", "local", "docker")
LABEL = "loraform-emulator"
ASK_S = 10.0
# What would change the command line itself is told to the container by value and to nobody else.
_TOUCHY = ("DOCKER_", "CONTAINER", "PODMAN_", "PATH", "HOME", "TMPDIR", "XDG_", "LD_", "HTTP_PROXY", "HTTPS_PROXY")


@dataclass(frozen=True, slots=True)
class Contained:
    """What runs in a container: its image, the command in place of the image's own, and its arguments."""

    image: str
    command: tuple[str, ...]
    args: tuple[str, ...]


def find_docker(runner: str) -> str:
    """The program that talks to a living daemon; empty when there is none, or none is wanted.

    Raises `ValueError` with the way out when Docker is wanted by name and does not answer.
    """
    if runner == "local":
        return ""
    for name in ("docker", "podman"):
        found = shutil.which(name)
        if found and _asked(found, "ps", "--quiet"):
            return found
    if runner == "docker":
        raise ValueError(
            "--runner docker: no daemon answers `docker ps`, nor does `podman ps`. Start one, or use --runner auto."
        )
    return ""


def name_of(mark: str, key: str) -> str:
    """The container's name for a program's key, such as `lf-1a2b3c4d-jobs-123-workerpool0-0`."""
    return f"lf-{mark[:8]}-{key.replace('/', '-')}"


def by_name(variable: str) -> bool:
    """Whether the command line can be given a variable, to hand it on, without heeding it itself."""
    return not variable.upper().startswith(_TOUCHY)


def run_words(
    docker: str,
    contained: Contained,
    name: str,
    mark: str,
    env: Mapping[str, str],
    mounts: Mapping[Path, str],
    further: Sequence[str] = (),
) -> tuple[str, ...]:
    """The words that run it in the foreground. `mounts` are folders of this machine -> places in the container.

    Variables are handed over by name where that is safe: their values need not show in the list of processes.
    """
    words = [docker, "run", "--rm", "--pull=never", "--network=host", f"--name={name}", f"--label={LABEL}={mark}"]
    for source, target in sorted(mounts.items()):
        words += ["--volume", f"{source}:{target}"]
    for variable, value in sorted(env.items()):
        words += ["--env", variable if by_name(variable) else f"{variable}={value}"]
    words += further
    if contained.command:
        words += ["--entrypoint", contained.command[0]]
    return (*words, contained.image, *contained.command[1:], *contained.args)


def removal(docker: str, *names: str) -> list[str]:
    """The words that kill and remove containers."""
    return [docker, "rm", "--force", *names]


def remove_marked(docker: str, mark: str) -> int:
    """Remove every container that carries a mark; how many there were. Blocks."""
    listed = [docker, "ps", "--all", "--quiet", "--filter", f"label={LABEL}={mark}"]
    try:
        found = subprocess.run(listed, capture_output=True, text=True, timeout=ASK_S, check=False).stdout.split()
        if found:
            subprocess.run(removal(docker, *found), capture_output=True, timeout=6 * ASK_S, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return 0
    return len(found)


def _asked(*words: str) -> bool:
    try:
        return subprocess.run(words, capture_output=True, timeout=ASK_S, check=False).returncode == 0
    except (OSError, subprocess.TimeoutExpired):
        return False
