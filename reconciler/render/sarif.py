"""Problems of manifests and what a plan holds as SARIF 2.1.0, which code hosts and editors show at the line."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from reconciler.core.changes import Plan
from reconciler.core.errors import Diagnostic, Severity
from reconciler.render import words
from reconciler.render.findings import Finding, findings

SCHEMA = "https://json.schemastore.org/sarif-2.1.0.json"


def sarif(diagnostics: Iterable[Diagnostic], plan: Plan | None = None) -> str:
    """One SARIF log with one run, with a newline at its end. Paths are relative to the repository (`%SRCROOT%`)."""
    found = findings(diagnostics, plan)
    rules = sorted({item.rule for item in found})
    driver = {"name": "loraform", "rules": [{"id": rule} for rule in rules]}
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "results": [_result(item, rules.index(item.rule)) for item in found],
    }
    return json.dumps({"$schema": SCHEMA, "version": "2.1.0", "runs": [run]}, indent=2, allow_nan=False) + "\n"


def _result(item: Finding, rule: int) -> dict[str, Any]:
    place: dict[str, Any] = {"artifactLocation": {"uri": quote(item.source.path), "uriBaseId": "%SRCROOT%"}}
    if item.source.line:
        place["region"] = {"startLine": item.source.line}
        if item.source.column:
            place["region"]["startColumn"] = item.source.column
    text = f"{item.message}\n{item.remedy}" if item.remedy else item.message
    return {
        "ruleId": item.rule,
        "ruleIndex": rule,
        "level": "error" if item.severity is Severity.ERROR else "warning",
        "message": {"text": "\n".join(words.clean(line) for line in text.splitlines())},
        "locations": [{"physicalLocation": place}],
    }
