"""Claims: who is about to create the object of an identity, written with generation preconditions before the call.

`claims/<identity>.json` for a run, which equal experiments share, `claims/<identity>-<experiment>.json` for all else.
The custom metadata is what a snapshot reads from one listing; the content also keeps the declared manifest fields, for
explanations. Whether a young claim is waited for is the planner's decision, made here
once more at the last moment.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from reconciler.backends.labels import ROLES
from reconciler.cloud.storage import ABSENT, Listed, Storage
from reconciler.core.errors import CloudError, Conflict, NotFound
from reconciler.core.resources import (
    SHORT,
    Address,
    Cause,
    Claim,
    Failure,
    Json,
    LiveResource,
    Refusal,
    Resource,
    claim_key,
)
from reconciler.core.target import Target

CLOUD_TTL = 900.0
"""Seconds. Lists may be ten minutes old; the rest is for the way from the claim to the call that it is for."""
LOCAL_TTL = 15.0
KEPT_REFUSALS = 32
"""How many creates without a result a claim remembers: more than a ladder has tries."""
KEPT_WORDS = 300
"""Characters of the message of the last one; the others keep their causes only."""
KEPT_OPERATIONS = 8
"""How many long-running operations of one attempt key a claim remembers."""


@dataclass(frozen=True, slots=True)
class Taken:
    """A claim that is ours, as last written; `generation` guards the next write."""

    name: str
    generation: int
    claim: Claim
    operations: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    """Operations of earlier attempt keys: they say nothing about this one."""
    declared: Mapping[str, Json] | None = None
    refusals: tuple[Refusal, ...] = ()
    """Creates of which nothing came, oldest first: of a thing under the same attempt key, of a run under any."""
    before: Claim | None = None
    """The claim that this one replaced: of an earlier try, or a lapsed one."""


def ttl_of(target: Target) -> float:
    """For how many seconds a claim without a visible object keeps others from creating it."""
    return LOCAL_TTL if target.local else CLOUD_TTL


def folder_of(target: Target) -> str:
    """The prefix of all claims of the fleet, as object names."""
    return _object(target, target.claim_uri("")).removesuffix(".json")


def take(
    storage: Storage, target: Target, resource: Resource, by: str, *, now: float, seen: float = 0.0
) -> Taken | None:
    """Claim the identity of `resource` for `by`; None when another's young claim or a lost race forbids the create.

    Where a second create collides by its name a young claim is no obstacle: the API itself lets only one through.
    `seen` is when the newest known object of this identity was created: a claim older than that has done its work.
    """
    name = _object(target, target.claim_uri(resource.claim_name))
    operations: tuple[str, ...] = ()
    past: tuple[str, ...] = ()
    refusals: tuple[Refusal, ...] = ()
    generation = ABSENT
    before: Claim | None = None
    try:
        content, generation = storage.read(name)
        before, known = _parse(content, resource)
        young = now < before.at + ttl_of(target) and before.at > seen
        if young and before.by != by and not resource.collides:
            return None
        if before.attempt_key == resource.attempt_key:
            operations, past, refusals = known.operations, known.past, known.refusals
        else:
            past = (*known.past, *known.operations)[-KEPT_OPERATIONS:]
            refusals = known.refusals if resource.once else ()
    except NotFound:
        pass  # the usual case: nobody ever claimed it
    # Whole seconds, rounded down: the object that is created next is never older than its claim.
    claim = Claim(resource.stamp, resource.address, float(math.floor(now)), by, resource.attempt_key)
    declared = {path: field.value for path, field in resource.fields.items()}
    try:
        return _write(storage, Taken(name, generation, claim, operations, past, declared, refusals, before))
    except Conflict:
        return None


def add_operation(storage: Storage, taken: Taken, operation: str) -> Taken:
    """Note the long-running operation that the create started, so that its failure can be told from others'."""
    operations = (*taken.operations, operation)[-KEPT_OPERATIONS:]
    return _write(storage, replace(taken, operations=operations))


