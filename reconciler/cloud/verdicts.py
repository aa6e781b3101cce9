"""What gates said, and the scores per row that they say it by.

`gates/<experiment>/<run>-<gate text>.json` is written once, before the model version carries the verdict as a label:
whoever comes after a crash finds it and judges nothing again. Its custom metadata is what a snapshot reads.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from concurrent.futures import Executor
from dataclasses import asdict, replace
from functools import partial

from reconciler.cloud.storage import ABSENT, Listed, Storage
from reconciler.core.errors import Conflict, NotFound
from reconciler.core.judging import unjudged
from reconciler.core.resources import Json, Record, Resource, Snapshot
from reconciler.core.target import Target
from reconciler.core.verdict import Key, Scores, Verdict
from reconciler.core.world import Patience, world_of

SCORES = "scores.json"
"""The object with the scores per row, beside the artifact; an evaluation by itself names its own."""
SHOWN_WORDS = 4000
"""Characters of a verdict's words in the metadata, which may have 8 KiB; the content has all of them."""


def folder_of(target: Target) -> str:
    """The prefix of all verdicts of the fleet, as object names."""
    return f"{target.folder.removeprefix(f'gs://{target.bucket}/')}/gates/"


def keep(storage: Storage, target: Target, verdict: Verdict) -> bool:
    """Keep a verdict for good; False when another one was kept in its place since the snapshot."""
    name = f"{folder_of(target)}{verdict.experiment}/{verdict.stamp}-{verdict.gate}.json"
    words = verdict.words if len(verdict.words) <= SHOWN_WORDS else f"{verdict.words[:SHOWN_WORDS]}..."
    metadata = {
        "passed": "true" if verdict.passed else "false",
        "words": words,
        "champion": verdict.champion,
        "eval_digest": verdict.digest,
        "eval_rows": str(verdict.rows),
    }
    said = asdict(replace(verdict, kept=False))
    del said["kept"]
    content = json.dumps(_finite(said), sort_keys=True, indent=1).encode() + b"\n"
    try:
        storage.write(name, content, generation=ABSENT, metadata=metadata)
    except Conflict:
        return False
    return True


def verdicts_in(listing: Iterable[Listed]) -> dict[Key, Verdict]:
    """The verdicts of a listing. Objects without a verdict's metadata are none."""
    found: dict[Key, Verdict] = {}
    for listed in listing:
        *_, experiment, file = listed.name.split("/")
        stamp, _, gate = file.removesuffix(".json").partition("-")
        metadata = listed.metadata
        if not gate or metadata.get("passed") not in ("true", "false"):
            continue
        rows = metadata.get("eval_rows", "")
        verdict = Verdict(
            experiment,
            stamp,
            gate,
            metadata["passed"] == "true",
            metadata.get("words", ""),
            metadata.get("champion", ""),
            metadata.get("eval_digest", ""),
            int(rows) if rows.isdecimal() else 0,
            kept=True,
        )
        found[verdict.key] = verdict
    return found


def with_scores(
    storage: Storage, target: Target, snapshot: Snapshot, desired: Iterable[Resource], pool: Executor
) -> Snapshot:
    """The snapshot with the scores per row of those runs that a gate is about to judge, or to judge by."""
    gated = [resource for resource in desired if resource.gate]
    if not any(bound.confidence for resource in gated if resource.gate for bound in resource.gate.bounds):
        return snapshot
    stamps = sorted(set(unjudged(world_of(desired, snapshot, 0.0, Patience()))))
    known = [snapshot.records[stamp] for stamp in stamps if stamp in snapshot.records]
    read = pool.map(partial(_scores_of, storage, target), known)
    return replace(
        snapshot, scores={record.stamp: scores for record, scores in zip(known, read, strict=True) if scores}
    )


def _scores_of(storage: Storage, target: Target, record: Record) -> Scores | None:
    """The scores beside the artifact of a run; None where there are none, or none that can be read."""
    prefix = f"gs://{target.bucket}/"
    artifact = str(record.outputs.get("artifact_uri", ""))
    uri = str(record.outputs.get("scores_uri") or f"{artifact.rstrip('/')}/{SCORES}")
    if not uri.startswith(prefix):
        return None
    try:
        content, _ = storage.read(uri.removeprefix(prefix))
        found = json.loads(content)
        rows = tuple(int(row) for row in found["rows"])
        metrics = {str(name): tuple(float(item) for item in values) for name, values in found["metrics"].items()}
        digest = str(found["eval_digest"])
    except (NotFound, ValueError, TypeError, KeyError, AttributeError):
        return None
    return Scores(digest, rows, {name: values for name, values in metrics.items() if _whole(values, len(rows))})


def _whole(values: tuple[float, ...], rows: int) -> bool:
    return len(values) == rows and all(map(math.isfinite, values))


def _finite(value: Json) -> Json:
    """The same without what JSON has no number for."""
    if isinstance(value, Mapping):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
