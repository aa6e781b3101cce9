"""The contract between the reconciler and the serving image: the container's `--spec <canonical JSON>` argument.

The adapter itself is the model's artifact: Vertex AI tells its place in `AIP_STORAGE_URI`.
"""

from __future__ import annotations

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from schemas.training_spec import ModelSource


class ServingSpec(BaseModel):
    """Everything that the server reads beside the `AIP_*` variables.

    `engine` holds vLLM engine arguments in snake_case (`max_model_len`), `generation` vLLM `SamplingParams` keys:
    the defaults of a request that gives none.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    version: Literal[1] = 1
    experiment: str = Field(description="The name under which the tuned model answers.")
    form: Literal["adapter", "full"] = Field("adapter", description="What the artifact holds.")
    model: ModelSource
    rank: int = Field(16, description="The largest rank in the adapter: bounds max_lora_rank.")
    engine: dict[str, Any] = Field(default_factory=dict)
    generation: dict[str, Any] = Field(default_factory=dict)
