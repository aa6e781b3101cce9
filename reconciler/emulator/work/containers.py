"""What a container spec means on this machine: which program, with which words and which environment.

Decides nothing about when it runs.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TypeAlias

from reconciler.emulator.instance_metadata import variables
from reconciler.emulator.settings import Settings
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.work.docker import Contained, by_name, name_of, run_words
from reconciler.emulator.work.images import Images
from reconciler.emulator.world import Launch, Mounts

Words: TypeAlias = "tuple[str, ...] | Contained"
"""What runs a container: the argv of a program on this machine, or what Docker is told."""

_GCS = re.compile(r"/gcs/([a-z0-9][a-z0-9._-]{1,220}[a-z0-9])(?=/|$|[\s,:;\"'])")
# These would lead a program past the embedded services, into somebody's real project.
_KEPT_OUT = (
    "GOOGLE_APPLICATION_CREDENTIALS", "GOOGLE_CLOUD_", "GOOGLE_API_", "CLOUDSDK_", "BOTO_", "AIP_", "CLOUD_ML_",
    "GCE_METADATA_", "NO_GCE_CHECK",
)  # fmt: skip
MARK = "LORAFORM_EMULATOR_MARK"
_PACKAGE_PROGRAM = "reconciler.emulator.work.package_program"
_BOTO = "boto.cfg"


class CannotRunError(Exception):
    """No local program stands for an image, or it cannot be started; the message says the way out."""


def images_of(settings: Settings, specs: Iterable[Message]) -> list[str]:
    """The images that Docker has to be asked about before `words` can be said of these containers."""
    return [spec.image_uri for spec in specs if _contained(settings, spec.image_uri, tuple(spec.command))]


def words(settings: Settings, images: Images, image: str, command: Iterable[str], args: Iterable[str]) -> Words | str:
    """The argv of a container, or `hold` or `stub`. Raises `CannotRunError` for an image that maps to nothing.

    An image that no program stands for is run by Docker, where Docker has it. Else, with a `command`, the container's
    own words are run as they are, whatever the image.
    """
    program = settings.program(image)
    if isinstance(program, str):
        return program
    own, rest = tuple(command), tuple(args)
    contained = _contained(settings, image, own)
    if contained and images.has(image):
        return Contained(image, own, rest)
    if own and not (contained and settings.docker_only):
        return (*own, *rest)
    if program is None:
        docker = "" if not settings.docker else f", and {Path(settings.docker).name} has no image of this name"
        raise CannotRunError(
            f"Image {image} maps to no program on this machine{docker}. Start the server with --programs "
            f'\'{{"{image}": ["python", "-m", "your.module"]}}\', '
            + ("build or load the image" if docker else "or give the container a command")
            + "."
        )
    return (*program, *rest)


def _contained(settings: Settings, image: str, command: tuple[str, ...]) -> bool:
    """Whether Docker may run it: no program stands for it, and it is no program of the server's own."""
    return bool(settings.docker) and settings.program(image) is None and command[:1] != (sys.executable,)


def container_of(pool: Message) -> Message | None:
    """The container of a worker pool: its own, or one that runs its Python package; None for an empty pool.

    A package is installed and run by the server's own Python, whatever its executor image, as a `command` is.
    """
    if pool.HasField("container_spec"):
        return pool.container_spec
    if not pool.HasField("python_package_spec"):
        return None
    package = pool.python_package_spec
    uris = json.dumps(list(package.package_uris))
    spec = new("ContainerSpec", image_uri=package.executor_image_uri, args=package.args, env=package.env)
    spec.command.extend([sys.executable, "-m", _PACKAGE_PROGRAM, package.python_module, uris])
    return spec


