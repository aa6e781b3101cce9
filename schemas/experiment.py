"""`kind: Experiment`: one fine-tuning experiment, from base model and data to what serves."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field, Strict

from schemas.adapter import Adapter
from schemas.data import Data
from schemas.effects import DeclaredField, Effect, Json, Manifest
from schemas.evaluation import Evaluation
from schemas.model import TunedModel
from schemas.primitives import ADOPTED, Block, Labels, Name, listed
from schemas.quantization import QLORA, Quantization
from schemas.run import Run
from schemas.serving import Serving
from schemas.sweep import Sweep
from schemas.training import Training

BATCH = "training.effective_batch"


def _names(value: Any) -> Any:
    return [] if value is None else listed(value)


FormerNames = Annotated[
    tuple[Name, ...], Strict(False), BeforeValidator(_names, json_schema_input_type=Name | list[Name] | None)
]


class Adopt(Block):
    """Live things made by others that this experiment goes on with. Once apply has labelled them the block may go."""

    endpoint: str | None = Field(
        None, pattern=ADOPTED, description="The id or the resource name of the endpoint that becomes its address."
    )
    model: str | None = Field(
        None, pattern=ADOPTED, description="The id or the resource name of the model that gets its next version."
    )


class Experiment(Manifest):
    """A manifest. Without `serving` the model is trained and scored, and serves nowhere."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    api_version: Annotated[Literal["loraform/v1"], Effect.NOTHING] = Field(alias="apiVersion")
    kind: Annotated[Literal["Experiment"], Effect.NOTHING]
    name: Annotated[Name, Effect.NOTHING] = Field(description="Unique in the repository.")
    owner: Annotated[str | None, Effect.NOTHING] = Field(None, max_length=200, description="The team or person to ask.")
    description: Annotated[str | None, Effect.NOTHING] = None
    labels: Annotated[Labels, Effect.LABEL] = Field(default_factory=dict)
    protect: Annotated[bool, Effect.LABEL] = Field(False, description="Never delete what this experiment owns.")
    moved_from: Annotated[FormerNames, Effect.NOTHING] = Field(
        (), description="The name that it had before; of several, the latest first. What is live under it is adopted."
    )
    adopt: Annotated[Adopt, Effect.NOTHING] = Adopt()
    model: TunedModel
    data: Data
    adapter: Adapter = Field(default_factory=Adapter)
    quantization: Quantization = Field(default_factory=Quantization)
    training: Training = Field(default_factory=Training)
    sweep: Sweep | None = Field(
        None, description="Try several values and keep the best; leave it out for one training."
    )
    run: Run = Run()
    evaluation: Evaluation = Evaluation()
    serving: Serving | None = Field(None, description="How it serves; leave it out to train only.")

    @property
    def method(self) -> str:
        """lora, qlora or full."""
        return self.adapter.method

    @property
    def merges(self) -> bool:
        """Whether an adapter is merged into its base to serve."""
        return self.serving is not None and self.serving.form == "merged" and self.method != "full"

    @property
    def effective_batch(self) -> int:
        """Rows of one optimiser step over all processes: world size x per-device batch x accumulation."""
        return self.run.machine.world_size * self.training.batch

    @property
    def effective_quantization(self) -> Mapping[str, Json]:
        """The quantisation keys that hold: what the manifest gives, over what `method: qlora` presets."""
        return {**(QLORA if self.method == "qlora" else {}), **self.quantization}

    def derived_fields(self, leaves: Mapping[str, DeclaredField]) -> Mapping[str, DeclaredField]:
        """The effective batch; the presets of qlora as defaults; what chooses the best checkpoint as a result."""
        derived: dict[str, DeclaredField] = {}
        default = Training().batch
        if self.effective_batch != default:
            derived[BATCH] = DeclaredField(self.effective_batch, default, Effect.RETRAIN)
        if self.method == "qlora":
            for key, preset in QLORA.items():
                if leaf := leaves.get(f"quantization.{key}"):
                    derived[f"quantization.{key}"] = leaf._replace(default=preset)
        if self.training.chooses_best:
            selecting = (f"training.{key}" for key in self.training.selecting())
            for path in ("data.eval", "evaluation.max_samples", *selecting):
                if leaf := leaves.get(path):
                    derived[path] = leaf._replace(effect=Effect.RETRAIN)
        return derived
