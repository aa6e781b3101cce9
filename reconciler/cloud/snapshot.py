"""What is live, in few paged list calls with server-side filters, run in parallel; never one call per experiment.

Single objects are asked for only where a listing cannot tell: other versions of a model than the default one, the
operations of an endpoint that lacks its deployment, the claim behind something that is not as desired.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Executor, Future
from dataclasses import dataclass, replace
from typing import TypeVar

from reconciler.backends import deployment, labels, payloads
from reconciler.backends.deploys import from_operations
from reconciler.backends.registry import KINDS
from reconciler.cloud import claims, verdicts
from reconciler.cloud.adoption import adoptable
from reconciler.cloud.records import record_of
from reconciler.cloud.refusals import refused
from reconciler.cloud.site import EIGHT, Workers
from reconciler.cloud.storage import Listed, Storage
from reconciler.cloud.vertex import Vertex
from reconciler.core.diff import setting_changes
from reconciler.core.errors import NotFound
from reconciler.core.evaluations import with_evaluations
from reconciler.core.identity import deployed_id
from reconciler.core.moves import adopted, adopted_claims, belongs_to, moves_of
from reconciler.core.resources import (
    Address,
    Claim,
    Json,
    LiveResource,
    Record,
    Resource,
    Role,
    Snapshot,
    claim_key,
)
from reconciler.core.target import Target

T = TypeVar("T")
K = TypeVar("K")

LISTS = (
    ("custom_job", "JobService", "ListCustomJobs", "custom_jobs"),
    ("sweep_job", "JobService", "ListHyperparameterTuningJobs", "hyperparameter_tuning_jobs"),
    ("model", "ModelService", "ListModels", "models"),
    ("endpoint", "EndpointService", "ListEndpoints", "endpoints"),
)
"""(kind, service, method, field of the answer). An endpoint's payload holds its deployments as well."""


@dataclass(frozen=True, slots=True)
class Listing:
    """The lists of one look, on their way. None depends on what git wants, so that they need not wait for it."""

    pool: Executor
    kinds: tuple[Future[tuple[LiveResource, ...]], ...]
    runs: Future[tuple[Listed, ...]]
    evaluations: Future[tuple[Listed, ...]]
    claims: Future[tuple[Listed, ...]]


def begin_listing(vertex: Vertex, storage: Storage, target: Target, workers: Workers = EIGHT) -> Listing:
    """Ask for all that is live of the target's fleet. Whoever gets the listing takes a snapshot of it, or closes it."""
    pool = workers()
    return Listing(
        pool,
        tuple(
            pool.submit(_list_kind, vertex, target, region, *row)
            for row in LISTS
            for region in (target.regions if row[0] == "custom_job" else (target.region,))
        ),
        pool.submit(storage.list, _prefix(target, "runs")),
        pool.submit(storage.list, _prefix(target, "evaluations")),
        pool.submit(storage.list, claims.folder_of(target)),
    )


def take_snapshot(
    vertex: Vertex,
    storage: Storage,
    target: Target,
    desired: Iterable[Resource],
    workers: Workers = EIGHT,
    listing: Listing | None = None,
) -> Snapshot:
    """All that is live of the target's fleet, its run records and claims. Raises `core.errors.CloudError`.

    `listing` is one that has begun already; else one begins now.
    """
    listing = listing or begin_listing(vertex, storage, target, workers)
    wanted = {resource.address: resource for resource in desired}
    moves = moves_of(wanted.values())
    with listing.pool as pool:
        gated = any(resource.gate for resource in wanted.values())
        verdict_listing = pool.submit(storage.list, verdicts.folder_of(target)) if gated else None
        live = list(adopted((item for future in listing.kinds for item in future.result()), moves))
        claim_objects = listing.claims.result()
        known = adopted_claims(claims.claims_in(claim_objects), moves)
        asked, barred = adoptable(vertex, live, wanted, pool)
        live += asked
        live += _versions(vertex, target, live, wanted, pool)
        live += _deploys(vertex, live, wanted, known, claim_objects, pool)
        runs = {item.stamp: item for item in filter(None, map(record_of, listing.runs.result()))}
        records = with_evaluations(runs, filter(None, map(record_of, listing.evaluations.result())))
        live = _with_declared(storage, live, wanted, claim_objects, moves, pool, records)
        live += refused(known, wanted, live)
        said = verdicts.verdicts_in(verdict_listing.result()) if verdict_listing else {}
        seen = Snapshot(deployment.linked(tuple(live)), records, known, said, barred=barred)
        return verdicts.with_scores(storage, target, seen, wanted.values(), pool)


