"""The ways of carrying out a training: strategies and regions, and what a job says on each of them.

Everything that must be remembered (record, lock, claim, artifact) stays in the target's own bucket, wherever a job
runs: only what Vertex AI itself writes goes to a bucket of the job's region.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.backends import payloads
from reconciler.backends.subject import Subject
from reconciler.core.resources import Json, Rung

STRATEGIES = ("", "on_demand", "low_cost", "standard", "spot", "", "flex_start")
"""`google.cloud.aiplatform.v1.Scheduling.Strategy` by number, in a manifest's words."""


def rungs(subject: Subject, identity: str, kind: str = "artifacts") -> tuple[Rung, ...]:
    """The ladder: every strategy in the first region, then in the next. `kind` is the folder of what a run leaves.

    On the embedded Vertex AI, which is one machine, regions without a bucket of their own are left out.
    """
    run, target = subject.experiment.run, subject.target
    known = [region for region in run.regions if not target.local or region in target.regions]
    return tuple(
        Rung(strategy, region, target.artifact_uri(identity, run.attempt, region, kind))
        for region in known or [target.region]
        for strategy in run.scheduling.strategy
    )


def on_rung(job_spec: Mapping[str, Json], rung: Rung | None) -> Mapping[str, Json]:
    """The `CustomJobSpec` on one rung; as it is without a ladder."""
    if rung is None:
        return job_spec
    scheduling = payloads.mapping(job_spec, "scheduling")
    return {
        **job_spec,
        "scheduling": {**scheduling, "strategy": rung.strategy.upper()},
        "base_output_directory": {"output_uri_prefix": rung.output},
    }


def told(job_spec: Mapping[str, Json], rung: Rung | None, spec: Mapping[str, Json]) -> Mapping[str, Json]:
    """The training spec on one of several rungs: which it is, and where the artifact goes when the job is elsewhere."""
    if rung is None:
        return spec
    provenance = {**payloads.mapping(spec, "provenance"), "strategy": rung.strategy, "region": rung.region}
    output = payloads.mapping(spec, "output")
    own = payloads.text(payloads.mapping(job_spec, "base_output_directory"), "output_uri_prefix")
    if rung.output != own:
        output = {**output, "artifact": f"{own}/model"}
    return {**spec, "provenance": provenance, "output": output}


def strategy_of(job_spec: Mapping[str, Json]) -> str:
    """The strategy of a live job in a manifest's words; `standard` where the service leaves it out."""
    return payloads.enum(payloads.mapping(job_spec, "scheduling"), "strategy", STRATEGIES).lower() or "standard"