def declare(storage: Storage, target: Target, resource: Resource, by: str, *, now: float, adopted: str = "") -> None:
    """With an update in place: the fields that are now declared for this identity. Somebody else's newer word wins.

    `adopted` is the name of what this update adopts: for as long as a claim is young, nobody makes another one.
    """
    name = _object(target, target.claim_uri(resource.claim_name))
    declared = {path: field.value for path, field in resource.fields.items()}
    try:
        content, generation = storage.read(name)
        _, known = _parse(content, resource)
        taken = replace(known, name=name, generation=generation, declared=declared)
    except NotFound:
        claim = Claim(resource.stamp, resource.address, float(math.floor(now)), by, resource.attempt_key)
        taken = Taken(name, ABSENT, claim, declared=declared)
    if adopted:
        taken = replace(taken, claim=replace(taken.claim, at=float(math.floor(now)), by=by, object=adopted))
    try:
        _write(storage, taken)
    except Conflict:
        return


def release(storage: Storage, taken: Taken) -> None:
    """Take a claim back after a create that surely had no effect, so that the next pass need not wait for it."""
    try:
        if taken.before is None:
            storage.delete(taken.name, taken.generation)
        else:
            _write(storage, replace(taken, claim=taken.before))
    except CloudError:
        return  # it lapses by itself


def refuse(storage: Storage, taken: Taken, refusal: Refusal) -> None:
    """Nothing came of the create, and the next one has to know: the claim stays, and keeps nobody waiting."""
    told = replace(refusal, attempt_key=taken.claim.attempt_key)
    refusals = (*taken.refusals, told)[-KEPT_REFUSALS:]
    try:
        _write(storage, replace(taken, refusals=refusals))
    except CloudError:
        return  # it is tried again once the claim has lapsed


def refuse_later(storage: Storage, target: Target, resource: Resource, refusal: Refusal) -> None:
    """The same for an operation that failed after the create had been answered."""
    name = _object(target, target.claim_uri(resource.claim_name))
    try:
        content, generation = storage.read(name)
    except NotFound:
        return
    claim, known = _parse(content, resource)
    if claim.attempt_key == resource.attempt_key and claim.address == resource.address:
        refuse(storage, replace(known, name=name, generation=generation), refusal)


def drop(storage: Storage, target: Target, gone: LiveResource | Resource) -> None:
    """Delete the claim of what is removed because git went elsewhere; a revert makes it again."""
    key = claim_key(gone.stamp, gone.address)
    for listed in storage.list(folder_of(target) + gone.stamp):
        if key in claims_in([listed]):
            storage.delete(listed.name)


def let_go(storage: Storage, target: Target, run: LiveResource, by: str, *, now: float) -> None:
    """A run is cancelled because git went elsewhere: let a revert start it again, and not hold it as cancelled.

    On the embedded Vertex AI at once; elsewhere the identity is claimed anew, younger than the job, so that nobody
    starts a second one before every listing shows that this one has ended.
    """
    if target.local:
        drop(storage, target, run)
        return
    for listed in storage.list(folder_of(target) + run.stamp):
        known = claims_in([listed]).get(run.stamp)
        if known is None:
            continue
        at = float(max(math.floor(now), math.floor(run.created) + 1))
        operations, past = operations_in([listed]), past_in([listed])
        claim = replace(known, at=at, by=by)
        declared = declared_in(storage, listed)
        try:
            _write(storage, Taken(listed.name, listed.generation, claim, tuple(operations), tuple(past), declared))
        except Conflict:
            continue  # somebody claims it at this moment: as young as ours would be


def claims_in(listing: Iterable[Listed]) -> dict[str, Claim]:
    """The claims of a listing by their key. Objects without a claim's metadata are not claims."""
    found: dict[str, Claim] = {}
    for listed in listing:
        address = _address(listed.metadata.get("address", ""))
        stamp = listed.name.rsplit("/", 1)[-1][:SHORT]
        if address is not None:
            claim = Claim(
                stamp,
                address,
                _seconds(listed.metadata.get("at", "")) or listed.updated,
                listed.metadata.get("by", ""),
                listed.metadata.get("attempt_key", ""),
                listed.generation,
                refusals_of(listed.metadata.get("refusals", "")),
                listed.metadata.get("object", ""),
            )
            found[claim.key] = claim
    return found


