"""The artifacts in the bucket, what holds on to them, and how one goes: record marked first, its objects last.

So a prune that is killed anywhere leaves either an artifact that is whole and on record, or a mark that says what is
left to delete. Nothing outside the fleet's folder is ever deleted.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from reconciler.backends import labels, payloads
from reconciler.cloud.site import Site
from reconciler.cloud.storage import Listed
from reconciler.core.calls import Call
from reconciler.core.errors import Conflict, LoraformError, NotFound
from reconciler.core.resources import RUNS, SHORT, Json, LiveResource, Phase, Role, Snapshot
from reconciler.core.retention import Keep, Stored

VERSION_BOUND = 60.0
"""Seconds to wait for the deletion of one model version."""


@dataclass(frozen=True, slots=True)
class Version:
    """A registered version of a model, and the run (its stamp) that it was made from."""

    name: str
    trained_by: str
    default: bool
    deployed: bool


@dataclass(frozen=True, slots=True)
class Store:
    """What the bucket and the registry hold of finished runs."""

    stored: tuple[Stored, ...]
    versions: Mapping[str, tuple[Version, ...]]
    """By the stamp of the run."""
    elsewhere: frozenset[str]
    """Stamps of runs whose artifact is not in the fleet's folder."""
    locked: frozenset[str]
    """Stamps of runs that a trainer is at, or whose creation was claimed a moment ago."""


def read_store(site: Site, snapshot: Snapshot) -> Store:
    """Everything that a prune is decided from, beside git. Raises `core.errors.CloudError`."""
    target = site.target
    with site.workers() as pool:
        listed = pool.submit(site.storage.list, _name(site, f"{target.folder}/runs/"))
        objects = pool.submit(site.storage.list, _name(site, f"{target.folder}/artifacts/"))
        versions = pool.submit(_versions, site)
    sizes: dict[str, list[int]] = defaultdict(list)
    for item in objects.result():
        sizes[item.name.removeprefix(_name(site, f"{target.folder}/artifacts/")).split("/", 1)[0]].append(item.size)
    stored, elsewhere, locked = [], set[str](), set[str]()
    for item in listed.result():
        identity, _, suffix = item.name.rsplit("/", 1)[-1].rpartition(".")
        if suffix == "lock":
            locked.add(identity[:SHORT])
        elif suffix == "json" and (uri := item.metadata.get("artifact_uri", "")):
            stored.append(_stored(identity, item, sizes[identity], snapshot))
            if not uri.startswith(f"{target.folder}/artifacts/{identity}/"):
                elsewhere.add(identity[:SHORT])
    locked |= _claimed(site, snapshot, {item.stamp: item.written for item in stored})
    return Store(tuple(stored), versions.result(), frozenset(elsewhere), frozenset(locked))


def holders(snapshot: Snapshot, store: Store) -> dict[Keep, frozenset[str]]:
    """What the cloud holds on to: what serves or may, what is being trained, what is protected."""
    serving = {
        str(item.outputs.get("trained_by", "")) for item in snapshot.live if item.address.role is Role.DEPLOYMENT
    }
    deployed = {stamp for stamp, versions in store.versions.items() if any(item.deployed for item in versions)}
    default = {stamp for stamp, versions in store.versions.items() if any(item.default for item in versions)}
    training = {
        item.stamp
        for item in snapshot.live
        if item.address.role in RUNS and item.phase not in (Phase.READY, Phase.FAILED)
    }
    measured = {str(job.outputs.get("trained_by", "")) for job in snapshot.live if job.stamp in training} - {""}
    return {
        Keep.SERVES: frozenset(serving | deployed) - {""},
        Keep.TRAINS: frozenset(training | measured | store.locked),
        Keep.PROTECTED: frozenset(item.address.experiment for item in snapshot.live if _protects(item)),
        Keep.DEFAULT: frozenset(default),
        Keep.ELSEWHERE: store.elsewhere,
    }


def told(site: Site, stored: Stored) -> tuple[str, float]:
    """What a record tells of its run: (the commit that started it or "", how many seconds the training took)."""
    record, _ = _read(site, stored)
    spent = record.get("train_seconds")
    return str(record.get("commit") or ""), stored.seconds or (float(spent) if isinstance(spent, (int, float)) else 0.0)


def prune(site: Site, stored: Stored, store: Store, may_go_on: Callable[[], None]) -> int:
    """Mark the record, delete the model versions of the run, then its objects. Returns how many objects went.

    `may_go_on` raises when nothing may be changed any more. LoraformError when the record changed meanwhile.
    """
    may_go_on()
    if not stored.pruned:
        _mark(site, stored)
    for version in store.versions.get(stored.stamp, ()):
        may_go_on()
        call = Call("ModelService", "DeleteModelVersion", {"name": version.name}, frozenset({"NOT_FOUND"}))
        answer = site.vertex.perform(call)
        if "/operations/" in str(answer.get("name", "")):
            site.vertex.wait(answer, VERSION_BOUND)
    gone = 0
    for item in site.storage.list(_name(site, f"{site.target.folder}/artifacts/{stored.identity}/")):
        may_go_on()
        site.storage.delete(item.name)
        gone += 1
    return gone


