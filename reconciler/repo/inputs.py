"""What the fields that name files, folders and objects stand for: their content hash, their uploads, their address.

A path of the repository is known by what it holds, wherever it lies; `gs://` addresses and hub ids are known by
their pins, which stand in the text itself. Nothing is uploaded here.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

from reconciler.backends.subject import Input
from reconciler.core.resources import Upload
from reconciler.core.target import Target
from reconciler.repo.files import Content, Files, Unreadable
from schemas.experiment import Experiment

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")
_SHOWN = 12
"""Hex digits of a content hash that a plan prints."""

Reader: TypeAlias = Callable[[str, Target, Files], Input]


def inputs_of(experiment: Experiment, target: Target, files: Files) -> tuple[dict[str, Input], dict[str, Unreadable]]:
    """The inputs of an experiment by the field that names them, and what could not be read, by field."""
    found: dict[str, Input] = {}
    problems: dict[str, Unreadable] = {}
    for path, text, read in _named(experiment):
        try:
            found[path] = read(text, target, files)
        except Unreadable as problem:
            problems[path] = problem
    return found, problems


def is_bucket(text: str) -> bool:
    """True for an address in Cloud Storage."""
    return text.startswith("gs://")


def is_hub_id(text: str, files: Files) -> bool:
    """True for `org/name`, unless the repository has something at that path."""
    return _HUB_ID.fullmatch(text) is not None and not files.exists(text)


def _named(experiment: Experiment) -> list[tuple[str, str, Reader]]:
    model, rows = experiment.model, experiment.data
    named: Mapping[str, tuple[str | None, Reader]] = {
        "model.base": (model.base, _base),
        "model.tokenizer": (model.tokenizer, _tokenizer),
        "model.chat_template": (model.chat_template, _template),
        "data.train": (rows.train, _rows),
        "data.eval": (rows.eval, _rows),
    }
    return [(path, text, read) for path, (text, read) in named.items() if text is not None]


def _base(text: str, target: Target, files: Files) -> Input:
    """A base model: what lies in the repository must look like one, before a job finds out."""
    if is_bucket(text) or is_hub_id(text, files):
        return Input(text, text, text)
    if not files.exists(text):
        make = f"run `python -m images.tiny --out {text}`" if "tiny" in text.rsplit("/", 1)[-1] else ""
        raise Unreadable(
            f"there is no base model at {text}",
            make or "name a hub id (org/name) with its revision, a gs:// folder, or a folder of the repository",
        )
    content = files.content(text)
    if not any(entry.name == "config.json" for entry in content.entries):
        raise Unreadable(f"{text} is no model: it has no config.json", "name the folder that `save_pretrained` wrote")
    return _uploaded(text, content, target)


def _tokenizer(text: str, target: Target, files: Files) -> Input:
    if is_bucket(text) or is_hub_id(text, files):
        return Input(text, text, text)
    return _uploaded(text, files.content(text), target)


def _rows(text: str, target: Target, files: Files) -> Input:
    if is_bucket(text):
        return Input(text, text, text)
    content = files.content(text)
    if content.folder:
        raise Unreadable(f"{text} is a folder", "name one file of rows")
    if not content.size:
        raise Unreadable(f"{text} is empty", "put the rows there, one JSON object a line")
    return _uploaded(text, content, target)


def _template(text: str, target: Target, files: Files) -> Input:
    """A template is its text, whether it stands in the manifest or in a file."""
    if "{{" in text or "{%" in text or "\n" in text:
        return Input(text, text, text)
    template = files.text(text)
    return Input(template, template, _shown(text, files.content(text)))


def _uploaded(text: str, content: Content, target: Target) -> Input:
    folder = target.content_uri(content.digest)
    if content.folder:
        uploads = tuple(Upload(f"{content.path}/{entry.name}", f"{folder}/{entry.name}") for entry in content.entries)
        return Input(folder, f"sha256:{content.digest}", _shown(text, content), uploads)
    uri = f"{folder}/{content.path.rsplit('/', 1)[-1]}"
    return Input(uri, f"sha256:{content.digest}", _shown(text, content), (Upload(content.path, uri),))


def _shown(text: str, content: Content) -> str:
    return f"{text} (sha256 {content.digest[:_SHOWN]})"
