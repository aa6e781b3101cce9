"""Why a training run ends without an artifact: one exception and one exit code per class of cause.

A failure is foreseen: it is told in one line, cause and remedy, without a traceback. Anything else that escapes is a
fault of the program itself and exits with 1.
"""

from __future__ import annotations

import errno


class TrainingFailed(Exception):
    """Base of all foreseen endings. `str()` is the one line that the user reads."""

    exit_code = 1
    cause = "error"

    def __init__(self, what: str, remedy: str) -> None:
        super().__init__(f"{what.rstrip('.')}. {remedy}")
        self.what = what
        self.remedy = remedy


class SpecInvalid(TrainingFailed):
    """The spec, or a library setting in it, cannot be obeyed."""

    exit_code = 2
    cause = "spec"


class DataInvalid(TrainingFailed):
    """Rows that cannot be trained on; every one of them was reported before."""

    exit_code = 10
    cause = "data"


class ModelNotFound(TrainingFailed):
    """The base model or its tokenizer is not there, or is not what it should be."""

    exit_code = 11
    cause = "model"


class NotPermitted(TrainingFailed):
    """Google Cloud, Secret Manager or the hub said no."""

    exit_code = 12
    cause = "permission"


class OutOfMemory(TrainingFailed):
    """The accelerator's or the machine's memory is too small for these settings."""

    exit_code = 13
    cause = "memory"


class Duplicate(TrainingFailed):
    """Another process trains the same identity."""

    exit_code = 14
    cause = "duplicate"


class StorageFailed(TrainingFailed):
    """A bucket or object is missing, a precondition failed, or the network did."""

    exit_code = 15
    cause = "storage"


class DiskFull(TrainingFailed):
    """No space left on a local disk."""

    exit_code = 16
    cause = "disk"


class Diverged(TrainingFailed):
    """The loss is no longer a number."""

    exit_code = 17
    cause = "diverged"


class Interrupted(TrainingFailed):
    """SIGTERM or SIGINT: preempted or cancelled."""

    exit_code = 143
    cause = "interrupted"


def foreseen(error: Exception) -> TrainingFailed | None:
    """What a library's error means, where it is one that a user can mend; None for a fault of the program."""
    if isinstance(error, TrainingFailed):
        return error
    text = str(error)
    if (isinstance(error, OSError) and error.errno == errno.ENOSPC) or "No space left on device" in text:
        return DiskFull("No space left on the local disk", "Choose a machine with a larger boot disk.")
    if isinstance(error, MemoryError) or "out of memory" in text or "can't allocate memory" in text:
        return OutOfMemory(
            "Out of memory",
            "Lower per_device_train_batch_size (and raise gradient_accumulation_steps), lower max_length, use method: "
            "qlora, or choose a larger machine.",
        )
    return None
