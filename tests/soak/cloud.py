"""The imagined cloud: the emulator's own services in this process, on virtual time, with nothing behind them.

No program is ever started: jobs run until the history ends them, a server is healthy when the history says so.
"""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from reconciler.emulator import deployment_runs, job_runs, jobs
from reconciler.emulator.answer import answer_struck
from reconciler.emulator.faults import UNSTRUCK, Struck, is_list
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.settings import HOLD, STUB, Program, Settings
from reconciler.emulator.store import DONE, Row, Store
from reconciler.emulator.wire.codec import Message, message_class
from reconciler.emulator.wire.names import canonical, project_number
from reconciler.emulator.world import Launch, World

PROJECT, REGION, BUCKET = "acme-ml", "europe-west4", "acme-llm"
PARENT = f"projects/{PROJECT}/locations/{REGION}"
TICK = 0.01
"""Seconds that pass with every look at the clock of the service."""


@dataclass(slots=True)
class Time:
    """Seconds since the epoch; only the history moves it by more than a tick."""

    now: float = 1_800_000_000.0

    def look(self) -> float:
        """The present, a tick later than the one before: no two things happen at once."""
        self.now += TICK
        return self.now


class Images(dict[str, Program]):
    """The images that the service knows. While `refusal` is not empty no server starts, and this is why."""

    refusal = ""

    def __contains__(self, name: object) -> bool:
        if self.refusal and str(name).startswith("serve"):
            raise OSError(self.refusal)
        return super().__contains__(name)


class Nobody:
    """Runner, prober and mounts in one: there are no programs to run, to ask or to bring files to."""

    def start(self, key: str, launch: Launch) -> None:
        raise AssertionError(f"{key} wants a program")

    def known(self, key: str) -> bool:
        return False

    def exit_code(self, key: str) -> int | None:
        return None

    def stop(self, key: str, grace_s: float) -> None:
        return

    def gone(self, key: str) -> bool:
        return True

    def forget(self, key: str) -> None:
        return

    def watch(self, key: str, url: str) -> None:
        return

    def healthy(self, key: str) -> bool:
        return True

    def folder(self, bucket: str) -> Path:
        return Path()

    def show(self, key: str, buckets: Collection[str]) -> bool:
        return True

    def give_back(self, key: str) -> bool:
        return True


@dataclass(slots=True)
class Cloud:
    """One project with Vertex AI and a bucket. Use it from one thread."""

    time: Time
    world: World
    buckets: Buckets
    images: Images

    def perform(self, method: str, request: Message, stale: float = 0.0) -> Message:
        """Answer one call such as `JobService.CreateCustomJob`; a list as it was `stale` seconds ago.

        Raises the emulator's `ApiError`.
        """
        struck = Struck(stale_s=stale) if stale and is_list(method) else UNSTRUCK
        return answer_struck(self.world, method, request, struck)

    def live_jobs(self) -> list[Message]:
        """The jobs that have not ended, oldest first."""
        return [jobs.read(row) for row in self.world.store.every(jobs.KIND) if row.work != DONE]

    def endpoints(self) -> list[Message]:
        """All endpoints, oldest first."""
        return [message_class("Endpoint").FromString(row.body) for row in self.world.store.every("endpoint")]

    def jobs_go_on(self) -> None:
        """Pending jobs begin to run, cancelled ones end."""
        job_runs.advance(self.world)

    def end_job(self, name: str, *, well: bool, message: str = "") -> None:
        """End a job that has not ended, as `:finish` does."""
        job_runs.finish(self.world, jobs.find(self.world, name), jobs.SUCCEEDED if well else jobs.FAILED, message)
        self.jobs_go_on()

    def deployments_go_on(self, refusal: str = "") -> None:
        """Servers that were being started serve, or have failed because of `refusal`; those being stopped are gone."""
        self.images.refusal = refusal
        deployment_runs.advance(self.world)
        self.images.refusal = ""

    def rows(self) -> list[Row]:
        """Everything that the service holds, oldest first within its kind."""
        return [row for kind in ("job", "model", "endpoint", "deployment") for row in self.world.store.every(kind)]

    def labels_of(self, name: str) -> dict[str, str]:
        """The labels of a job, a model or an endpoint by its full name; empty when it is not there."""
        short, _, _ = canonical(name).partition("@")
        for kind, word in (("job", "CustomJob"), ("endpoint", "Endpoint")):
            if row := self.world.store.get(kind, short):
                return dict(message_class(word).FromString(row.body).labels)
        version = next(self.world.store.children("version", short), None)
        return dict(message_class("Model").FromString(version.body).labels) if version else {}


@contextmanager
def open_cloud() -> Iterator[Cloud]:
    """An empty cloud, gone at the end."""
    time = Time()
    memory = Path("/dev/shm")
    with tempfile.TemporaryDirectory(dir=memory if memory.is_dir() else None) as folder:
        store = Store(Path(":memory:"), handed_on=True)
        store.remember(lambda: time.now)
        images = Images({"train": HOLD, "serve": STUB})
        settings = Settings(Path(folder), "http://nowhere", PROJECT, images, "mark", jobs_at_once=1000)
        nobody = Nobody()
        world = World(store, time.look, nobody, nobody, settings, nobody)
        clock = lambda: datetime.fromtimestamp(time.look(), UTC)  # noqa: E731
        buckets = Buckets(Path(folder) / "storage", clock, project_number=project_number)
        buckets.create_bucket(BUCKET, project=PROJECT)
        try:
            yield Cloud(time, world, buckets, images)
        finally:
            buckets.close()
            store.close()
