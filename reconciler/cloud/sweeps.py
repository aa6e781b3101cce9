"""What a finished sweep leaves: the best trial's record becomes the run record of the whole.

The trials write records of their own, beside each other. Which is best is what the service measured. That the run
record is written only where there is none makes it safe to do again.
"""

from __future__ import annotations

import json

from reconciler.backends import sweep_job
from reconciler.cloud.site import Site
from reconciler.cloud.storage import ABSENT
from reconciler.core.errors import Conflict, NotFound
from reconciler.core.resources import LiveResource, Phase, Snapshot
from schemas.run_record import RunRecord, metadata_of


def due(snapshot: Snapshot) -> tuple[LiveResource, ...]:
    """The finished sweeps whose identity has no run record."""
    return tuple(
        live
        for live in snapshot.live
        if live.kind == sweep_job.NAME
        and live.phase is Phase.READY
        and live.outputs.get("best_trial")
        and live.stamp not in snapshot.records
    )


def settle(site: Site, snapshot: Snapshot) -> bool:
    """Write the run records that are due; whether one was written."""
    written = [_settle(site, live) for live in due(snapshot)]
    return any(written)


def _settle(site: Site, live: LiveResource) -> bool:
    prefix = f"gs://{site.target.bucket}/"
    best = str(live.outputs["best_trial"])
    for name in _trial_records(site, live.stamp, best, prefix):
        try:
            content, _ = site.storage.read(name)
            trial = RunRecord.model_validate_json(content)
        except (NotFound, ValueError):
            continue
        whole = name.rsplit("/", 2)[1]
        record = trial.model_copy(update={"identity": whole, "job": live.name, "trial": best})
        written = json.dumps(record.model_dump(mode="json"), sort_keys=True, indent=1).encode() + b"\n"
        try:
            site.storage.write(
                site.target.record_uri(whole).removeprefix(prefix),
                written,
                generation=ABSENT,
                metadata=metadata_of(record),
            )
        except Conflict:
            return False
        return True
    return False


def _trial_records(site: Site, stamp: str, trial: str, prefix: str) -> list[str]:
    """The names of the records of one trial: the job carries only the beginning of the identity."""
    start = f"{site.target.folder}/trials/{stamp}".removeprefix(prefix)
    return [one.name for one in site.storage.list(start) if one.name.endswith(f"/{trial}.json")]
