"""The one door to all services: `answer(world, method, request)`. HTTP is one caller of it; others need no HTTP."""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator import job_runs, jobs, operations
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError
from reconciler.emulator.world import Answer, Method, World

METHODS: Mapping[str, Method] = {
    **jobs.METHODS,
    **operations.METHODS,
}

SOON_S, IDLE_S = 0.05, 0.25


def answer(world: World, method: str, request: Message) -> Answer:
    """Answer one call. `method` is such as `JobService.CreateCustomJob`, `request` its request message.

    Raises `ApiError`; UNIMPLEMENTED with the method's name when it is not served here.
    """
    serve = METHODS.get(method)
    if serve is None:
        raise ApiError("UNIMPLEMENTED", f"{method} is not implemented by the embedded Vertex AI.")
    return serve(world, request)


def advance(world: World) -> float:
    """Let time pass: do what jobs and deployments need now. Returns after how many seconds to look again."""
    return SOON_S if job_runs.advance(world) else IDLE_S
