"""The trained model in the form in which it will be served: the base in 16 bits (32 on a CPU) with the adapter on it,
or merged; a full model as it is.

A base that does not fit that way is loaded quantised, as it was trained on, and that is told: the scores are then those
of another form than what serves.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from images.train.loading import load_model
from images.train.progress import Progress
from images.train.settings import Hardware
from schemas.training_spec import ModelSource

ROOM = 1.3
"""How much memory a model wants beside its weights, as a factor, to answer in."""


@dataclass(frozen=True, slots=True)
class Artifact:
    """What was trained, on this machine: its folder, the base's, and how both are read."""

    folder: Path
    base: Path
    source: ModelSource
    method: str
    quantization: Any = None
    """The `BitsAndBytesConfig` of the training, for a base that fits in no other way."""


@dataclass(frozen=True, slots=True)
class Served:
    """A loaded model; `form` says how: `full`, `adapter`, `merged` or `adapter on a quantised base`."""

    model: Any
    form: str

    @contextmanager
    def as_base(self) -> Iterator[Any]:
        """The base alone, where it is still to be had: an adapter is switched off."""
        with self.model.disable_adapter() if self.form.startswith("adapter") else nullcontext():
            yield self.model


def load_served(artifact: Artifact, hardware: Hardware, form: str, progress: Progress) -> Served:
    """Load it as `form` says: `adapter` or `merged`. A merged one is first an adapter: see `merge`."""
    if artifact.method == "full":
        model = load_model(artifact.folder, artifact.source, hardware, None, full=hardware.cpu)
        return Served(_placed(model, hardware, False).eval(), "full")
    from peft import PeftModel

    quantised = artifact.quantization is not None and not _fits(artifact.base, hardware)
    if quantised:
        progress.note("the base fits only quantised: what is measured is not quite what will be served")
    quantization = artifact.quantization if quantised else None
    model = _placed(load_model(artifact.base, artifact.source, hardware, quantization, full=False), hardware, quantised)
    tuned = PeftModel.from_pretrained(model, artifact.folder)
    return Served(tuned.eval(), "adapter on a quantised base" if quantised else "adapter")


def load_base(artifact: Artifact, hardware: Hardware) -> Served:
    """The base of a full fine-tuning, to compare with."""
    model = load_model(artifact.base, artifact.source, hardware, None, full=hardware.cpu)
    return Served(_placed(model, hardware, False).eval(), "full")


def merged(served: Served) -> Served:
    """The adapter within the weights; the base is gone then."""
    if served.form != "adapter":
        return served
    return Served(served.model.merge_and_unload(safe_merge=True).eval(), "merged")


def release() -> None:
    """Give memory back that nothing refers to any more."""
    import gc

    import torch

    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def _placed(model: Any, hardware: Hardware, quantised: bool) -> Any:
    return model if hardware.cpu or quantised else model.to(hardware.device)


def _fits(folder: Path, hardware: Hardware) -> bool:
    """Whether the weights, as they lie on the disk, leave room on the accelerator to answer in."""
    if hardware.cpu:
        return True
    import torch

    weights = sum(file.stat().st_size for file in folder.glob("*.safetensors"))
    return bool(ROOM * weights < torch.cuda.mem_get_info()[0])
