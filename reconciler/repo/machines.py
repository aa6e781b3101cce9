"""The next larger machine of Vertex AI, with as many accelerators: the world size, and so the identity, stays.

Types and accelerators are Google's (https://cloud.google.com/vertex-ai/docs/training/configure-compute). Prices and
what a region has are not known here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Choice(NamedTuple):
    """A machine type with its accelerators, as a manifest names them."""

    machine_type: str
    accelerator_type: str | None
    accelerator_count: int


_GROWING = (
    ("NVIDIA_L4", {1: "g2-standard-12", 2: "g2-standard-24", 4: "g2-standard-48", 8: "g2-standard-96"}),
    ("NVIDIA_TESLA_A100", {1: "a2-highgpu-1g", 2: "a2-highgpu-2g", 4: "a2-highgpu-4g", 8: "a2-highgpu-8g"}),
    ("NVIDIA_A100_80GB", {1: "a2-ultragpu-1g", 2: "a2-ultragpu-2g", 4: "a2-ultragpu-4g", 8: "a2-ultragpu-8g"}),
    ("NVIDIA_H200_141GB", {8: "a3-ultragpu-8g"}),
)
"""Accelerators by growing memory, with the machine that has so many of them."""

_MEMORY: Mapping[str, int] = MappingProxyType(
    {
        "NVIDIA_TESLA_P4": 8,
        "NVIDIA_TESLA_K80": 12,
        "NVIDIA_TESLA_T4": 16,
        "NVIDIA_TESLA_P100": 16,
        "NVIDIA_TESLA_V100": 16,
        "NVIDIA_L4": 24,
        "NVIDIA_TESLA_A100": 40,
        "NVIDIA_A100_80GB": 80,
        "NVIDIA_H100_80GB": 80,
        "NVIDIA_H100_MEGA_80GB": 80,
        "NVIDIA_H200_141GB": 141,
    }
)
"""GB of one accelerator."""

_G2_WITH_ONE = (4, 8, 12, 16, 32)
_SIZES = (2, 4, 8, 16, 32, 64, 96)
_GENERAL = re.compile(r"(n1|n2|n2d|e2|c3)-(standard|highmem)-(\d+)")


def more_gpu_memory(now: Choice) -> Choice | None:
    """As many accelerators with more memory each; None when there are none, or none larger is known."""
    have = _MEMORY.get(now.accelerator_type or "", 0)
    if not have:
        return None
    for kind, machines in _GROWING:
        if _MEMORY[kind] > have and now.accelerator_count in machines:
            return Choice(machines[now.accelerator_count], kind, now.accelerator_count)
    return None


def more_memory(now: Choice) -> Choice | None:
    """The same accelerators in a machine with more memory, else the next larger accelerators with theirs."""
    if now.machine_type.startswith("g2-standard-") and now.accelerator_count == 1:
        size = int(now.machine_type.rsplit("-", 1)[1])
        larger = next((one for one in _G2_WITH_ONE if one > size), None)
        return now._replace(machine_type=f"g2-standard-{larger}") if larger else more_gpu_memory(now)
    general = _GENERAL.fullmatch(now.machine_type)
    if general is not None:
        larger = next((one for one in _SIZES if one > int(general[3])), None)
        return now._replace(machine_type=f"{general[1]}-{general[2]}-{larger}") if larger else None
    return more_gpu_memory(now)