def _mark(site: Site, stored: Stored) -> None:
    name = _name(site, site.target.record_uri(stored.identity))
    record, generation = _read(site, stored)
    metadata = next((item.metadata for item in site.storage.list(name) if item.name == name), {})
    marked = json.dumps({**record, "pruned": True}, sort_keys=True, indent=1).encode() + b"\n"
    spent = {"train_seconds": repr(stored.seconds)} if stored.seconds else {}
    try:
        site.storage.write(name, marked, generation=generation, metadata={**metadata, **spent, "pruned": "true"})
    except Conflict as error:
        raise LoraformError(f"{error.message}: it changed meanwhile", "Run the command again.") from error


def _read(site: Site, stored: Stored) -> tuple[Mapping[str, Json], int]:
    """A run record and its generation."""
    uri = site.target.record_uri(stored.identity)
    try:
        content, generation = site.storage.read(_name(site, uri))
        record = json.loads(content)
    except (NotFound, ValueError) as error:
        raise LoraformError(f"{uri} cannot be read as a run record: {error}") from error
    if not isinstance(record, dict):
        raise LoraformError(f"{uri} is no run record: it holds no mapping")
    return record, generation


def _stored(identity: str, record: Listed, sizes: Iterable[int], snapshot: Snapshot) -> Stored:
    sizes = tuple(sizes)
    jobs = [item for item in snapshot.live if item.stamp == identity[:SHORT] and item.phase is Phase.READY]
    spent = [float(seconds) for item in jobs if isinstance(seconds := item.outputs.get("run_seconds"), (int, float))]
    return Stored(
        identity=identity,
        stamp=identity[:SHORT],
        experiment=record.metadata.get("experiment", ""),
        written=record.updated,
        size=sum(sizes),
        objects=len(sizes),
        pruned=record.metadata.get("pruned") == "true",
        seconds=max(spent, default=0.0),
        made_from=_source(record.metadata.get("merged_from", "")),
    )


def _source(uri: str) -> str:
    """The stamp of the run that left the artifact at `uri`; "" for none."""
    _, found, path = uri.partition("/artifacts/")
    return path.partition("/")[0][:SHORT] if found else ""


def _claimed(site: Site, snapshot: Snapshot, done: Mapping[str, float]) -> set[str]:
    """The runs whose creation was claimed a moment ago, and whose record was not written since.

    A mark on a record counts as written: a claim from before it is of the run that the mark is about."""
    young = site.clock.now() - site.patience.claim
    return {
        stamp
        for stamp, claim in snapshot.claims.items()
        if claim.address.role in RUNS and young < claim.at and done.get(stamp, 0.0) < claim.at
    }


def _versions(site: Site) -> dict[str, tuple[Version, ...]]:
    """All versions of all models of the fleet that tell which run they were made from."""
    request = {"parent": site.target.parent, "filter": f"labels.{labels.FLEET}={site.target.fleet}"}
    found: dict[str, list[Version]] = defaultdict(list)
    names = [
        payloads.text(model, "name").split("@", 1)[0]
        for model in site.vertex.list("ModelService", "ListModels", request, "models")
    ]
    with site.workers() as pool:
        for listed in pool.map(lambda name: _versions_of(site, name), names):
            for payload in listed:
                if stamp := labels.labels_of(payload).get(labels.TRAINED_BY):
                    found[stamp].append(_version(payload))
    return {stamp: tuple(items) for stamp, items in found.items()}


def _versions_of(site: Site, name: str) -> tuple[Mapping[str, Json], ...]:
    try:
        return tuple(site.vertex.list("ModelService", "ListModelVersions", {"name": name}, "models"))
    except NotFound:
        return ()


def _version(payload: Mapping[str, Json]) -> Version:
    name = payloads.text(payload, "name").split("@", 1)[0]
    return Version(
        f"{name}@{payloads.text(payload, 'version_id') or '1'}",
        labels.labels_of(payload).get(labels.TRAINED_BY, ""),
        "default" in payloads.texts(payload, "version_aliases"),
        bool(payloads.messages(payload, "deployed_models")),
    )


def _protects(item: LiveResource) -> bool:
    return item.protect and item.address.role not in RUNS


def _name(site: Site, uri: str) -> str:
    return uri.removeprefix(f"gs://{site.target.bucket}/")
