"""One experiment as its backends see it: the manifest, its fields with their effects, and what its paths hold.

Which field goes into which identity is never listed here or in a backend: it follows from the effect that is declared
beside the field in `schemas/`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field

from reconciler.core.identity import canonical
from reconciler.core.resources import SHORT, Address, Declared, Json, Role, Source, Upload
from reconciler.core.target import Target
from schemas.effects import DeclaredField, Effect
from schemas.experiment import Experiment
from schemas.training_spec import ModelSource


@dataclass(frozen=True, slots=True)
class Input:
    """What a field that names a file, a folder or an object stands for."""

    uri: str
    """Where the container reads it: `gs://...`, a hub id; for a template its text."""
    pin: Json
    """What the identity hashes in place of the field's text: a path may move, its content is what counts."""
    shown: str
    """The field as a plan prints it."""
    uploads: tuple[Upload, ...] = ()


@dataclass(frozen=True, slots=True)
class Subject:
    """An experiment on a target, with its inputs by the path of the field that names them (`data.train`)."""

    experiment: Experiment
    target: Target
    leaves: Mapping[str, DeclaredField]
    """`schemas.effects.declared_fields` of the experiment."""
    source: Source
    inputs: Mapping[str, Input] = field(default_factory=dict)
    gates: tuple[Source, ...] = ()
    """Where each bound of `evaluation.gate` stands."""

    def address(self, role: Role) -> Address:
        """The address of one of the experiment's resources."""
        return Address(self.experiment.name, role)

    def hashed(self, *effects: Effect) -> dict[str, Json]:
        """What goes into an identity or an attempt key: the fields with these effects that are not at their default."""
        return {
            path: self.inputs[path].pin if path in self.inputs else leaf.value
            for path, leaf in self.leaves.items()
            if leaf.effect in effects and not leaf.at_default
        }

    def fields(self, *effects: Effect) -> dict[str, Declared]:
        """The fields that the manifest gives with these effects, as a plan explains them."""
        return {
            path: Declared(
                self.inputs[path].shown if path in self.inputs else leaf.value, str(leaf.effect), leaf.default
            )
            for path, leaf in self.leaves.items()
            if leaf.effect in effects
        }

    def uploads(self, *paths: str) -> tuple[Upload, ...]:
        """The files that must stand in the bucket before what these fields name can be read."""
        return tuple(sorted({upload for path in paths if path in self.inputs for upload in self.inputs[path].uploads}))

    def uri(self, path: str) -> str:
        """Where the container finds what a field names."""
        return self.inputs[path].uri

    def model_source(self) -> ModelSource:
        """The block `model` as the containers read it."""
        block = self.experiment.model
        return ModelSource(
            base=self.uri("model.base"),
            revision=block.revision,
            token_secret=block.token_secret,
            mirror=block.mirror,
            tokenizer=self.uri("model.tokenizer") if block.tokenizer is not None else None,
            chat_template=self.uri("model.chat_template") if block.chat_template is not None else None,
            attn_implementation=block.attn_implementation,
            trust_remote_code=block.trust_remote_code,
        )


def attempt_key(settings: Mapping[str, Json]) -> str:
    """What tells one try from the next: as long as it stays the same, a failed one is not repeated."""
    return hashlib.sha256(canonical(settings).encode()).hexdigest()[:SHORT]


def given(values: Mapping[str, Json]) -> dict[str, Json]:
    """The values that say something: without None and what is empty."""
    return {key: value for key, value in values.items() if value is not None and value not in ("", [], (), {})}


def environment(env: Mapping[str, str]) -> list[Json]:
    """Environment variables as Vertex AI's `EnvVar`s, sorted."""
    return [{"name": name, "value": env[name]} for name in sorted(env)]


def machine_spec(machine_type: str, accelerator_type: str | None, accelerator_count: int) -> dict[str, Json]:
    """Vertex AI's `MachineSpec`."""
    accelerators: dict[str, Json] = (
        {"accelerator_type": accelerator_type, "accelerator_count": accelerator_count}
        if accelerator_type and accelerator_count
        else {}
    )
    return {"machine_type": machine_type, **accelerators}
