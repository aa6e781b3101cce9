"""Asks health routes of replicas: until they answer 200, and now and then from then on. Implements `Prober` on the
event loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field

import httpx

from reconciler.emulator.world import Probing

INTERVAL_S = 0.2


@dataclass(slots=True)
class Health:
    """One asking task per key. `wake` is called when something becomes healthy or stops being so."""

    client: httpx.AsyncClient
    wake: Callable[[], None]
    asking: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    good: set[str] = field(default_factory=set)
    hanging: set[str] = field(default_factory=set)

    def watch(self, key: str, url: str, probing: Probing) -> None:
        """Begin to ask."""
        if key not in self.asking:
            self.asking[key] = asyncio.get_running_loop().create_task(self._ask(key, url, probing))

    def healthy(self, key: str) -> bool:
        """Whether it has answered 200 since `watch`, and is not sick."""
        return key in self.good

    def hangs(self, key: str) -> bool:
        """Whether it was healthy once, and takes no connections any more."""
        return key in self.hanging

    def forget(self, key: str) -> None:
        """Stop asking."""
        self.good.discard(key)
        self.hanging.discard(key)
        task = self.asking.pop(key, None)
        if task is not None:
            task.cancel()

    def forget_all(self) -> None:
        """Stop asking anything."""
        for key in list(self.asking):
            self.forget(key)

    async def _ask(self, key: str, url: str, probing: Probing) -> None:
        while not await self._answers(url, 10.0):
            await asyncio.sleep(INTERVAL_S)
        sick = silent = 0
        while True:
            if sick == 0:
                self._turn(self.good, key, into=True)
            elif sick == probing.sick_after:
                self._turn(self.good, key, into=False)
            if silent == probing.hangs_after:
                self._turn(self.hanging, key, into=True)
            await asyncio.sleep(probing.every_s)
            sick = 0 if await self._answers(url, probing.within_s) else sick + 1
            silent = 0 if sick == 0 or await _listens(url, probing.within_s) else silent + 1

    async def _answers(self, url: str, within_s: float) -> bool:
        with suppress(httpx.HTTPError, httpx.InvalidURL):  # a route that none can have is never healthy
            return (await self.client.get(url, timeout=within_s)).status_code == httpx.codes.OK
        return False

    def _turn(self, group: set[str], key: str, *, into: bool) -> None:
        if (key in group) != into:
            (group.add if into else group.discard)(key)
            self.wake()


async def _listens(url: str, within_s: float) -> bool:
    """Whether a connection is taken at all."""
    place = httpx.URL(url)
    try:
        async with asyncio.timeout(within_s):
            _, writer = await asyncio.open_connection(place.host, place.port)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True
