"""The block `serving`: what answers requests, in the words of Vertex AI's `DedicatedResources` and of vLLM."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from schemas.effects import Effect
from schemas.keys import Keys
from schemas.machine import Machine
from schemas.primitives import (
    Block,
    Duration,
    EncryptionSpec,
    Env,
    Labels,
    Name,
    Network,
    Positive,
    ServiceAccount,
    Tuple,
)


class Engine(Keys):
    """vLLM engine arguments that the manifest gives (`max_model_len`)."""

    __slots__ = ()
    block: ClassVar[str] = "engine"


class Generation(Keys):
    """vLLM `SamplingParams` that the manifest gives: the defaults of a request that names none."""

    __slots__ = ()
    block: ClassVar[str] = "generation"


class AutoscalingMetric(Block):
    """Vertex AI's `AutoscalingMetricSpec`."""

    metric_name: str = Field(description="aiplatform.googleapis.com/prediction/online/accelerator/duty_cycle, ...")
    target: int = Field(60, ge=1)


class Rollout(Block):
    """How a new version takes over."""

    strategy: Literal["blue_green", "recreate"] = Field(
        "blue_green", description="recreate needs no second machine and is down while it happens."
    )
    steps: Tuple[Annotated[int, Field(ge=1, le=100)]] = Field(
        (100,), min_length=1, description="Shares of the traffic."
    )
    hold: Duration = Field("0s", description="The shortest time between two steps.")


class Serving(Block):
    """An endpoint of the experiment's own; or `endpoint: NAME`, a shared one that it joins."""

    endpoint: Annotated[Name | None, Effect.ROUTE] = Field(None, description="The shared endpoint to join.")
    form: Annotated[Literal["adapter", "merged"], Effect.VERSION] = Field(
        "adapter", description="The adapter beside its base, or merged into a copy of it."
    )
    machine: Annotated[Machine, Effect.ROLL] = Machine()
    min_replica_count: Annotated[Positive, Effect.IN_PLACE] = 1
    max_replica_count: Annotated[Positive | None, Effect.IN_PLACE] = Field(
        None, description="min_replica_count if left out."
    )
    required_replica_count: Annotated[Positive | None, Effect.IN_PLACE] = None
    autoscaling_metric_specs: Annotated[Tuple[AutoscalingMetric], Effect.IN_PLACE] = ()
    spot: Annotated[bool, Effect.ROLL] = False
    engine: Engine = Field(default_factory=Engine)
    generation: Generation = Field(default_factory=Generation)
    env: Annotated[Env, Effect.VERSION] = Field(default_factory=dict)
    shared_memory_size_mb: Annotated[Positive | None, Effect.VERSION] = None
    deployment_timeout: Annotated[Duration | None, Effect.VERSION] = None
    labels: Annotated[Labels, Effect.LABEL] = Field({}, description="Further labels of the model and the endpoint.")
    service_account: Annotated[ServiceAccount | None, Effect.ROLL] = None
    network: Annotated[Network | None, Effect.ROLL] = None
    encryption_spec: Annotated[EncryptionSpec | None, Effect.ROLL] = None
    rollout: Annotated[Rollout, Effect.NOTHING] = Rollout()
    protect: Annotated[bool, Effect.LABEL] = Field(False, description="Never delete what serves.")

    @property
    def replicas(self) -> tuple[int, int]:
        """The smallest and the largest number of replicas."""
        return self.min_replica_count, self.max_replica_count or max(1, self.min_replica_count)