def fleet_filter(fleet: str) -> str:
    """The server-side filter for everything that is ours."""
    return f"labels.{labels.FLEET}={fleet}"


def runs_of(vertex: Vertex, target: Target, stamp: str, kind: str = "custom_job") -> tuple[LiveResource, ...]:
    """The jobs of one training identity, as the service lists them right now, in all regions of the target.

    `kind` is the kind of the jobs: a sweep's are another list.
    """
    query = f"{fleet_filter(target.fleet)} AND labels.{labels.IDENTITY}={stamp}"
    service, method, items = next(row[1:] for row in LISTS if row[0] == kind)
    return tuple(
        live
        for region in target.regions
        for payload in vertex.list(service, method, {"parent": target.parent_in(region), "filter": query}, items)
        for live in KINDS[kind].live(payload, target.fleet)
        if live.stamp == stamp
    )


def _list_kind(
    vertex: Vertex, target: Target, region: str, kind: str, service: str, method: str, items: str
) -> tuple[LiveResource, ...]:
    request = {"parent": target.parent_in(region), "filter": fleet_filter(target.fleet)}
    read = KINDS[kind].live
    return tuple(
        live for payload in vertex.list(service, method, request, items) for live in read(payload, target.fleet)
    )


def _versions(
    vertex: Vertex,
    target: Target,
    live: Iterable[LiveResource],
    wanted: Mapping[Address, Resource],
    pool: Executor,
) -> list[LiveResource]:
    """Further versions of the models whose default version is not the desired one, or whose version serves.

    A version belongs to whom its model belongs to, which the default version tells.
    """
    models = [item for item in live if item.kind == "model"]
    owners = {item.name.split("@", 1)[0]: item.address for item in models}
    shown = {item.name for item in models}
    have = {(item.address, item.stamp) for item in models}
    keys = {_version_key(item.name) for item in models}
    serving = {
        payloads.last(str(item.outputs.get("model", "")))
        for item in live
        if item.kind == deployment.NAME and _version_key(str(item.outputs.get("model", ""))) not in keys
    }
    incomplete = sorted(
        {
            item.name.split("@", 1)[0]
            for item in models
            if payloads.last(item.name) in serving
            or ((resource := wanted.get(item.address)) and (item.address, resource.stamp) not in have)
        }
    )

    def versions(name: str) -> list[LiveResource]:
        try:
            listed = list(vertex.list("ModelService", "ListModelVersions", {"name": name}, "models"))
        except NotFound:
            return []
        return [
            belongs_to(found, owners[name])
            for payload in listed
            for found in KINDS["model"].live(payload, target.fleet)
        ]

    return [item for found in pool.map(versions, incomplete) for item in found if item.name not in shown]


