"""What every deployment was given of the traffic, and when: `served/<stamp>.json`, one small object each.

It is history and nothing else: no plan reads it, so a lost entry costs a line of `loraform history` and no more. An
entry is written before the call that moves the traffic, as a promise that a crash can leave unkept for one pass.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping

from reconciler.cloud.site import Site
from reconciler.cloud.storage import ABSENT
from reconciler.core.calls import Call
from reconciler.core.errors import CloudError, NotFound
from reconciler.core.lineage import Share
from reconciler.core.resources import LiveResource, Role

KEPT = 20
"""The newest shares of a deployment that are remembered; they have to fit into an object's metadata."""


def note_split(site: Site, calls: Iterable[Call], live: Iterable[LiveResource], now: float) -> None:
    """Note what the calls that move traffic give to deployments of ours. `now` is in seconds since the epoch."""
    for call in calls:
        endpoint = call.request.get("endpoint")
        split = endpoint.get("traffic_split") if isinstance(endpoint, Mapping) else None
        if not isinstance(endpoint, Mapping) or not isinstance(split, Mapping):
            continue
        ours = {item.name: item for item in live if item.address.role is Role.DEPLOYMENT}
        for name, share in split.items():
            known = ours.get(f"{endpoint.get('name')}#{name}")
            if known is not None and isinstance(share, int):
                note(site, known.stamp, share, now)


def note(site: Site, stamp: str, percent: int, now: float) -> None:
    """Note that a deployment gets `percent` of the traffic from `now` on; the same share again is no news."""
    name = _name(site, stamp)
    generation = ABSENT
    shares: tuple[Share, ...] = ()
    try:
        content, generation = site.storage.read(name)
        shares = _parse(content.decode(errors="replace"))
    except NotFound:
        if not percent:
            return  # it never had any
    if shares and shares[-1].percent == percent:
        return
    kept = (*shares, Share(float(int(now)), percent))[-KEPT:]
    text = json.dumps([[share.at, share.percent] for share in kept], separators=(",", ":"))
    try:
        site.storage.write(name, text.encode(), generation=generation, metadata={"shares": text})
    except CloudError:
        return  # traffic is not kept waiting for its history


def served(site: Site) -> Mapping[str, tuple[Share, ...]]:
    """The shares of all deployments that ever had any, oldest first, by stamp; one paged listing."""
    listed = site.storage.list(_name(site, "").removesuffix(".json"))
    found = {item.name.rsplit("/", 1)[-1].removesuffix(".json"): item.metadata.get("shares", "") for item in listed}
    return {stamp: _parse(text) for stamp, text in found.items()}


def _name(site: Site, stamp: str) -> str:
    return site.target.served_uri(stamp).removeprefix(f"gs://{site.target.bucket}/")


def _parse(text: str) -> tuple[Share, ...]:
    try:
        return tuple(Share(float(at), int(percent)) for at, percent in json.loads(text))
    except (ValueError, TypeError):
        return ()
