"""Where a manifest says that data, models and templates are: a bucket, a model hub, or a path in the repository.

Paths are relative to the root of the repository, wherever the manifest is, and stay in it. This module reads such
texts and asks the disk whether a path leads out; it uploads and downloads nothing.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path, PurePosixPath

_GENERATION = re.compile(r"[0-9]+|[0-9a-f]{64}")
_HUB_FILE = re.compile(
    r"hf://datasets/(?P<name>[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*)(@(?P<revision>[^@/#?\s]+))?/(?P<path>[^#?\s]+)"
)
_HUB = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*(/[A-Za-z0-9][A-Za-z0-9._-]*)?")


@dataclass(frozen=True, slots=True)
class BucketObject:
    """`gs://BUCKET/NAME#PIN`; the pin is a generation, or the hash of a listing, or "" where there is none."""

    uri: str
    pin: str = ""

    def __str__(self) -> str:
        return f"{self.uri}#{self.pin}" if self.pin else self.uri


@dataclass(frozen=True, slots=True)
class HubId:
    """`org/name` on a model hub."""

    name: str

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True, slots=True)
class HubFile:
    """`hf://datasets/ORG/NAME@REVISION/PATH`: a file, or a pattern of files, of a data set on a hub."""

    name: str
    path: str
    revision: str = ""

    def __str__(self) -> str:
        return f"hf://datasets/{self.name}{'@' * bool(self.revision)}{self.revision}/{self.path}"


@dataclass(frozen=True, slots=True)
class RepositoryPath:
    """A file or folder, relative to the root of the repository, in POSIX form."""

    path: str

    def __str__(self) -> str:
        return self.path


Location = BucketObject | HubId | RepositoryPath
Rows = BucketObject | HubFile | RepositoryPath


class BadLocation(ValueError):
    """The text names no place that Loraform can read. `rule` and `remedy` are a diagnostic's."""

    def __init__(self, rule: str, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.rule = rule
        self.remedy = remedy


def data_location(text: str) -> Rows:
    """Where rows are: a bucket object, a file on a hub, or a path of the repository. BadLocation for the rest."""
    if text.startswith("hf://"):
        return _hub_file(text)
    if "://" in text:
        return _bucket_object(text)
    return RepositoryPath(_normal(text))


def base_location(text: str, root: Path) -> Location:
    """Where a base model or a tokenizer is.

    What starts with a dot, has more than one slash, or names something that exists in the repository is a path;
    what else looks like `org/name` is a hub id. BadLocation for the rest.
    """
    if "://" in text:
        return _bucket_object(text)
    if text.startswith((".", "/")) or text.count("/") > 1 or _HUB.fullmatch(text) is None or (root / text).exists():
        return RepositoryPath(_normal(text))
    return HubId(text)


def is_inline_template(text: str) -> bool:
    """True when `model.chat_template` holds the template itself and not the path of a file."""
    return "{{" in text or "{%" in text or "\n" in text


def inside(root: Path, path: RepositoryPath) -> Path:
    """The file or folder on disk. BadLocation when it leads out of the repository through a link, or is not there."""
    whole = f"{root}/{path.path}"
    try:
        real = os.path.realpath(whole, strict=True)
    except (OSError, RuntimeError, ValueError):
        raise BadLocation("missing-file", f"there is no {path} in the repository", _near(root, path)) from None
    if real != whole and not Path(real).is_relative_to(root.resolve()):
        raise BadLocation(
            "path-outside",
            f"{path} leads out of the repository, to {real}",
            "Copy what it links to into the repository, or into a bucket (gs://...).",
        )
    return Path(whole)


def _bucket_object(text: str) -> BucketObject:
    uri, mark, pin = text.partition("#")
    if not uri.startswith("gs://"):
        scheme = uri.split("://", 1)[0]
        raise BadLocation(
            "location",
            f"{scheme}:// cannot be read",
            "Use gs://BUCKET/..., a path of the repository, or, for rows, hf://datasets/ORG/NAME@COMMIT/FILE.",
        )
    if not re.fullmatch(r"gs://[a-z0-9][a-z0-9._-]+/.+", uri):
        raise BadLocation("location", f"{uri} names no object: gs://BUCKET/NAME")
    if mark and _GENERATION.fullmatch(pin) is None:
        raise BadLocation(
            "pin",
            f"#{pin} is no pin: the generation of an object is a number",
            "`loraform pin` writes it; delete it to read whatever stands there.",
        )
    return BucketObject(uri, pin)


def _hub_file(text: str) -> HubFile:
    match = _HUB_FILE.fullmatch(text)
    if match is None:
        raise BadLocation(
            "location",
            f"{text} names no file of a data set: hf://datasets/ORG/NAME@COMMIT/FILE",
            "Such as hf://datasets/acme/support@<40 hex digits>/data/train-*.parquet.",
        )
    return HubFile(match["name"], match["path"], match["revision"] or "")


@lru_cache(1024)
def _normal(text: str) -> str:
    """The path without `.` and `..`. BadLocation when it is absolute or climbs out."""
    if text.startswith(("/", "~")) or re.match(r"[A-Za-z]:[\\/]", text):
        raise BadLocation(
            "path-outside",
            f"{text} is an absolute path",
            "Paths are relative to the root of the repository; what is elsewhere belongs into a bucket (gs://...).",
        )
    if "\\" in text or "\0" in text:
        raise BadLocation("location", f"{text!r} is no path", "Separate folders with `/`.")
    parts: list[str] = []
    for part in PurePosixPath(text).parts:
        if part != "..":
            parts.append(part)
        elif parts:
            parts.pop()
        else:
            raise BadLocation(
                "path-outside",
                f"{text} leads out of the repository",
                "Paths are relative to the root of the repository, not to the manifest.",
            )
    return "/".join(parts) or "."


def _near(root: Path, path: RepositoryPath) -> str:
    """The same file name elsewhere is the likely mistake: a path that was meant relative to the manifest."""
    name = PurePosixPath(path.path).name
    for place in ("experiments", "data"):
        try:
            found = next((root / place).rglob(name), None)
        except (OSError, ValueError):
            found = None
        if found is not None:
            return f"Did you mean {found.relative_to(root).as_posix()}? Paths are relative to the repository's root."
    return "Paths are relative to the root of the repository."
