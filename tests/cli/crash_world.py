"""The real command in processes that die, beside an embedded Vertex AI whose jobs end when the trainer here says so.

The processes are forked from one that has everything imported (`warm.py`): what runs in them is all that `loraform`
runs.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.process import BaseProcess
from multiprocessing.synchronize import Event
from pathlib import Path
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from reconciler.cli.main import run
from reconciler.cloud.claims import LOCAL_TTL
from schemas.run_record import Counts, RunRecord, metadata_of
from schemas.training_spec import TrainingSpec
from tests.cloud.proxy import Assassin, Judge, running_proxy
from tests.emulator_fixture import emulator_calls, finish_job, forget_calls, running_emulator

PROGRAMS = {"loraform/train": "hold", "loraform/serve": "stub"}
JOBS = "v1/projects/loraform-local/locations/us-central1/customJobs"
CONTEXT = multiprocessing.get_context("forkserver")
CONTEXT.set_forkserver_preload(["tests.cli.warm"])
KILLED = -9
SETTLED = "in sync"
"""What an apply ends with when nothing is left to do."""
WITHIN = 120.0
"""Seconds in which a command has ended, or hangs."""


class Free:
    """Lets everything through."""

    def passes(self, line: str) -> bool:
        return True

    def answers(self, line: str) -> bool:
        return True


@dataclass
class Switch:
    """Asks the judge of the moment."""

    judge: Judge = field(default_factory=Free)

    def passes(self, line: str) -> bool:
        return self.judge.passes(line)

    def answers(self, line: str) -> bool:
        return self.judge.answers(line)


@dataclass(frozen=True)
class Ended:
    """How a command ended: its exit code (negative: the signal) and all that it printed."""

    code: int
    told: str


@dataclass(frozen=True)
class World:
    """A repository, its embedded Vertex AI at `url`, and the proxy before it."""

    root: Path
    url: str
    proxy: str
    switch: Switch

    def use_fleet(self, fleet: str) -> None:
        """From now on the repository owns another fleet, of which nothing is live yet."""
        (self.root / "loraform.yaml").write_text(
            f"apiVersion: loraform/v1\nkind: Project\nfleet: {fleet}\n"
            f"targets: {{local: {{kind: local, api_endpoint: '{self.proxy}'}}}}\n"
        )

    def loraform(self, *arguments: str) -> Ended:
        """Run the command to its end."""
        return self.start(*arguments).end()

    def start(self, *arguments: str, root: Path | None = None) -> Running:
        """Start the command; it stands still before its first word until `go` is set."""
        go, out = CONTEXT.Event(), (root or self.root) / f".told-{os.urandom(4).hex()}"
        process = CONTEXT.Process(target=_command, args=(root or self.root, arguments, go, out))
        process.start()
        return Running(process, go, out)

    def killed(self, nth: int, *arguments: str, before: bool, again: bool = False) -> tuple[Ended, list[str]]:
        """Run the command, and kill it at its nth changing request; the requests that it made.

        With `again` it is run until nothing is left to do, and the nth request of all those runs is the last one.
        """
        assassin = Assassin(nth, before=before)
        self.switch.judge = assassin
        try:
            while True:
                running = self.start(*arguments)
                assassin.victim = running.process.pid or 0
                ended = running.end()
                if not again or ended.code or SETTLED in ended.told:
                    return ended, assassin.seen
        finally:
            self.switch.judge = Free()

    def settled(self, *arguments: str) -> Ended:
        """Apply, one pass after the other, until all is as git says; the end of the last one, and what all told.

        What waits for the claim of an apply that is dead need not do so here: the claim is made old.
        """
        told = ""
        end = time.monotonic() + WITHIN
        while True:
            ended = self.loraform("apply", *arguments)
            told += ended.told
            if ended.code or SETTLED in ended.told or time.monotonic() > end:
                return Ended(ended.code if SETTLED in ended.told or ended.code else -1, told)
            if "claimed" in ended.told:
                self.age_claims()

    def age_claims(self) -> None:
        """As if the time that a claim keeps others away were over for all of them."""
        client = client_of(self.url)
        for blob in client.list_blobs("loraform-local", match_glob="loraform/*/claims/*.json"):
            claim = json.loads(blob.download_as_bytes())
            at = repr(float(claim["at"]) - LOCAL_TTL)
            blob.metadata = {**(blob.metadata or {}), "at": at}
            blob.upload_from_string(json.dumps({**claim, "at": at}), if_generation_match=blob.generation)
        client.close()

    def jobs(self) -> list[dict[str, Any]]:
        """All custom jobs, the newest first."""
        with urllib.request.urlopen(f"{self.url}/{JOBS}?pageSize=1000", timeout=10) as answer:
            found: list[dict[str, Any]] = json.load(answer).get("customJobs", [])
        return found

    def created(self) -> Counter[str]:
        """How many jobs there are of each identity; as many creations as that were answered well."""
        calls = emulator_calls(self.url)
        made = sum(call["method"] == "JobService.CreateCustomJob" and call["status"] == 200 for call in calls)
        found = Counter(str(job["labels"]["loraform-identity"]) for job in self.jobs())
        assert made <= sum(found.values())
        return found

    def live(self, fleet: str) -> Any:
        """All that there is of a fleet, without what differs from one run to the next."""
        with urllib.request.urlopen(f"{self.url}/emulator/overview", timeout=10) as answer:
            seen = json.load(answer)
        endpoints = [item for item in seen["endpoints"] if item["labels"].get("loraform-fleet") == fleet]
        return {
            "jobs": sorted(
                [job["labels"]["loraform-identity"], job["state"]]
                for job in self.jobs()
                if job["labels"]["loraform-fleet"] == fleet
            ),
            "endpoints": sorted(
                [
                    item["name"].rpartition("/")[2].replace(fleet, "FLEET"),
                    sorted(item.get("trafficSplit", {}).values()),
                    sorted(
                        [one["displayName"], one["dedicatedResources"]["maxReplicaCount"]]
                        for one in item.get("deployedModels", [])
                    ),
                ]
                for item in endpoints
            ),
            "models": sorted(
                [item["displayName"], sorted(item["versionAliases"])]
                for item in seen["models"]
                if item["labels"].get("loraform-fleet") == fleet
            ),
        }

    def forget_calls(self) -> None:
        forget_calls(self.url)


@dataclass(frozen=True)
class Running:
    """A command that was started."""

    process: BaseProcess
    go: Event
    out: Path

    def end(self) -> Ended:
        """Let it go, and wait for its end."""
        self.go.set()
        self.process.join(WITHIN)
        assert self.process.exitcode is not None, f"it hangs: {self.out.read_text()}"
        told = self.out.read_text() if self.out.exists() else ""
        self.out.unlink(missing_ok=True)
        return Ended(self.process.exitcode, told)


@contextmanager
def open_world(root: Path) -> Iterator[World]:
    """An empty repository with its embedded Vertex AI and a trainer who ends every job well."""
    switch = Switch()
    with (
        running_emulator(root / ".loraform/vertex", PROGRAMS, "--jobs-at-once", "1000") as url,
        running_proxy(url, switch) as proxy,
    ):
        yield World(root, url, proxy, switch)


def client_of(url: str) -> storage.Client:
    """Google's client of the buckets of an embedded Vertex AI."""
    return storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


