"""The live objects of a whole repository, written into the folder of an embedded Vertex AI that is not running.

What apply would leave behind, made by the same hands: the backends' calls, answered by the emulator's services in this
process, and apply's own claims. Nothing is trained and nothing serves; a hundred thousand requests over HTTP are saved.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import groupby
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

from reconciler.backends.registry import KINDS
from reconciler.cli.reading import read_repository
from reconciler.cloud import claims
from reconciler.cloud.clock import Clock
from reconciler.cloud.errors import from_answer
from reconciler.cloud.retry import LOCAL
from reconciler.cloud.storage import Storage
from reconciler.core.calls import Scene
from reconciler.core.changes import Action, Change, Reason
from reconciler.core.graph import ordered
from reconciler.core.resources import Json, Resource, Role
from reconciler.core.target import Target
from reconciler.emulator import deployment_runs, job_runs, jobs
from reconciler.emulator.answer import answer
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.records import Conditions
from reconciler.emulator.settings import HOLD, STUB, Settings
from reconciler.emulator.store import Store
from reconciler.emulator.wire.codec import parse, to_json
from reconciler.emulator.wire.names import project_number
from reconciler.emulator.world import World
from tests.cloud.wishes import record_of

BY = "bench"


def fill(root: Path, state: Path) -> int:
    """Make everything live that the repository at `root` wants on its local target. The number of live objects.

    Vertex AI's objects and run records count; claims do not.
    """
    state.mkdir(parents=True, exist_ok=True)
    repository = read_repository(root, None, must_run=False)
    target, now = repository.target, time.time()
    store = Store(state / "vertex.sqlite")
    buckets = Buckets(state / "storage", lambda: datetime.fromtimestamp(now, UTC), project_number=project_number)
    try:
        buckets.create_bucket(target.bucket, project=target.project)
        programs = {target.images["train"]: HOLD, target.images["serve"]: STUB}
        settings = Settings(state, "http://nowhere", target.project, programs, "mark", jobs_at_once=1_000_000)
        nobody = cast(
            "Any", SimpleNamespace(known=lambda key: False, gone=lambda key: True, give_back=lambda key: True)
        )
        world = World(store, lambda: now, nobody, nobody, settings, nobody)
        storage = Storage(_Client(buckets), target.bucket, Clock(now=lambda: now), LOCAL)
        filler = _Filler(world, storage, target, now)
        everything = sorted(repository.desired, key=lambda resource: resource.address.experiment)
        for _, group in groupby(everything, lambda resource: resource.address.experiment):
            filler.experiment(ordered(group))
        deployment_runs.advance(world)
        return sum(1 for resource in repository.desired if resource.address.role is not Role.DEPLOYMENT) + sum(
            1 for resource in repository.desired if resource.once
        )
    finally:
        buckets.close()
        store.close()


@dataclass(slots=True)
class _Filler:
    world: World
    storage: Storage
    target: Target
    now: float

    def experiment(self, resources: tuple[Resource, ...]) -> None:
        """All that one experiment has, in the order in which it comes to life."""
        outputs: dict[Any, Mapping[str, Json]] = {}
        for resource in resources:
            scene = Scene(self.target.parent, self.target.fleet, {}, outputs)
            change = Change(resource.address, resource.kind, Action.CREATE, Reason.ABSENT, after=resource)
            taken = claims.take(self.storage, self.target, resource, BY, now=self.now)
            for call in KINDS[resource.kind].create(change, scene):
                request = dict(call.request)
                if call.method == "DeployModel":
                    request["traffic_split"] = {"0": 100}
                found = answer(self.world, f"{call.service}.{call.method}", parse(request, f"{call.method}Request"))
                made = to_json(found)
                if "/operations/" in made["name"] and taken is not None:
                    claims.add_operation(self.storage, taken, made["name"])
                outputs[resource.address] = self._outputs(resource, made)

    def _outputs(self, resource: Resource, made: Mapping[str, Any]) -> Mapping[str, Json]:
        """What others refer to; a job is ended, and its run record written, before anybody waits for it."""
        if resource.kind == "custom_job":
            job_runs.finish(self.world, jobs.find(self.world, made["name"]), jobs.SUCCEEDED, "")
            job_runs.advance(self.world)
            record, metadata = record_of(self.target, resource)
            self.storage.write(
                self.target.record_uri(resource.identity).removeprefix(f"gs://{self.target.bucket}/"),
                record,
                metadata=metadata,
            )
            return {"artifact_uri": metadata["artifact_uri"]}
        response = made.get("response", {})
        if resource.kind == "model":
            return {"version_name": f"{response['model']}@{response['modelVersionId']}"}
        return {"name": response.get("name", "")}


@dataclass(slots=True)
class _Client:
    """In the place of Google's storage client, as far as claims need one."""

    buckets: Buckets

    def bucket(self, name: str) -> _Client._Bucket:
        return self._Bucket(self.buckets, name)

    @dataclass(slots=True)
    class _Bucket:
        buckets: Buckets
        name: str

        def blob(self, name: str) -> _Blob:
            return _Blob(self.buckets, self.name, name)


@dataclass(slots=True)
class _Blob:
    buckets: Buckets
    bucket: str
    name: str
    generation: int = 0
    metadata: Mapping[str, str] | None = field(default=None)

    def download_as_bytes(self, **_: Any) -> bytes:
        raise from_answer(404, "", "nobody ever claimed it", self.name)

    def upload_from_string(self, content: bytes, *, if_generation_match: int | None = None, **_: Any) -> None:
        settings = {"metadata": dict(self.metadata)} if self.metadata else {}
        conditions = Conditions(generation_match=if_generation_match)
        try:
            self.generation = self.buckets.put(self.bucket, self.name, content, settings, conditions).generation
        except StorageError as error:
            raise from_answer(error.status, "", error.message, self.name) from None
