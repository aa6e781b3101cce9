"""What a plan wants said at a line of a manifest: its diagnostics, and what it holds, where git declares that."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from reconciler.core.changes import Plan, Reason
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Source
from reconciler.render import words


@dataclass(frozen=True, slots=True, order=True)
class Finding:
    """One thing to say, and where. `rule` is a stable word such as `unpinned-data` or `held/gate`."""

    source: Source
    rule: str
    message: str
    remedy: str
    severity: Severity


def findings(diagnostics: Iterable[Diagnostic], plan: Plan | None = None) -> tuple[Finding, ...]:
    """All of them, in the order of their places. What a person suspended is no finding."""
    found = {Finding(item.source, item.rule, item.message, item.remedy, item.severity) for item in diagnostics}
    for change in plan.blocked if plan else ():
        if change.reason is Reason.SUSPENDED or change.after is None or not change.after.source.path:
            continue
        why = words.failed(change.failure) if change.failure else change.detail or str(change.reason)
        message = f"{change.address.experiment}: its {change.address.role} is held: {why}"
        rule = f"held/{str(change.reason).replace(' ', '-')}"
        found.add(Finding(change.after.source, rule, message, words.way_out(change), Severity.WARNING))
    return tuple(sorted(found))
