"""A plan as JSON for programs: stable, versioned, and described by `schemas/json/plan.schema.json`.

Every key is always there. What a person would find convenient and a program can compute is left out.
"""

from __future__ import annotations

import json
from typing import Any

from reconciler.core.changes import Action, Change, Plan
from reconciler.core.errors import Diagnostic
from reconciler.core.impact import Impact
from reconciler.core.resources import Failure, LiveResource
from reconciler.core.verdict import Verdict
from reconciler.render import words

VERSION = 1


def plan_json(plan: Plan, *, where: str = "") -> str:
    """The plan as one JSON document with a newline at its end. `where` says which tree was planned."""
    return json.dumps(plan_document(plan, where=where), indent=2, ensure_ascii=True, allow_nan=False) + "\n"


def plan_document(plan: Plan, *, where: str = "") -> dict[str, Any]:
    """The plan as JSON values."""
    counts = {str(action): sum(change.action is action for change in plan.changes) for action in Action}
    return {
        "version": VERSION,
        "id": plan.id,
        "target": plan.target,
        "tree": where,
        "in_sync": words.quiet(plan),
        "counts": {**counts, "follow": sum(change.action.mutates for change in plan.follow)},
        "changes": [_change(change) for change in plan.changes],
        "follow": [_change(change) for change in plan.follow],
        "impacts": [_impact(impact) for impact in plan.impacts],
        "diagnostics": [_diagnostic(diagnostic) for diagnostic in plan.diagnostics],
    }


def _change(change: Change) -> dict[str, Any]:
    return {
        "experiment": change.address.experiment,
        "role": str(change.address.role),
        "kind": change.kind,
        "action": str(change.action),
        "reason": str(change.reason),
        "detail": change.detail,
        "before": _live(change.before) if change.before else None,
        "after": {"identity": change.after.identity, "source": str(change.after.source)} if change.after else None,
        "replaces": [_live(item) for item in change.replaces],
        "fields": [
            {"path": item.path, "before": item.before, "after": item.after, "effect": item.effect}
            for item in change.fields
        ],
        "waits_on": [str(address) for address in change.waits_on],
        "failure": _failure(change.failure) if change.failure else None,
        "verdict": _verdict(change.verdict) if change.verdict and not change.verdict.imagined else None,
    }


def _verdict(verdict: Verdict) -> dict[str, Any]:
    return {
        "passed": verdict.passed,
        "words": verdict.words,
        "champion": verdict.champion or None,
        "eval_digest": verdict.digest or None,
        "eval_rows": verdict.rows,
        "kept": verdict.kept,
        "bounds": [
            {
                "expr": item.text,
                "passed": item.passed,
                "words": item.words,
                "value": item.value,
                "limit": item.limit,
                "champion": item.champion,
                "certainty": item.certainty,
                "half_width": item.half_width,
                "warning": item.warning or None,
            }
            for item in verdict.judged
        ],
    }


def _impact(impact: Impact) -> dict[str, Any]:
    return {
        "experiment": impact.experiment,
        "runs": impact.runs,
        "evaluations": impact.evaluations,
        "accelerators": impact.accelerators,
        "last_run": {"identity": impact.lasted_as, "seconds": impact.lasted, "accelerators": impact.lasted_on}
        if impact.lasted is not None
        else None,
        "timeout_seconds": impact.longest or None,
        "answers": str(impact.answers),
        "address": str(impact.home),
        "accelerators_beside": impact.beside,
        "effective_batch": {"before": impact.batch[0], "after": impact.batch[1]} if impact.batch else None,
    }


def _live(item: LiveResource) -> dict[str, Any]:
    return {"name": item.name, "identity": item.stamp, "phase": str(item.phase)}


def _failure(failure: Failure) -> dict[str, Any]:
    return {
        "cause": str(failure.cause),
        "transient": failure.cause.transient,
        "sentence": failure.cause.meaning.sentence,
        "remedy": failure.cause.meaning.remedy,
        "message": failure.message,
        "evidence": failure.evidence,
    }


def _diagnostic(diagnostic: Diagnostic) -> dict[str, Any]:
    return {
        "path": diagnostic.source.path,
        "line": diagnostic.source.line,
        "column": diagnostic.source.column,
        "severity": str(diagnostic.severity),
        "rule": diagnostic.rule,
        "message": diagnostic.message,
        "remedy": diagnostic.remedy,
    }
