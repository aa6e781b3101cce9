"""Carries predictions to replicas and their answers back, without ever blocking the loop."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import httpx

from reconciler.emulator.wire.errors import ApiError
from reconciler.emulator.world import Forward

Send = Callable[[dict[str, Any]], Awaitable[None]]


def forwarder(client: httpx.AsyncClient) -> Callable[[Forward, Send], Awaitable[int]]:
    """A function that sends one `Forward` and answers with what comes back; gives the HTTP code."""

    async def forward(asked: Forward, send: Send) -> int:
        raise ApiError("UNIMPLEMENTED", "Predictions come later.")

    return forward
