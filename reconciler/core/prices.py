"""What live things cost a day, where every part of them has a known price. An unknown part makes the whole unknown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from reconciler.core.resources import RUNS, Json, LiveResource, Phase, Role

ANYWHERE = "*"
"""The region of prices that hold in all of them."""
BUNDLED = ("a2-", "a3-", "a4-", "g2-", "g4-")
"""Machine families whose price includes their accelerators."""
_DAY = 24.0


@dataclass(frozen=True, slots=True)
class Prices:
    """Prices of an hour by region, then by machine type or accelerator type, and whose they are."""

    hourly: Mapping[str, Mapping[str, float]] = field(default_factory=dict)
    source: str = ""

    def of(self, name: str, region: str) -> float | None:
        """The price of one hour of a machine or an accelerator; None where it is not known."""
        for place in (region, ANYWHERE):
            if name in self.hourly.get(place, {}):
                return self.hourly[place][name]
        return None

    def of_machine(self, machine: Mapping[str, Json], region: str) -> float | None:
        """One hour of a machine with its accelerators; `machine` is a `MachineSpec`."""
        kind, card = str(machine.get("machine_type", "")), str(machine.get("accelerator_type") or "")
        base = self.of(kind, region)
        count = machine.get("accelerator_count")
        if base is None or not card or not isinstance(count, int) or kind.startswith(BUNDLED):
            return base
        each = self.of(card, region)
        return None if each is None else base + each * count


def per_day(live: LiveResource, prices: Prices, region: str) -> float | None:
    """What it costs a day as it stands: of a deployment its least replicas, of a run all its machines.

    An endpoint and whatever has ended cost nothing. None where a price is not known, or where it runs on spot machines.
    """
    if live.address.role not in (Role.DEPLOYMENT, *RUNS) or live.phase in (Phase.FAILED, Phase.DELETING):
        return 0.0
    if live.address.role in RUNS and live.phase is not Phase.RUNNING:
        return 0.0
    machines = live.outputs.get("machines")
    if not isinstance(machines, Sequence) or isinstance(machines, str) or not machines or live.outputs.get("spot"):
        return None
    total = 0.0
    for pool in machines:
        spec, replicas = (pool.get("machine"), pool.get("replicas")) if isinstance(pool, Mapping) else (None, None)
        hour = prices.of_machine(spec, region) if isinstance(spec, Mapping) else None
        if hour is None or not isinstance(replicas, int):
            return None
        total += hour * replicas * _DAY
    return total
