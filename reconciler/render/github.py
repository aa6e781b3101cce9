"""A plan for a run of GitHub Actions: annotations on lines of manifests, outputs for later steps.

Workflow commands are lines on stdout, outputs lines of a file; in both no text may end its line or its part of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from reconciler.core.changes import Plan, Reason
from reconciler.core.errors import Diagnostic, Severity
from reconciler.render import words
from reconciler.render.findings import Finding, findings

LONGEST = 4000
"""Characters of one annotation; GitHub shows about as many."""


def notes_of(diagnostics: Iterable[Diagnostic]) -> str:
    """Each problem as an annotation of its line: `::error file=experiments/a.yaml,line=3,col=5,title=...::...`."""
    return "".join(_commands(findings(diagnostics)))


def plan_annotations(plan: Plan) -> str:
    """The problems of a plan, and what it holds where git declares that."""
    return "".join(_commands(findings(plan.diagnostics, plan)))


def outputs(plan: Plan) -> Mapping[str, str]:
    """What later steps ask for: are there changes, does something wait for a person, and the plan's id."""
    return {
        "blocked": _said(any(change.reason is not Reason.SUSPENDED for change in plan.blocked)),
        "changes": _said(bool(plan.now or plan.follow)),
        "plan_id": plan.id,
        "summary": words.clean("in sync" if words.quiet(plan) else words.summary(plan).removesuffix(".")),
    }


def outputs_text(values: Mapping[str, str]) -> str:
    """As the file `GITHUB_OUTPUT` wants them: one line each, sorted. A value is one line by construction."""
    return "".join(f"{name}={words.clean(value)}\n" for name, value in sorted(values.items()))


def _commands(found: Iterable[Finding]) -> Iterator[str]:
    for item in found:
        place = [f"file={_property(item.source.path)}"]
        place += [f"line={item.source.line}"] if item.source.line else []
        place += [f"col={item.source.column}"] if item.source.column else []
        word = "error" if item.severity is Severity.ERROR else "warning"
        text = item.message if not item.remedy else f"{item.message}\n{item.remedy}"
        yield f"::{word} {','.join(place)},title={_property(f'loraform: {item.rule}')}::{_data(text)}\n"


def _data(text: str) -> str:
    lines = "\n".join(words.clean(line) for line in text[:LONGEST].splitlines())
    return lines.replace("%", "%25").replace("\n", "%0A")


def _property(text: str) -> str:
    return words.clean(text).replace("%", "%25").replace(":", "%3A").replace(",", "%2C")


def _said(true: bool) -> str:
    return "true" if true else "false"
