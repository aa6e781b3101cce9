"""What the server is told at its start. Decides nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeAlias

from reconciler.emulator.quotas import Quota

HOLD, STUB = "hold", "stub"
Program: TypeAlias = "tuple[str, ...] | str"
"""The argv of a local program; or `hold`: the job runs until it is told to finish; or `stub`: serving answers echo."""


@dataclass(frozen=True, slots=True)
class Settings:
    """`folder` holds everything that is kept; `url` is the server's own address, without a slash at the end.

    `jobs_at_once` custom jobs run at a time, the others wait. Of a deployed model `replicas_at_most` servers run,
    however many are asked for. `tls_address` is the `localhost:PORT` of dedicated endpoints, empty without a TLS port.
    `grace_s` is the time between asking a program to end
    and ending it. `mark` is in the environment of everything that is started, so that leftovers can be recognised.
    `withhold_containers`: no model that is read tells its container spec, which the types call input only.
    `stand_ins` says which model on this machine is tuned in place of a base model that only the cloud has. `docker` is
    the command that runs the images that no program stands for, empty where there is none; with `docker_only` their own
    commands are not run outside of a container either. `docker_words` are given to every `docker run`.
    """

    folder: Path
    url: str
    project: str
    programs: Mapping[str, Program]
    mark: str
    jobs_at_once: int = 1
    grace_s: float = 10.0
    replicas_at_most: int = 2
    withhold_containers: bool = False
    tls_address: str = ""
    quotas: tuple[Quota, ...] = ()
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    docker: str = ""
    docker_only: bool = False
    docker_words: tuple[str, ...] = ()

    def program(self, image: str) -> Program | None:
        """The program of an image: by its exact name, else without digest and tag."""
        bare = image.split("@")[0]
        head, _, tail = bare.rpartition("/")
        untagged = f"{head}/{tail.split(':')[0]}" if head else tail.split(":")[0]
        for name in (image, bare, untagged):
            if name in self.programs:
                return self.programs[name]
        return None


def read_programs(text: str) -> dict[str, Program]:
    """The `--programs` value: a JSON object, or the path of a file that holds one.

    Maps an image name to an argv list, or to `hold` or `stub`. Raises `ValueError` with a way out.
    """
    if not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"--programs {text}: {error.strerror}; give a JSON file or a JSON object") from None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--programs is not JSON: {error}") from None
    if not isinstance(found, dict):
        raise ValueError(
            '--programs must be a JSON object such as {"loraform/train": ["python", "-m", "images.train"]}'
        )
    programs: dict[str, Program] = {}
    for image, program in found.items():
        if program in (HOLD, STUB):
            programs[image] = program
        elif isinstance(program, list) and program and all(isinstance(part, str) for part in program):
            programs[image] = tuple(program)
        else:
            raise ValueError(f'--programs: {image} must map to a list of words, "{HOLD}" or "{STUB}"')
    return programs


def read_stand_ins(text: str) -> dict[str, str]:
    """The `--stand-ins` value: a JSON object of base model name -> folder, or the path of a file that holds one.

    Raises `ValueError` with a way out.
    """
    if not text.lstrip().startswith("{"):
        try:
            text = Path(text).read_text(encoding="utf-8")
        except OSError as error:
            raise ValueError(f"--stand-ins {text}: {error.strerror}; give a JSON file or a JSON object") from None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"--stand-ins is not JSON: {error}") from None
    if not isinstance(found, dict) or not all(isinstance(folder, str) and folder for folder in found.values()):
        raise ValueError(
            '--stand-ins must map base models to folders, such as {"meta/llama3_1@llama-3.1-8b": "/models/tiny"}'
        )
    return found