def _deploys(
    vertex: Vertex,
    live: Iterable[LiveResource],
    wanted: Mapping[Address, Resource],
    known: Mapping[str, Claim],
    claim_objects: Iterable[Listed],
    pool: Executor,
) -> list[LiveResource]:
    """Deploys in flight or failed, on the endpoints that lack their desired deployment and for which one was tried."""
    live = tuple(live)
    have = {(item.address, item.stamp) for item in live}
    tried = {claim.address for claim in known.values()}
    lacking = {
        address.experiment
        for address, resource in wanted.items()
        if address.role is Role.DEPLOYMENT and address in tried and (address, resource.stamp) not in have
    }
    endpoints = [item for item in live if item.kind == "endpoint" and item.address.experiment in lacking]
    if not endpoints:
        return []
    claim_objects = tuple(claim_objects)
    started_for, past = claims.operations_in(claim_objects), claims.past_in(claim_objects)

    def deploys(endpoint: LiveResource) -> list[LiveResource]:
        try:
            operations = vertex.operations(endpoint.name)
        except NotFound:
            return []
        current = tuple(item for item in operations if item.get("name") not in past)
        found = from_operations(endpoint, current, known, started_for)
        return [_with_id(item, wanted) for item in found if (item.address, item.stamp) not in have]

    return [item for found in pool.map(deploys, endpoints) for item in found]


def _with_id(item: LiveResource, wanted: Mapping[Address, Resource]) -> LiveResource:
    """A deploy that is not on its endpoint, with the id that its servers' log lines carry, when git wants it."""
    resource = wanted.get(item.address)
    if resource is None or resource.stamp != item.stamp:
        return item
    number = deployed_id(payloads.last(str(item.outputs["endpoint"])), resource.identity)
    return replace(item, outputs={**item.outputs, "deployed_model_id": number})


def _with_declared(
    storage: Storage,
    live: Iterable[LiveResource],
    wanted: Mapping[Address, Resource],
    claim_objects: Iterable[Listed],
    moves: Mapping[str, str],
    pool: Executor,
    records: Mapping[str, Record],
) -> list[LiveResource]:
    """Attach the declared fields to what differs from desired, and to the newest predecessor of what is missing.

    What an evaluation measured before is said by its training, whose job did it.
    """
    at: dict[Address, list[LiveResource]] = defaultdict(list)
    for item in live:
        at[item.address].append(item)
    puzzling = {
        (address, item.stamp)
        for address, resource in wanted.items()
        if address in at
        for item in _unexplained(resource, at[address])
    }
    trained = {
        (needed, wanted[needed].stamp)
        for address, resource in wanted.items()
        if address.role is Role.EVALUATION and resource.stamp not in records
        for needed in resource.depends_on
        if needed in wanted and wanted[needed].stamp in records
    }
    if not puzzling and not trained:
        return [item for items in at.values() for item in items]
    objects = _by_key(claim_objects, moves)
    asked = {item for item in puzzling if claim_key(item[1], item[0]) in objects}
    asked |= {item for item in trained if item[1] in objects}
    keys = sorted({claim_key(stamp, address) for address, stamp in asked})
    read: Callable[[str], Mapping[str, Json]] = lambda key: claims.declared_in(storage, objects[key])  # noqa: E731
    declared = dict(zip(keys, pool.map(read, keys), strict=True))
    return [
        replace(item, declared=declared[claim_key(item.stamp, item.address)])
        if (item.address, item.stamp) in asked
        else item
        for items in at.values()
        for item in items
    ]


def _unexplained(resource: Resource, live: list[LiveResource]) -> list[LiveResource]:
    """What a plan has to tell about, of all that lives at an address."""
    same = [item for item in live if item.stamp == resource.stamp]
    if same:
        return [item for item in same if setting_changes(resource, item)]
    return [max(live, key=lambda item: (item.created, item.name))]


def _by_key(claim_objects: Iterable[Listed], moves: Mapping[str, str]) -> dict[str, Listed]:
    """The objects of claims by the key that the claim has where its experiment is now."""
    objects = tuple(claim_objects)
    if not moves:
        return {key: listed for listed in objects for key in claims.claims_in([listed])}
    moved = {key: listed for listed in objects for key in adopted_claims(claims.claims_in([listed]), moves)}
    return {**moved, **{key: listed for listed in objects for key in claims.claims_in([listed]) if key in moved}}


def _version_key(model: str) -> str:
    return model.rsplit("/", 1)[-1]


def _prefix(target: Target, folder: str) -> str:
    return f"{target.folder.removeprefix(f'gs://{target.bucket}/')}/{folder}/"
