"""Asks health routes of starting replicas until they answer 200. Implements `Prober` on the event loop."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

INTERVAL_S = 0.2


@dataclass(slots=True)
class Health:
    """One asking task per key. `wake` is called when something becomes healthy."""

    client: httpx.AsyncClient
    wake: Callable[[], None]
    asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)

    def watch(self, key: str, url: str) -> None:
        """Begin to ask."""
        if key not in self.asking:
            self.asking[key] = asyncio.get_running_loop().create_task(self._ask(key, url))

    def healthy(self, key: str) -> bool:
        """Whether it has answered 200 since `watch`."""
        return key in self.good

    def forget(self, key: str) -> None:
        """Stop asking."""
        self.good.discard(key)
        task = self.asking.pop(key, None)
        if task is not None:
            task.cancel()

    async def _ask(self, key: str, url: str) -> None:
        while True:
            with suppress(httpx.HTTPError):
                if (await self.client.get(url, timeout=10.0)).status_code == httpx.codes.OK:
                    self.good.add(key)
                    self.wake()
                    return
            await asyncio.sleep(INTERVAL_S)
