from __future__ import annotations

import io

from images.train.failures import DiskFull, Duplicate, OutOfMemory, TrainingFailed, foreseen
from images.train.progress import Progress


def test_an_event_is_one_line_of_sorted_json_after_the_prefix() -> None:
    stream = io.StringIO()

    Progress(stream, clock=lambda: 12.3456).say("step", step=10, steps=430, loss=0.5, note="two\nlines")

    assert stream.getvalue() == (
        'LORAFORM {"event": "step", "loss": 0.5, "note": "two\\nlines", "step": 10, "steps": 430, "time": 12.346}\n'
    )


def test_a_number_that_json_cannot_hold_is_null() -> None:
    stream = io.StringIO()

    Progress(stream, clock=lambda: 0.0).say("step", loss=float("nan"))

    assert '"loss": null' in stream.getvalue()


def test_an_error_is_one_line() -> None:
    stream = io.StringIO()

    Progress(stream).error("first\nsecond")

    assert stream.getvalue() == "error: first second\n"


def test_every_class_of_failure_has_its_own_exit_code() -> None:
    codes = [failure.exit_code for failure in (TrainingFailed, *TrainingFailed.__subclasses__())]

    assert len(set(codes)) == len(codes)
    assert 0 not in codes


def test_a_full_disk_and_a_full_memory_are_foreseen_however_they_are_said() -> None:
    assert isinstance(foreseen(OSError(28, "No space left on device")), DiskFull)
    assert isinstance(foreseen(RuntimeError("I/O error: No space left on device (os error 28)")), DiskFull)
    assert isinstance(foreseen(RuntimeError("CUDA out of memory. Tried to allocate 2 GiB")), OutOfMemory)
    assert isinstance(foreseen(MemoryError()), OutOfMemory)


def test_a_fault_of_the_program_is_not_foreseen() -> None:
    duplicate = Duplicate("duplicate: x", "Wait.")

    assert foreseen(KeyError("x")) is None
    assert foreseen(duplicate) is duplicate
    assert str(duplicate) == "duplicate: x. Wait."
