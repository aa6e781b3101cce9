"""What the fields that name files, folders and objects stand for: their content hash, their uploads, their address.

A path of the repository is known by what it holds, wherever it lies; `gs://` addresses and hub ids are known by
their pins, which stand in the manifest. Nothing is uploaded here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple, TypeAlias

from reconciler.backends.subject import Input
from reconciler.core.resources import Upload
from reconciler.core.target import Target
from reconciler.repo.files import AnyFiles, Content, Unreadable
from reconciler.repo.locations import (
    BadLocation,
    HubId,
    RepositoryPath,
    base_location,
    data_location,
    is_inline_template,
)
from reconciler.repo.row_template import BadRowTemplate, check_row_template
from schemas.experiment import Experiment

_SHOWN = 12
"""Hex digits of a content hash that a plan prints."""

Reader: TypeAlias = Callable[[str, Target, AnyFiles], Input]


Named: TypeAlias = tuple[str, str, str]
"""(path of a field, its text, which of the readers below tells what it stands for)."""


class Problem(NamedTuple):
    """Why the field at a path stands for nothing."""

    path: str
    rule: str
    message: str
    remedy: str


def inputs_of(experiment: Experiment, target: Target, files: AnyFiles) -> tuple[dict[str, Input], list[Problem]]:
    """The inputs of an experiment by the field that names them, and what could not be read."""
    found: dict[str, Input] = {}
    problems: list[Problem] = []
    for path, text, reader in named(experiment):
        try:
            found[path] = _input(reader, text, target, files)
        except BadLocation as bad:
            problems.append(Problem(path, bad.rule, str(bad), bad.remedy))
        except BadRowTemplate as bad_template:
            problems.append(Problem(path, "row-template", str(bad_template), bad_template.remedy))
        except Unreadable as unreadable:
            problems.append(Problem(path, "missing-file", unreadable.message, unreadable.remedy))
    mix = experiment.data.mix
    parts = [found.get(f"data.mix.{index}") for index in range(len(mix))]
    if mix and all(parts):
        found["data.mix"] = _mixed([part for part in parts if part is not None], [item.weight for item in mix])
    own = [f"evaluation.own.{name}" for name in sorted(experiment.evaluation.own)]
    if own and all(path in found for path in own):
        found["evaluation.own"] = _together({path.rpartition(".")[2]: found[path] for path in own})
    return found, problems


def _together(parts: Mapping[str, Input]) -> Input:
    """The field `evaluation.own` as a whole."""
    return Input(
        "",
        {name: part.pin for name, part in parts.items()},
        ", ".join(f"{name}: {part.shown}" for name, part in parts.items()),
        tuple(upload for part in parts.values() for upload in part.uploads),
    )


def _mixed(parts: Sequence[Input], weights: Sequence[float]) -> Input:
    """The field `data.mix` as a whole: what an identity hashes and a plan shows of it."""
    return Input(
        "",
        [[part.pin, weight] for part, weight in zip(parts, weights, strict=True)],
        ", ".join(f"{weight:g} x {part.shown}" for part, weight in zip(parts, weights, strict=True)),
        tuple(upload for part in parts for upload in part.uploads),
    )


def is_hub_id(text: str, files: AnyFiles) -> bool:
    """True for a model on a hub, and false for what lies in the repository or a bucket, or is no place at all."""
    try:
        return isinstance(base_location(text, files.root), HubId)
    except BadLocation:
        return False


def named(experiment: Experiment) -> tuple[Named, ...]:
    """Everything that a manifest names and that lies elsewhere."""
    model, rows = experiment.model, experiment.data
    every: list[tuple[str, str | None, str]] = [
        ("model.base", model.base, "base"),
        ("model.tokenizer", model.tokenizer, "tokenizer"),
        ("model.chat_template", model.chat_template, "template"),
        ("data.template", rows.template, "row_template"),
        ("data.train", rows.train, "rows"),
        *((f"data.mix.{index}", item.rows, "rows") for index, item in enumerate(rows.mix)),
        ("data.eval", rows.eval, "rows"),
        *((f"evaluation.own.{name}", place, "function") for name, place in sorted(experiment.evaluation.own.items())),
        ("evaluation.sql.script", experiment.evaluation.sql.script, "file"),
    ]
    return tuple((path, text, reader) for path, text, reader in every if text is not None)


def facts_of(every: tuple[Named, ...], target: Target, files: AnyFiles, known: dict[Named, str]) -> str | None:
    """What all that is named stands for, as one hash: it changes with any of it. None where something cannot be read.

    `known` remembers from manifest to manifest: many name the same base.
    """
    for one in every:
        if one not in known:
            path, text, reader = one
            try:
                known[one] = repr((path, _input(reader, text, target, files)))
            except (BadLocation, BadRowTemplate, Unreadable):
                return None
    return hashlib.sha256("\n".join([known[one] for one in every]).encode()).hexdigest()


def _input(reader: str, text: str, target: Target, files: AnyFiles) -> Input:
    """What a text stands for; looked up once, since many manifests name the same."""
    key = reader, text, target.folder
    known = files.inputs.get(key)
    if known is None:
        known = files.inputs[key] = _READERS[reader](text, target, files)
    return known


def _base(text: str, target: Target, files: AnyFiles) -> Input:
    """A base model: what lies in the repository must look like one, before a job finds out."""
    place = base_location(text, files.root)
    if not isinstance(place, RepositoryPath):
        return _elsewhere(text)
    if not files.exists(place.path):
        make = f"run `python -m images.tiny --out {text}`" if "tiny" in text.rsplit("/", 1)[-1] else ""
        raise Unreadable(
            f"there is no base model at {text}",
            make or "name a hub id (org/name) with its revision, a gs:// folder, or a folder of the repository",
        )
    if not files.exists(f"{place.path}/config.json"):
        raise Unreadable(f"{text} is no model: it has no config.json", "name the folder that `save_pretrained` wrote")
    return _uploaded(text, files.content(place.path), target)


def _tokenizer(text: str, target: Target, files: AnyFiles) -> Input:
    place = base_location(text, files.root)
    return _uploaded(text, files.content(place.path), target) if isinstance(place, RepositoryPath) else _elsewhere(text)


def _rows(text: str, target: Target, files: AnyFiles) -> Input:
    place = data_location(text)
    if not isinstance(place, RepositoryPath):
        return _elsewhere(text)
    if "*" in place.path:
        found = _uploaded(text, files.matching(place.path), target)
        return replace(found, uri=f"{found.uri}/**/*")
    if files.is_folder(place.path):
        raise Unreadable(f"{text} is a folder, not a file", "name one file of rows, or write FOLDER/*.jsonl")
    content = files.content(place.path)
    if not content.size:
        raise Unreadable(f"{text} is empty", "put the rows there, one JSON object a line")
    return _uploaded(text, content, target)


def _function(text: str, target: Target, files: AnyFiles) -> Input:
    """A function of the user's: of a file of the repository, or of a module that the image has."""
    place, _, function = text.rpartition(":")
    if not place.endswith(".py"):
        return _elsewhere(text)
    found = _file(place, target, files)
    return Input(f"{found.uri}:{function}", [found.pin, function], f"{found.shown}:{function}", found.uploads)


