"""The one door to all services: `answer(world, method, request)`. HTTP is one caller of it; others need no HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from reconciler.emulator import (
    deployment_runs,
    deployments,
    endpoints,
    garden,
    job_runs,
    jobs,
    logs,
    models,
    operations,
    pipeline_jobs,
    pipeline_runs,
    predict,
    secret_versions,
    tuning_jobs,
    tuning_runs,
)
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError, Json
from reconciler.emulator.world import Answer, World

METHODS: Mapping[str, Callable[[World, Any], Answer]] = {
    **jobs.METHODS,
    **pipeline_jobs.METHODS,
    **tuning_jobs.METHODS,
    **models.METHODS,
    **endpoints.METHODS,
    **deployments.METHODS,
    **predict.METHODS,
    **garden.METHODS,
    **operations.METHODS,
    **secret_versions.METHODS,
    **logs.METHODS,
}

SOON_S, IDLE_S = 0.03, 0.1


def answer(world: World, method: str, request: Message | Json | None) -> Answer:
    """Answer one call. `method` is such as `JobService.CreateCustomJob`, `request` its request message (or JSON, for
    Secret Manager and Cloud Logging).

    Raises `ApiError`; UNIMPLEMENTED with the method's name when it is not served here.
    """
    serve = METHODS.get(method)
    if serve is None:
        raise ApiError("UNIMPLEMENTED", f"{method} is not implemented by the embedded Vertex AI.")
    return serve(world, request)


def advance(world: World) -> float:
    """Let time pass: do what jobs and deployments need now. Returns after how many seconds to look again."""
    soon = job_runs.advance(world)
    soon |= deployment_runs.advance(world)
    soon |= garden.advance(world)
    soon |= pipeline_runs.advance(world)
    soon |= tuning_runs.advance(world)
    return SOON_S if soon else IDLE_S
