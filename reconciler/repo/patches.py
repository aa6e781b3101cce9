"""A failure and a manifest -> the ready patch: the best mending that can be made in this text and is valid then."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pydantic import ValidationError

from reconciler.core.resources import Failure, Role
from reconciler.repo import yaml_text
from reconciler.repo.edits import CannotEdit, patch, with_value
from reconciler.repo.mending import Mending, mendings
from reconciler.repo.placed import Placed
from reconciler.repo.validation import merged
from reconciler.repo.yaml_nodes import Plain
from schemas import rules
from schemas.experiment import Experiment


@dataclass(frozen=True, slots=True)
class Patch:
    """A unified diff that `git apply` takes, and what it is good for."""

    diff: str
    mending: Mending


def ready_patch(
    placed: Placed[Experiment],
    defaults: Mapping[str, Plain],
    role: Role,
    failure: Failure,
    root: Path,
    top: Path | None = None,
) -> Patch | None:
    """The patch for what failed at `role`; None where the text allows none.

    `defaults` are the project's, `root` the folder that manifests are named from, `top` the top of the git tree,
    which `git apply` names files from.
    """
    file = root / placed.source.path
    name = file.resolve().relative_to(top.resolve()).as_posix() if top else placed.source.path
    before = set(_errors(placed.raw, placed.index, defaults))
    for mending in mendings(placed.value, role, failure):
        after = placed.raw
        try:
            for path, value in mending.fields:
                after = with_value(after, placed.index, path, value)
            if set(_errors(after, placed.index, defaults)) <= before:
                return Patch(patch(name, placed.raw, after), mending)
        except (CannotEdit, ValidationError):
            continue  # the next best
    return None


def _errors(raw: bytes, index: int, defaults: Mapping[str, Plain]) -> Iterator[str]:
    """What the rules between the fields find wrong. Raises ValidationError for a field that is wrong by itself."""
    documents, _ = yaml_text.read(raw)
    content = documents[index].value
    if isinstance(content, dict):
        content = merged(defaults, content)
    for finding in rules.findings(Experiment.model_validate(content)):
        if not finding.warning:
            yield f"{finding.rule}: {finding.message}"
