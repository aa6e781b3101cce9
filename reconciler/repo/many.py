"""A repository of many manifests: what was read before is remembered, the rest is read by several processes.

Gives the sheets of all manifests that have one; the others are read in the ordinary way by whoever asked, who also
looks at the rules between manifests. Few manifests are quicker read than remembered.
"""

from __future__ import annotations

import gc
import multiprocessing
import os
import sys
import threading
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import NamedTuple

from reconciler.core.resources import Resource
from reconciler.core.target import Target
from reconciler.repo.manifest_files import PROJECT, manifest_bytes
from reconciler.repo.placed import Placed, Recall
from reconciler.repo.sheet_files import context_of, packed, read_shard, shard_of, unpacked, write_shard
from reconciler.repo.sheets import Again, Reader, Sheet, content_of
from schemas.experiment import Experiment

MANY = 200
"""Fewer manifests are read in the ordinary way, all of them."""
WORTH_A_PROCESS = 400
"""Fewer new or edited manifests are read in this process."""
LARGEST = 16_000_000
"""Bytes of a file that a further process would hash: larger ones are hashed once, here."""


class Kept(NamedTuple):
    """A manifest that has a sheet, and its experiment, to be read again when somebody wants more than its name."""

    placed: Placed[Experiment]
    sheet: Sheet


def sheets_of(
    reader: Reader,
    name: str | None,
    paths: Iterable[str],
    folder: Path | None,
    begun: Callable[[], None] = lambda: None,
    many: int = MANY,
) -> dict[str, Kept]:
    """By path, the manifests that have a sheet; none at all where there are fewer than `many`.

    `name` is the target that was asked for, `folder` keeps the sheets (None: nothing does). `begun` is called once
    other processes are at work, if there are any, and this one is about to wait.
    """
    paths = list(paths)
    if len(paths) < many:
        begun()
        return {}
    found = ((path, *manifest_bytes(reader.head.root, path)) for path in paths)
    texts = {path: raw for path, raw, unreadable in found if unreadable is None}
    again = _again(reader, texts)
    project, _ = manifest_bytes(reader.head.root, PROJECT)
    context = context_of(reader.head.root, project, reader.head.chosen, reader.target)
    by_shard: dict[int, dict[str, bytes]] = defaultdict(dict)
    for path, raw in texts.items():
        by_shard[shard_of(path)][path] = raw
    kept: dict[int, dict[str, Sheet]] = {}
    missing: dict[int, dict[str, bytes]] = {}
    for number, own in by_shard.items():
        old = read_shard(folder, number, context, again) if folder else {}
        kept[number] = {path: old[path] for path, raw in own.items() if path in old and _holds(old[path], raw, reader)}
        if len(kept[number]) < len(own):
            missing[number] = {path: raw for path, raw in own.items() if path not in kept[number]}
    for number, payload in _made(reader, name, missing, begun):
        fresh = unpacked(payload, again)
        # What another process could not read is tried here: a large file is hashed once, and then known to all.
        left = {path: raw for path, raw in missing[number].items() if path not in fresh}
        fresh |= unpacked(packed(_sheets(reader, left)), again) if left else {}
        if folder:
            whole = not left and not kept[number]
            write_shard(folder, number, context, payload if whole else packed({**kept[number], **fresh}))
        kept[number] |= fresh
    return {
        path: Kept(_placed(sheet, reader, path, texts[path]), sheet)
        for sheets in kept.values()
        for path, sheet in sheets.items()
    }


def made(root: Path, name: str | None, target: Target, memory: Path | None, texts: Mapping[str, bytes]) -> bytes:
    """The sheets of some manifests, as bytes of `packed`: the work of a further process."""
    with quiet_collector():
        reader = Reader.at(root, name, target, memory, LARGEST)
        return packed(_sheets(reader, texts))


@contextmanager
def quiet_collector() -> Iterator[None]:
    """Without the collector of cycles, which would walk through all that has been read, again and again.

    What has been read by the end is never looked at again either: for a process that ends soon.
    """
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.freeze()
            gc.enable()


def _made(
    reader: Reader, name: str | None, missing: Mapping[int, Mapping[str, bytes]], begun: Callable[[], None]
) -> Iterator[tuple[int, bytes]]:
    """(shard, bytes of `packed`) of what is missing; `begun` is called once all further processes are there."""
    processes = _processors()
    if sum(map(len, missing.values())) < WORTH_A_PROCESS or processes < 2:
        begun()
        yield from ((number, packed({})) for number in missing)
        return
    # A fork has all modules at once, but must not happen while other threads hold locks.
    alone = sys.platform == "linux" and threading.active_count() == 1
    method = multiprocessing.get_context("fork" if alone else "spawn")
    arguments = (reader.head.root, name, reader.target, reader.files.memory)
    with ProcessPoolExecutor(processes, method) as pool:
        futures = {number: pool.submit(made, *arguments, texts) for number, texts in missing.items()}
        begun()
        yield from ((number, future.result()) for number, future in futures.items())


def _sheets(reader: Reader, texts: Mapping[str, bytes]) -> dict[str, Sheet]:
    found = ((path, reader.sheet(path, raw)) for path, raw in texts.items())
    return {path: sheet for path, sheet in found if sheet is not None}


def _placed(sheet: Sheet, reader: Reader, path: str, raw: bytes) -> Placed[Experiment]:
    return Placed(Recall(partial(reader.experiment, path, raw)), sheet.source, raw, 0, sheet.name, sheet.alone)


def _holds(sheet: Sheet, raw: bytes, reader: Reader) -> bool:
    """The file is the same, and so is all that it names."""
    return sheet.content == content_of(raw) and sheet.facts == reader.facts_of(sheet.named)


def _again(reader: Reader, texts: Mapping[str, bytes]) -> Again:
    known: dict[str, tuple[Resource, ...]] = {}

    def again(path: str) -> tuple[Resource, ...]:
        if path not in known:
            known[path] = reader.again(path, texts[path])
        return known[path]

    return again


def _processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
