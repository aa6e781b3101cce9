"""What must hold between the fields of an experiment. Each rule yields findings; none stops another.

Rules know the manifest and nothing else: no repository, no target. What the libraries would refuse after an hour of
waiting for a machine is refused here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from schemas import serving_rules, training_rules
from schemas.experiment import Experiment
from schemas.finding import Finding, Path


def findings(experiment: Experiment) -> Iterator[Finding]:
    """Everything that is wrong between the fields, in the order of the blocks."""
    for rule in _RULES:
        yield from rule(experiment)


def _names(it: Experiment) -> Iterator[Finding]:
    if it.name in it.moved_from:
        yield Finding(("moved_from",), "moved-from", "an experiment cannot have moved from its own name", "Delete it.")


def _not_yet(it: Experiment) -> Iterator[Finding]:
    later: list[tuple[Path, bool, str]] = [
        (("run", "backend"), it.run.backend != "custom_job", f"`backend: {it.run.backend}`"),
    ]
    if it.serving is not None:
        later += [
            (("serving", "endpoint"), it.serving.endpoint is not None, "joining a shared endpoint"),
        ]
    for path, given, what in later:
        if given:
            yield Finding(path, "not-yet", f"{what} is valid, and this version cannot carry it out yet", _INSTEAD[path])


_INSTEAD: dict[Path, str] = {
    ("run", "backend"): "Write `backend: custom_job`.",
    ("serving", "endpoint"): "Give the experiment an endpoint of its own: `serving: {machine: ...}`.",
}


_RULES: tuple[Callable[[Experiment], Iterator[Finding]], ...] = (
    _names,
    training_rules.data,
    training_rules.method,
    training_rules.beginning,
    training_rules.quantization,
    serving_rules.adapter,
    training_rules.training,
    training_rules.bounds,
    serving_rules.run,
    training_rules.evaluation,
    training_rules.sweep,
    serving_rules.serving,
    _not_yet,
)
