"""The one door to all services: `answer(world, method, request)`. HTTP is one caller of it; others need no HTTP."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

from reconciler.emulator import (
    deployment_runs,
    deployments,
    endpoints,
    experiments,
    fates,
    garden,
    hyperparameter_jobs,
    hyperparameter_runs,
    job_runs,
    jobs,
    logs,
    model_copies,
    models,
    operations,
    pipeline_jobs,
    pipeline_runs,
    predict,
    secret_versions,
    training_pipeline_runs,
    training_pipelines,
    tuning_jobs,
    tuning_runs,
)
from reconciler.emulator.faults import LostResponseError, Struck, strike
from reconciler.emulator.quota_checks import check_quotas
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import Json, not_implemented
from reconciler.emulator.wire.names import last, location_of
from reconciler.emulator.world import Answer, Forward, Plain, World

METHODS: Mapping[str, Callable[[World, Any], Answer]] = {
    **jobs.METHODS,
    **hyperparameter_jobs.METHODS,
    **pipeline_jobs.METHODS,
    **training_pipelines.METHODS,
    **tuning_jobs.METHODS,
    **experiments.METHODS,
    **models.METHODS,
    **model_copies.METHODS,
    **endpoints.METHODS,
    **deployments.METHODS,
    **predict.METHODS,
    **garden.METHODS,
    **operations.METHODS,
    **secret_versions.METHODS,
    **logs.METHODS,
}

SOON_S, IDLE_S = 0.03, 0.1
_READS = ("Get", "List", "Access", "Wait", "Predict", "RawPredict", "StreamRawPredict", "Invoke", "ChatCompletions")


def answer(world: World, method: str, request: Message | Json | None) -> Answer:
    """Answer one call. `method` is such as `JobService.CreateCustomJob`, `request` its request message (or JSON, for
    Secret Manager and Cloud Logging).

    Raises `ApiError`; UNIMPLEMENTED with the method's name when it is not served here. A fault that was ordered may
    strike: then `LostResponseError` says that the call had its effect, and `world.pause` is called for a delay.
    """
    struck = strike(world.faults, method, resource_of(request))
    if struck.delay_s:
        world.pause(struck.delay_s)
    return answer_struck(world, method, request, struck)


def answer_struck(world: World, method: str, request: Message | Json | None, struck: Struck) -> Answer:
    """`answer`, for a caller that has looked for faults and has let the delay pass. Raises the same."""
    serve = METHODS.get(method)
    if serve is None:
        raise not_implemented(method)
    if struck.refusal is not None:
        raise struck.refusal
    resource = resource_of(request)
    refused = fates.refused(method, location_of(resource), struck.fates)
    if refused is not None:
        raise refused
    check_quotas(world, method, resource, request)
    seen = world
    if struck.stale_s:
        seen = replace(world, store=world.store.as_of(world.clock() - struck.stale_s))
    with nullcontext() if _reads(method) else world.store.together():  # a kill leaves all of a call, or nothing
        found = serve(seen, request)
        if struck.fates and not isinstance(found, Forward):
            made = found.body.get("name", "") if isinstance(found, Plain) else getattr(found, "name", "")
            fates.lay_upon(world, made, struck.fates)
    if struck.crash and isinstance(found, Forward):
        _crash(world, resource, found.facts["deployedModelId"])
    if struck.lost:
        raise LostResponseError(f"The answer to {method} was lost.")
    return found


def _reads(method: str) -> bool:
    """Whether a method writes nothing."""
    return method.partition(".")[2].startswith(_READS)


def resource_of(request: Message | Json | None) -> str:
    """What a request is about: its `name`, `parent` or `endpoint`, or the name inside the thing that it carries."""
    if request is None:
        return ""
    if isinstance(request, dict):
        return str(request.get("name") or request.get("parent") or "")
    for field in ("name", "parent", "endpoint", "model"):
        value = getattr(request, field, "")
        found = value if isinstance(value, str) else getattr(value, "name", "")
        if found:
            return str(found)
    return ""


def _crash(world: World, endpoint: str, deployed: str) -> None:
    """Kill a replica of a deployed model, as a crash does it."""
    name = f"endpoints/{last(endpoint)}/{deployed}"
    key = next((key for key in (name, *(f"{name}/{n}" for n in range(16))) if world.runner.known(key)), None)
    if key is not None:
        world.runner.stop(key, 0.0)
        world.runner.stop(key, 0.0)


def advance(world: World) -> float:
    """Let time pass: do what jobs and deployments need now. Returns after how many seconds to look again.

    What fails in one room keeps no other from its work. Raises `ExceptionGroup` at the end.
    """
    soon, errors = False, []
    for room in _ROOMS:
        try:
            soon |= room(world)
        except Exception as error:
            errors.append(error)
    if errors:
        raise ExceptionGroup("the work", errors)
    return SOON_S if soon else IDLE_S


_ROOMS: tuple[Callable[[World], bool], ...] = (
    job_runs.advance,
    deployment_runs.advance,
    garden.advance,
    pipeline_runs.advance,
    training_pipeline_runs.advance,
    tuning_runs.advance,
    hyperparameter_runs.advance,
)
