"""`loraform.yaml`: the project. Which fleet, where it may live, what its containers are, and what is allowed."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import ConfigDict, Field

from schemas.effects import Effect, Manifest
from schemas.primitives import BUCKET, FLEET, PROJECT, REGION, Block, Count, Name, Region, Tuple

LOCAL = "local"


class Target(Block):
    """A place where the fleet lives: a Vertex AI project and region with a bucket, or this machine."""

    kind: Literal["local", "cloud"] = "cloud"
    project: str | None = Field(None, pattern=PROJECT)
    region: str | None = Field(None, pattern=REGION)
    bucket: str | None = Field(None, pattern=BUCKET, description="Without gs://.")
    buckets: dict[Region, Annotated[str, Field(pattern=BUCKET)]] = Field(
        {}, description="Further regions that trainings may run in, each with a bucket of that region."
    )
    api_endpoint: str | None = Field(None, description="Another address of the API, as http://127.0.0.1:8080.")


class Images(Block):
    """The containers. A cloud target wants them by digest; the local one knows these names."""

    train: str = Field("loraform/train", min_length=1)
    serve: str = Field("loraform/serve", min_length=1)


Price = Annotated[float, Field(ge=0)]


class Policy(Block):
    """What a plan may do without a word from a person."""

    require_pins: bool | None = Field(None, description="Unpinned data and models are errors; true on cloud targets.")
    max_new_runs: Count = Field(5, description="Training starts in one plan.")
    max_new_gpus: Count | None = Field(None, description="Accelerators that one plan may start.")
    allow_trust_remote_code: bool = False
    max_deletes: Count = Field(5, description="Deletions in one plan.")
    max_delete_percent: Annotated[int, Field(ge=0, le=100)] = Field(20, description="Deletions, of all that is live.")
    max_roll_percent: Annotated[int, Field(ge=0, le=100)] = Field(
        20, description="Deployments, of all, that another serving image may roll in one plan."
    )


class Project(Manifest):
    """The project file."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    api_version: Annotated[Literal["loraform/v1"], Effect.NOTHING] = Field("loraform/v1", alias="apiVersion")
    kind: Annotated[Literal["Project"], Effect.NOTHING] = "Project"
    fleet: Annotated[str, Effect.NOTHING] = Field(
        pattern=FLEET, description="What is ours: the label loraform-fleet of everything that this repository owns."
    )
    targets: dict[Name, Target] = Field({}, description="`local` is always there and needs nothing.")
    default_target: Name = LOCAL
    images: Annotated[Images, Effect.VERSION] = Images()
    experiments: Tuple[Annotated[str, Field(min_length=1)]] = Field(
        ("experiments/**/*.yaml",), min_length=1, description="Where the manifests are, relative to this file."
    )
    defaults: dict[str, Any] = Field({}, description="Blocks that every experiment has unless it says otherwise.")
    policy: Policy = Policy()
    prices: Annotated[dict[str, dict[str, Price]], Effect.NOTHING] = Field(
        {}, description="Region (or *) -> machine or accelerator type -> USD an hour; over Loraform's short table."
    )

    def target(self, name: str | None = None) -> tuple[str, Target]:
        """The named target, or the default one. KeyError for a name that is not there."""
        chosen = name or self.default_target
        return chosen, self.all_targets[chosen]

    @property
    def all_targets(self) -> Mapping[str, Target]:
        """The declared targets, and `local`."""
        return {LOCAL: Target(kind="local"), **self.targets}

    def requires_pins(self, target: Target) -> bool:
        """True when what is not pinned in git is an error on this target."""
        declared = self.policy.require_pins
        return target.kind == "cloud" if declared is None else declared