def launch(
    settings: Settings,
    mounts: Mounts,
    argv: Words,
    given: Mapping[str, str],
    own: Mapping[str, str],
    *,
    folder: Path,
    log: Path,
    key: str,
) -> Launch:
    """A program with the environment of a container: `given` by the user, `own` set by the platform (which wins).

    `$(VAR)` in words is replaced as Kubernetes does it, and `/gcs/BUCKET` by the folder that stands for the bucket.
    """
    bin_folder = str(Path(sys.executable).parent)
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(_KEPT_OUT)}
    path = os.pathsep.join([bin_folder, inherited.get("PATH", os.defpath)])
    platform = {
        "STORAGE_EMULATOR_HOST": settings.url,
        **_command_line(settings),
        **variables(settings),
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",  # gcsfs would first ask over gRPC with TLS, for a minute
        "LORAFORM_API_ENDPOINT": settings.url,
        "GOOGLE_CLOUD_PROJECT": settings.project,
        "PYTHONUNBUFFERED": "1",
        **own,
    }
    mark = {MARK: f"{settings.mark}/{key}"}
    if isinstance(argv, Contained):
        inside = {**{name: expand(value, given) for name, value in given.items()}, **platform}
        outside = {**inherited, **{name: value for name, value in inside.items() if by_name(name)}, **mark}
        container = name_of(settings.mark, key)
        return Launch(_docker(settings, mounts, argv, inside, container), outside, folder, log, container)
    chosen = {name: on_this_machine(expand(value, given), mounts) for name, value in given.items()}
    env = {**inherited, "PATH": path, **chosen, **platform, **mark}
    return Launch(tuple(on_this_machine(expand(word, env), mounts) for word in argv), env, folder, log)


def write_boto(folder: Path) -> None:
    """What makes gsutil do all it does through `gcloud storage`, which takes another address and no account."""
    (folder / _BOTO).write_text("[GSUtil]\nuse_gcloud_storage = True\n", encoding="utf-8")


def on_this_machine(text: str, mounts: Mounts) -> str:
    """`/gcs/BUCKET/path` -> the same path in the local folder of the bucket."""
    return _GCS.sub(lambda found: str(mounts.folder(found[1])), text)


def buckets_in(texts: Iterable[str]) -> frozenset[str]:
    """The buckets that a container's words and variables name as `/gcs/BUCKET`."""
    return frozenset(found[1] for text in texts for found in _GCS.finditer(text))


def texts_of(spec: Message) -> list[str]:
    """Everything in a container spec that may name a bucket: command, args and variables."""
    return [*spec.command, *spec.args, *(variable.value for variable in spec.env)]


def expand(text: str, env: Mapping[str, str]) -> str:
    """`$(VAR)` -> its value; `$$(VAR)` stays as `$(VAR)`; an unknown one is left alone."""

    def replace(found: re.Match[str]) -> str:
        if found[0].startswith("$$"):
            return found[0][1:]
        return env.get(found[1], found[0])

    return re.sub(r"\$?\$\(([A-Za-z_][A-Za-z0-9_]*)\)", replace, text)


def _command_line(settings: Settings) -> dict[str, str]:
    """Variables that lead gcloud and gsutil to the embedded services, with a configuration of their own."""
    return {
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_AIPLATFORM": f"{settings.url}/",
        "CLOUDSDK_API_ENDPOINT_OVERRIDES_STORAGE": f"{settings.url}/",
        "CLOUDSDK_AUTH_DISABLE_CREDENTIALS": "true",
        "CLOUDSDK_CONFIG": str(settings.folder / "gcloud"),
        "CLOUDSDK_CORE_PROJECT": settings.project,
        "BOTO_CONFIG": str(settings.folder / _BOTO),
    }


def _docker(
    settings: Settings, mounts: Mounts, contained: Contained, env: Mapping[str, str], name: str
) -> tuple[str, ...]:
    """The words of a container: it sees its own variables alone, and buckets where it expects them."""
    command, args = (tuple(expand(word, env) for word in some) for some in (contained.command, contained.args))
    shown = {mounts.folder(bucket): f"/gcs/{bucket}" for bucket in buckets_in([*command, *args, *env.values()])}
    # What leads gcloud here, and what the server reads back, lies in its own folder.
    own = (settings.folder / name for name in (_BOTO, "trials", "pipelines"))
    shown |= {path: str(path) for path in own if path.exists()}
    return run_words(
        settings.docker,
        Contained(contained.image, command, args),
        name,
        settings.mark,
        env,
        shown,
        settings.docker_words,
    )
