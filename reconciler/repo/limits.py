"""What a manifest may say and Loraform does not do yet, or not here. Nothing that is written is silently ignored.

Every entry is a diagnostic with a way out; an entry goes when its feature comes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from reconciler.core.errors import Severity
from reconciler.core.target import Target
from reconciler.repo.files import Files
from reconciler.repo.inputs import is_bucket, is_hub_id
from schemas.experiment import Experiment
from schemas.project import Policy

_COMMIT = re.compile(r"[0-9a-f]{40}")


class Limit(NamedTuple):
    """A field, and what is wrong with what it says."""

    path: str
    rule: str
    message: str
    remedy: str
    severity: Severity = Severity.ERROR


def not_yet(experiment: Experiment) -> Iterator[Limit]:
    """Fields that are valid and whose feature this version lacks."""
    run, evaluation, serving = experiment.run, experiment.evaluation, experiment.serving
    lacking = {
        "run.backend": (run.backend != "custom_job", f"`{run.backend}` trains nothing yet", "use custom_job"),
        "data.template": (experiment.data.template is not None, "row templates", "write the rows as messages"),
        "evaluation.machine": (evaluation.machine is not None, "a machine for evaluation alone", ""),
        "evaluation.max_samples": (evaluation.max_samples is not None, "scoring a sample", "name a smaller file"),
        "evaluation.gate": (
            any(rule.confidence is not None for rule in evaluation.gate),
            "bounds with a confidence",
            "leave `confidence` out",
        ),
        "moved_from": (experiment.moved_from is not None, "renaming", "keep the name"),
    }
    if serving is not None:
        rollout = serving.rollout
        plain = (rollout.strategy, rollout.steps, rollout.hold) == ("blue_green", (100,), "0s")
        lacking |= {
            "serving.endpoint": (serving.endpoint is not None, "joining a shared endpoint", "leave `endpoint` out"),
            "serving.form": (serving.form == "merged", "the merged form", "use `form: adapter`"),
            "serving.rollout": (not plain, "a roll-out in steps or with a hold", "leave `rollout` out"),
        }
    for path, (given, what, remedy) in lacking.items():
        if given:
            words = what if what.endswith("yet") else f"{what}: not possible yet"
            yield Limit(path, "not-yet", words, f"{remedy or f'leave `{path}` out'}")
    if len(run.scheduling.strategy) > 1:
        first = run.scheduling.strategy[0]
        yield Limit(
            "run.scheduling.strategy",
            "not-yet",
            f"only the first rung of the ladder, {first}, is used by now",
            "",
            Severity.WARNING,
        )


def not_here(experiment: Experiment, policy: Policy, target: Target, files: Files) -> Iterator[Limit]:
    """What the policy of the project forbids on this target."""
    required = policy.require_pins if policy.require_pins is not None else not target.local
    if experiment.model.trust_remote_code and not policy.allow_trust_remote_code:
        yield Limit(
            "model.trust_remote_code",
            "policy",
            "the policy of this project does not allow code that comes with a base model",
            "set policy.allow_trust_remote_code in loraform.yaml, after reading that code",
        )
    if required:
        yield from _unpinned(experiment, files)


def _unpinned(experiment: Experiment, files: Files) -> Iterator[Limit]:
    model, rows = experiment.model, experiment.data
    if is_hub_id(model.base, files) and _COMMIT.fullmatch(model.revision or "") is None:
        yield _unpinned_limit("model.base", model.base, "revision")
    if model.tokenizer is not None and is_hub_id(model.tokenizer, files) and model.tokenizer != model.base:
        yield _unpinned_limit("model.tokenizer", model.tokenizer, "copy in gs:// or in the repository")
    named = {
        "model.base": model.base,
        "data.train": rows.train,
        "data.eval": rows.eval,
        "model.tokenizer": model.tokenizer,
    }
    for path, text in named.items():
        if text is not None and is_bucket(text) and "#" not in text:
            yield _unpinned_limit(path, text, "generation")


def _unpinned_limit(path: str, text: str, what: str) -> Limit:
    message = f"{text} is not pinned to a {what}: what it holds may change under the same identity"
    return Limit(path, "unpinned", message, "`loraform pin` writes the pins; or set policy.require_pins: false")