def operations_in(listing: Iterable[Listed]) -> dict[str, str]:
    """Operation name -> stamp, for all operations that the claims of a listing remember."""
    return {
        operation: listed.name.rsplit("/", 1)[-1][:SHORT]
        for listed in listing
        for operation in listed.metadata.get("operations", "").split()
    }


def past_in(listing: Iterable[Listed]) -> frozenset[str]:
    """The names of operations that belong to earlier attempt keys."""
    return frozenset(name for listed in listing for name in listed.metadata.get("past", "").split())


def declared_in(storage: Storage, listed: Listed) -> Mapping[str, Json]:
    """The manifest fields that a claim keeps; empty when it has gone meanwhile or keeps none."""
    try:
        content, _ = storage.read(listed.name)
        declared = json.loads(content).get("declared")
    except (NotFound, ValueError, AttributeError):
        return {}
    return declared if isinstance(declared, dict) else {}


def _write(storage: Storage, taken: Taken) -> Taken:
    claim = taken.claim
    metadata = {
        "stamp": claim.stamp,
        "address": str(claim.address),
        "attempt_key": claim.attempt_key,
        "at": repr(claim.at),
        "by": claim.by,
        "operations": " ".join(taken.operations),
        "past": " ".join(taken.past),
    }
    if claim.object:
        metadata["object"] = claim.object
    if taken.refusals:
        metadata["refusals"] = _refusals_text(taken.refusals)
    content = json.dumps({**metadata, "declared": taken.declared or {}}, sort_keys=True).encode()
    generation = storage.write(taken.name, content, generation=taken.generation, metadata=metadata)
    return replace(taken, generation=generation, claim=replace(claim, generation=generation))


def _parse(content: bytes, resource: Resource) -> tuple[Claim, Taken]:
    """A claim as it was written; one that cannot be read counts as one of nobody, long ago."""
    try:
        fields = json.loads(content)
        claim = Claim(
            resource.stamp,
            _address(fields["address"]) or resource.address,
            float(fields["at"]),
            str(fields["by"]),
            str(fields.get("attempt_key", "")),
            object=str(fields.get("object", "")),
        )
        operations = tuple(str(fields.get("operations", "")).split())
        past = tuple(str(fields.get("past", "")).split())
        refusals = refusals_of(str(fields.get("refusals", "")))
        return claim, Taken("", ABSENT, claim, operations, past, fields.get("declared"), refusals)
    except (ValueError, KeyError, TypeError, AttributeError):
        claim = Claim(resource.stamp, resource.address, 0.0, "")
        return claim, Taken("", ABSENT, claim)


def _refusals_text(refusals: tuple[Refusal, ...]) -> str:
    """Compact: all metadata of an object has 8 KiB."""
    last = len(refusals) - 1
    rows = [
        [
            round(item.at, 3),
            item.rung,
            item.failure.cause,
            item.failure.message[:KEPT_WORDS] if number == last else "",
            item.attempt_key,
        ]
        for number, item in enumerate(refusals)
    ]
    return json.dumps(rows, separators=(",", ":"))


def refusals_of(text: str) -> tuple[Refusal, ...]:
    """What `_refusals_text` wrote; nothing where somebody wrote something else."""
    if not text:
        return ()
    try:
        return tuple(
            Refusal(float(at), Failure(Cause(cause), str(message or cause)), int(rung), str(key))
            for at, rung, cause, message, key in json.loads(text)
        )
    except (ValueError, TypeError):
        return ()


def _address(text: str) -> Address | None:
    experiment, _, role = text.partition("/")
    return Address(experiment, ROLES[role]) if role in ROLES else None


def _seconds(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        return 0.0


def _object(target: Target, uri: str) -> str:
    return uri.removeprefix(f"gs://{target.bucket}/")
