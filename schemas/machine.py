"""A machine as Vertex AI names it. What a change of one means is declared where it is used."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from schemas.primitives import MACHINE, Block, Count, Positive

Accelerator = Literal[
    "NVIDIA_TESLA_K80",
    "NVIDIA_TESLA_P100",
    "NVIDIA_TESLA_V100",
    "NVIDIA_TESLA_P4",
    "NVIDIA_TESLA_T4",
    "NVIDIA_TESLA_A100",
    "NVIDIA_A100_80GB",
    "NVIDIA_L4",
    "NVIDIA_H100_80GB",
    "NVIDIA_H100_MEGA_80GB",
    "NVIDIA_H200_141GB",
    "NVIDIA_B200",
    "NVIDIA_GB200",
    "NVIDIA_RTX_PRO_6000",
    "TPU_V2",
    "TPU_V3",
    "TPU_V4_POD",
    "TPU_V5_LITEPOD",
]
"""`google.cloud.aiplatform_v1.AcceleratorType`; a test compares them."""


class Machine(Block):
    """Vertex AI's `MachineSpec`."""

    machine_type: str = Field("n1-standard-4", pattern=MACHINE, description="Such as g2-standard-12.")
    accelerator_type: Accelerator | None = None
    accelerator_count: Count = Field(0, description="Accelerators of each replica.")


class TrainingMachine(Machine):
    """A worker pool: machines, how many of them, and their boot disks (`WorkerPoolSpec`, `DiskSpec`)."""

    replica_count: Positive = 1
    boot_disk_type: str | None = Field(None, pattern=MACHINE, description="pd-ssd, pd-standard, ...")
    boot_disk_size_gb: int | None = Field(None, ge=100, le=64_000)

    @property
    def world_size(self) -> int:
        """How many processes train together: one per accelerator, or one per machine without any."""
        return max(1, self.accelerator_count) * self.replica_count
