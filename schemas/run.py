"""The block `run`: where and how a training is carried out, in Vertex AI's words. It never causes a run by itself."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from schemas.effects import Effect
from schemas.machine import TrainingMachine
from schemas.primitives import (
    TENSORBOARD,
    Block,
    Duration,
    EncryptionSpec,
    Env,
    Labels,
    Network,
    Positive,
    Region,
    ServiceAccount,
    Tuple,
    listed,
)

Backend = Literal["custom_job", "tuning_job", "pipeline_job"]
Strategy = Literal["standard", "spot", "flex_start"]


class Scheduling(Block):
    """Vertex AI's `Scheduling`. A list of strategies is a ladder: the next rung after a stock-out or a preemption."""

    strategy: Annotated[Tuple[Strategy], BeforeValidator(listed, json_schema_input_type=Strategy | list[Strategy])] = (
        Field(("standard",), min_length=1)
    )
    timeout: Duration | None = Field(None, description="6h, 90m, ...; Vertex AI's own limit is 7d.")
    restart_job_on_worker_restart: bool = False
    max_wait_duration: Duration | None = Field(None, description="How long flex_start may wait for machines.")
    disable_retries: bool = False


class Run(Block):
    """Vertex AI's `CustomJobSpec`, as far as it is the user's to say."""

    backend: Annotated[Backend, Effect.RUN] = "custom_job"
    machine: Annotated[TrainingMachine, Effect.RUN] = TrainingMachine()
    scheduling: Annotated[Scheduling, Effect.RUN] = Scheduling()
    regions: Annotated[Tuple[Region], Effect.RUN] = Field(
        (), description="Where it may train, in this order; the target's region if left out. It serves in that one."
    )
    service_account: Annotated[ServiceAccount | None, Effect.RUN] = None
    network: Annotated[Network | None, Effect.RUN] = None
    reserved_ip_ranges: Annotated[Tuple[str], Effect.RUN] = ()
    encryption_spec: Annotated[EncryptionSpec | None, Effect.RUN] = None
    tensorboard: Annotated[str | None, Effect.RUN] = Field(None, pattern=TENSORBOARD)
    enable_web_access: Annotated[bool, Effect.RUN] = False
    enable_dashboard_access: Annotated[bool, Effect.RUN] = False
    persistent_resource_id: Annotated[str | None, Effect.RUN] = None
    labels: Annotated[Labels, Effect.NOTHING] = Field({}, description="Further labels of the next job.")
    env: Annotated[Env, Effect.RUN] = Field(default_factory=dict)
    attempt: Annotated[Positive, Effect.RUN] = Field(1, description="Raise it to run again after a permanent failure.")
    on_change: Annotated[Literal["cancel", "finish"], Effect.NOTHING] = Field(
        "cancel", description="What becomes of a running job that git has superseded."
    )
