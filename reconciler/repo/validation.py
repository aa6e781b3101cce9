"""One document -> one manifest, with a diagnostic for each value that it cannot have.

A manifest with mistakes is read again without them, so that the rules between its other fields can still be tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import ValidationError

from reconciler.core.errors import Diagnostic
from reconciler.repo import messages, vocabulary
from reconciler.repo.manifest_files import PROJECT
from reconciler.repo.placed import Page, Steps
from reconciler.repo.yaml_nodes import Plain
from schemas.effects import Manifest

M = TypeVar("M", bound=Manifest)


def validated(
    model: type[M], page: Page, content: Plain, problems: list[Diagnostic]
) -> tuple[M | None, frozenset[Steps]]:
    """The manifest, and the paths of the values that were cut out of it. Adds to `problems`."""
    own = page.problems()
    problems += own
    try:
        return model.model_validate(content), frozenset()
    except ValidationError as error:
        errors = error.errors(include_url=False)
    taken = {item.source for item in own}
    for message in messages.explain(errors, model):
        place = page.source(message.path, key=message.at_key or message.rule == "missing-key")
        if place not in taken:
            problems.append(Diagnostic(place, message.rule, message.text, message.remedy))
    paths = frozenset(tuple(step for step in error["loc"] if step != "[key]") for error in errors)
    try:
        return model.model_validate(_without(content, paths)), paths
    except ValidationError:
        return None, paths


def merged(defaults: Mapping[str, Plain], content: Mapping[str, Plain]) -> dict[str, Plain]:
    """The content over the defaults: mappings are merged, all else is replaced."""
    result: dict[str, Plain] = dict(defaults)
    for key, value in content.items():
        before = result.get(key)
        result[key] = merged(before, value) if isinstance(before, dict) and isinstance(value, dict) else value
    return result


def of_unknown_kind(page: Page) -> Diagnostic:
    """The diagnostic for a document that is neither an experiment nor an endpoint."""
    content = page.document.value
    if not isinstance(content, dict):
        text = f"a manifest is a mapping: lines of `key: value`; this is {vocabulary.described(content)}"
        return Diagnostic(page.source(), "type", text)
    known = ("Experiment", "Endpoint")
    if "kind" not in content:
        remedy = "Write `kind: Experiment` or `kind: Endpoint`."
        return Diagnostic(page.source(), "missing-key", "`kind` is missing", remedy)
    kind = content["kind"]
    near = get_close_matches(str(kind).capitalize(), known, 1)
    remedy = f"Did you mean `{near[0]}`?" if near else f"Known are {' and '.join(known)}."
    if kind == "Project":
        remedy = f"The project is declared in {PROJECT} at the root."
    return Diagnostic(page.source(("kind",)), "unknown-kind", f"unknown kind {vocabulary.shown(kind)}", remedy)


def _without(content: Plain, paths: Iterable[Steps]) -> Plain:
    """A copy of the content without the values at fault. A list with a fault in it goes as a whole."""
    copy = _copied(content)
    for path in paths:
        parent = copy
        for depth, step in enumerate(path):
            inner = parent.get(str(step)) if isinstance(parent, dict) else None
            if isinstance(parent, dict) and (depth + 1 == len(path) or not isinstance(inner, dict)):
                parent.pop(str(step), None)
                break
            parent = inner
    return copy


def _copied(value: Plain) -> Plain:
    return {key: _copied(item) for key, item in value.items()} if isinstance(value, dict) else value
