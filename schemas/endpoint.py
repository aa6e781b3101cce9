"""`kind: Endpoint`: a shared base server that many experiments join. Valid today, served in a later release."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from schemas.effects import Effect, Manifest
from schemas.machine import Machine
from schemas.model import Model
from schemas.primitives import (
    PUBLIC_NAME,
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
from schemas.serving import AutoscalingMetric, Engine, Generation

Rank = Literal[1, 8, 16, 32, 64, 128, 256, 320, 512]
"""vLLM reserves memory for one of these ranks; a test compares them with the table."""


class Capacity(Block):
    """What the server reserves for adapters. Joining never changes it; more members than fit is an error."""

    max_loras: Positive = Field(8, description="Adapters that one batch may mix.")
    max_lora_rank: Rank = Field(16, description="The largest rank of a member.")
    max_cpu_loras: Positive | None = Field(None, description="Adapters that are kept in memory; at least max_loras.")


def _weights(value: Any) -> Any:
    return {value: 100} if isinstance(value, str) else value


PublicName = Annotated[str, Field(pattern=PUBLIC_NAME)]
Weights = Annotated[
    dict[Name, Annotated[int, Field(ge=0, le=100)]],
    BeforeValidator(_weights, json_schema_input_type=Name | dict[Name, int]),
]


class Endpoint(Manifest):
    """A manifest of a shared endpoint. `routes` says which experiment answers under which public name."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    api_version: Annotated[Literal["loraform/v1"], Effect.NOTHING] = Field(alias="apiVersion")
    kind: Annotated[Literal["Endpoint"], Effect.NOTHING]
    name: Annotated[Name, Effect.NOTHING] = Field(description="Unique in the repository.")
    owner: Annotated[str | None, Effect.NOTHING] = Field(None, max_length=200)
    description: Annotated[str | None, Effect.NOTHING] = None
    labels: Annotated[Labels, Effect.LABEL] = Field(default_factory=dict)
    protect: Annotated[bool, Effect.LABEL] = False
    model: Annotated[Model, Effect.VERSION]
    capacity: Annotated[Capacity, Effect.VERSION] = Capacity()
    engine: Engine = Field(default_factory=Engine)
    generation: Generation = Field(default_factory=Generation)
    machine: Annotated[Machine, Effect.ROLL] = Machine()
    min_replica_count: Annotated[Positive, Effect.IN_PLACE] = 1
    max_replica_count: Annotated[Positive | None, Effect.IN_PLACE] = None
    autoscaling_metric_specs: Annotated[Tuple[AutoscalingMetric], Effect.IN_PLACE] = ()
    spot: Annotated[bool, Effect.ROLL] = False
    env: Annotated[Env, Effect.VERSION] = Field(default_factory=dict)
    shared_memory_size_mb: Annotated[Positive | None, Effect.VERSION] = None
    deployment_timeout: Annotated[Duration | None, Effect.VERSION] = None
    service_account: Annotated[ServiceAccount | None, Effect.ROLL] = None
    network: Annotated[Network | None, Effect.ROLL] = None
    encryption_spec: Annotated[EncryptionSpec | None, Effect.ROLL] = None
    routes: Annotated[dict[PublicName, Weights], Effect.ROUTE] = Field(
        {}, description="Public model name -> experiment, or experiments with weights that sum to 100."
    )
