"""The accepted commit of a target: which commit scheduled passes read desired at. It moves forward only.

Whether one commit descends from another is git's knowledge and comes in as a function.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict, dataclass

from reconciler.cloud.storage import ABSENT, Storage
from reconciler.core.errors import Conflict, LoraformError, NotFound, Refused
from reconciler.core.target import Target


@dataclass(frozen=True, slots=True)
class Accepted:
    """A commit that somebody accepted the plan of; `at` in seconds since the epoch."""

    commit: str
    plan: str
    who: str
    at: float


def read_accepted(storage: Storage, target: Target) -> Accepted | None:
    """The accepted commit; None before the first. LoraformError when the object is not one of ours."""
    found = _read(storage, target)
    return found[0] if found else None


def accept(storage: Storage, target: Target, new: Accepted, descends: Callable[[str, str], bool]) -> Accepted:
    """Move the accepted commit to `new`, and return what is accepted then.

    `descends(commit, ancestor)` is git's answer. A commit that is already behind the accepted one changes nothing; one
    on another line of history is Refused. Racing writers are settled by the generation: the loser looks again.
    """
    while True:
        found = _read(storage, target)
        if found and new.commit != found[0].commit and not descends(new.commit, found[0].commit):
            if descends(found[0].commit, new.commit):
                return found[0]
            raise Refused(
                f"{new.commit[:12]} does not descend from the accepted commit {found[0].commit[:12]}",
                "Rebase or merge, so that what was accepted stays part of the history.",
            )
        content = json.dumps(asdict(new), sort_keys=True).encode()
        try:
            storage.write(_name(target), content, generation=found[1] if found else ABSENT)
        except Conflict:
            continue
        return new


def _read(storage: Storage, target: Target) -> tuple[Accepted, int] | None:
    try:
        content, generation = storage.read(_name(target))
    except NotFound:
        return None
    try:
        return Accepted(**json.loads(content)), generation
    except (ValueError, TypeError) as error:
        raise LoraformError(
            f"gs://{target.bucket}/{_name(target)} is not an accepted commit: {error}",
            "Somebody wrote it by hand: delete it and apply once with the commit that is live.",
        ) from error


def _name(target: Target) -> str:
    return f"{target.folder.removeprefix(f'gs://{target.bucket}/')}/accepted.json"