def _file(text: str, target: Target, files: AnyFiles) -> Input:
    """A file of the repository that the job reads as it is."""
    place = data_location(text)
    if not isinstance(place, RepositoryPath) or "*" in place.path:
        raise BadLocation("location", f"{text} is no file of the repository", "Name a file that is committed here.")
    if files.is_folder(place.path):
        raise Unreadable(f"{text} is a folder, not a file", "name a file")
    return _uploaded(text, files.content(place.path), target)


def _template(text: str, target: Target, files: AnyFiles) -> Input:
    """A template is its text, whether it stands in the manifest or in a file."""
    if is_inline_template(text):
        return _elsewhere(text)
    template = files.text(text)
    return Input(template, template, _shown(text, files.content(text)))


def _row_template(text: str, target: Target, files: AnyFiles) -> Input:
    read = _template(text, target, files)
    check_row_template("the template" if is_inline_template(text) else text, read.uri)
    return read


def _elsewhere(text: str) -> Input:
    """What the manifest itself pins: it is known by its text."""
    return Input(text, text, text)


def _uploaded(text: str, content: Content, target: Target) -> Input:
    folder = target.content_uri(content.digest)
    pin, shown = f"sha256:{content.digest}", _shown(text, content)
    if content.folder:
        uploads = (
            Upload(f"{content.path}/{entry.name}", f"{folder}/{entry.name}", entry.sha256) for entry in content.entries
        )
        return Input(folder, pin, shown, tuple(uploads))
    uri = f"{folder}/{content.path.rsplit('/', 1)[-1]}"
    return Input(uri, pin, shown, (Upload(content.path, uri, content.digest),))


def _shown(text: str, content: Content) -> str:
    return f"{text} (sha256 {content.digest[:_SHOWN]})"


_READERS: Mapping[str, Reader] = {
    "base": _base,
    "tokenizer": _tokenizer,
    "template": _template,
    "row_template": _row_template,
    "function": _function,
    "file": _file,
    "rows": _rows,
}
