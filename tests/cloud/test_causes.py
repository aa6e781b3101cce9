"""Which logs a look reads: only of the newest failures that git wants and that their errors do not explain."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from reconciler.cloud.causes import MOST, with_causes
from reconciler.core.errors import Terminal
from reconciler.core.resources import Cause, Failure, LiveResource, Phase, Resource
from tests.core.builders import NOW, live, snapshot, training

OUT_OF_MEMORY = ("Traceback (most recent call last):", "torch.OutOfMemoryError: CUDA out of memory.")


class Logs:
    """Answers the same log for everything, and remembers who was asked for."""

    def __init__(self, lines: tuple[str, ...] = OUT_OF_MEMORY) -> None:
        self.lines = lines
        self.read: list[str] = []

    def __call__(self, item: LiveResource) -> tuple[str, ...]:
        self.read.append(item.name)
        return self.lines


def failed(resource: Resource, cause: Cause = Cause.CODE, **overrides: Any) -> LiveResource:
    return live(resource, Phase.FAILED, failure=Failure(cause, "it failed"), **overrides)


def causes(found: Any) -> list[Cause | None]:
    return [item.failure.cause if item.failure else None for item in found.live]


def test_the_log_of_a_failed_run_names_its_cause() -> None:
    seen = with_causes(snapshot(failed(training())), (training(),), Logs())

    (item,) = seen.live
    assert item.failure == Failure(Cause.GPU_MEMORY, "it failed", OUT_OF_MEMORY[1])


def test_a_fleet_in_which_nothing_failed_reads_no_log() -> None:
    logs = Logs()

    seen = with_causes(snapshot(live(training()), live(training("bee"), Phase.RUNNING)), (training(),), logs)

    assert logs.read == []
    assert causes(seen) == [None, None]


def test_only_what_git_wants_and_only_its_newest_try_is_looked_up() -> None:
    logs = Logs()
    older = failed(training(), name="older", created=NOW - 9)
    newest = failed(training(), name="newest", created=NOW - 5)
    before = failed(training("bee"), name="before", attempt_key="another")
    gone = failed(training("gone"), name="gone")

    with_causes(snapshot(older, newest, before, gone), (training(), training("bee")), logs)

    assert logs.read == ["newest"]


def test_an_error_that_explains_itself_needs_no_log() -> None:
    logs = Logs()
    kinds = (Cause.STOCKOUT, Cause.QUOTA, Cause.CANCELLED, Cause.IMAGE_MISSING, Cause.MACHINE)
    runs = [training(f"bot-{number}") for number in range(len(kinds))]

    with_causes(snapshot(*(failed(run, cause) for run, cause in zip(runs, kinds, strict=True))), runs, logs)

    assert logs.read == []


def test_no_more_than_a_few_logs_are_read_the_newest_first() -> None:
    logs = Logs()
    runs = [training(f"bot-{number:02}") for number in range(MOST + 3)]

    seen = with_causes(snapshot(*(failed(run, created=NOW - n) for n, run in enumerate(runs))), runs, logs)

    assert logs.read == [f"{run.address}#{run.stamp}" for run in runs[:MOST]]
    assert causes(seen) == [Cause.GPU_MEMORY] * MOST + [Cause.CODE] * 3


def test_who_may_not_read_logs_still_gets_a_plan() -> None:
    def refused(item: LiveResource) -> tuple[str, ...]:
        raise Terminal("no", status="PERMISSION_DENIED", code=403)

    tail: Callable[[LiveResource], tuple[str, ...]] = refused
    seen = with_causes(snapshot(failed(training())), (training(),), tail)

    assert causes(seen) == [Cause.CODE]