@contextmanager
def training(world: World) -> Iterator[None]:
    """For as long as this lasts every job that runs leaves its record and ends well."""
    stop = threading.Event()
    client = client_of(world.url)

    def train() -> None:
        while not stop.wait(0.05):
            for job in world.jobs():
                if job["state"] == "JOB_STATE_RUNNING":
                    _finish(world, client, job)

    thread = threading.Thread(target=train)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        client.close()


def _finish(world: World, client: storage.Client, job: dict[str, Any]) -> None:
    spec = TrainingSpec.model_validate_json(job["jobSpec"]["workerPoolSpecs"][0]["containerSpec"]["args"][1])
    bucket, _, name = spec.output.record.removeprefix("gs://").partition("/")
    record = RunRecord(
        fleet=spec.fleet,
        experiment=spec.experiment,
        identity=spec.identity,
        attempt=spec.attempt,
        method=spec.method,
        artifact_uri=f"gs://{bucket}/{name.rsplit('/', 2)[0]}/artifacts/{spec.identity}/model",
        artifact_digest="0" * 64,
        base=spec.model.base,
        metrics={"eval_loss": 0.5},
        evaluation=spec.evaluation.identity if spec.evaluation else "",
        counts=Counts(train_rows=3),
    )
    blob = client.bucket(bucket).blob(name)
    if not blob.exists():
        blob.metadata = metadata_of(record)
        blob.upload_from_string(record.model_dump_json(), if_generation_match=0)
    finish_job(world.url, str(job["name"]))


def _command(root: Path, arguments: tuple[str, ...], go: Event, out: Path) -> None:
    os.chdir(root)
    told = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    os.dup2(told, 1)
    os.dup2(told, 2)
    go.wait()
    code = run(list(arguments))
    os._exit(code)
