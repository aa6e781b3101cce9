"""`/gcs/BUCKET` for programs on this machine: a folder that shows a bucket, and gives back what programs write there.

`materialise` brings objects into the folder, `collect` turns new and changed files into objects and the objects of
removed files into nothing. Call `materialise` before a program starts (and again to show it what came later), `collect`
every few seconds while it runs, and `collect(final=True)` once it has ended. Both may be called from any thread, twice,
and after a kill at any moment: at worst they do again what is done already.

What a program sees is what a Cloud Storage FUSE mount shows it: whole files, written back when they are closed, last.
It differs in this: objects written by others appear at the next `materialise` only. Files are copies and never hard
links, since a program that appends to a linked file would change the bytes of an object that is immutable. A file that
changed here while its object changed in the bucket is not written back but reported: neither side is lost.
"""

from __future__ import annotations

import fcntl
import json
import mimetypes
import os
import shutil
import signal
import stat
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from reconciler.emulator.gcs.blobs import PIECE, Content
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import StorageError
from reconciler.emulator.gcs.listing import Query
from reconciler.emulator.gcs.records import ANY, Conditions, StoredObject


@dataclass(slots=True)
class Synced:
    """What was done: names of objects. `busy` files are still being written; `refused` are (name, why)."""

    written: list[str] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    busy: list[str] = field(default_factory=list)
    refused: list[tuple[str, str]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Seen:
    """The version of an object that a file shows, and the file's size and change time when it did."""

    generation: int
    size: int
    changed: int


_Ledger = dict[str, _Seen]


def materialise(buckets: Buckets, bucket: str, prefix: str, directory: Path) -> Synced:
    """Show all objects with `prefix` as files below `directory`; `written` and `removed` are files, not objects.

    A file that a program has written or changed since is left alone. Names that no file can have are `refused`.
    404 where the bucket is not there.
    """
    done = Synced()
    with _ledger(directory) as ledger:
        objects = {item.name: item for item in _all(buckets, bucket, prefix)}
        for name, item in objects.items():
            try:
                _show(buckets, item, directory, ledger, done)
            except (OSError, ValueError) as error:
                done.refused.append((name, str(error)))
        for name in [name for name in ledger if name.startswith(prefix) and name not in objects]:
            path = directory / name
            if _look(path) == (ledger[name].size, ledger[name].changed):
                path.unlink()
                done.removed.append(name)
            del ledger[name]
    return done


def collect(buckets: Buckets, bucket: str, directory: Path, final: bool = False) -> Synced:
    """Write new and changed files below `directory` to the bucket, and delete the objects of files that are gone.

    Files that a program has open for writing wait, unless `final` says that no program is left. Without the directory
    nothing happens: a folder that was cleared away deletes no objects.
    """
    done = Synced()
    if not directory.is_dir():
        return done
    with _ledger(directory) as ledger:
        present = dict(_files(directory))
        for name, path in present.items():
            try:
                _write_back(buckets, bucket, name, path, ledger, done, final)
            except FileNotFoundError:
                continue  # gone since it was found: the next round deletes its object
            except (OSError, StorageError, ValueError) as error:
                done.refused.append((name, str(error)))
        for name in sorted(ledger.keys() - present.keys()):
            _delete(buckets, bucket, name, ledger, done)
    return done


def _show(buckets: Buckets, item: StoredObject, directory: Path, ledger: _Ledger, done: Synced) -> None:
    path = _path(directory, item.name)
    if item.name.endswith("/"):
        path.mkdir(parents=True, exist_ok=True)
        return
    known = ledger.get(item.name)
    there = _look(path)
    if known is None and there is not None:
        return  # a program's own, not collected yet
    if known is not None and (there != (known.size, known.changed) or known.generation == item.generation):
        return  # changed or removed by a program and not collected yet; or shown already
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.parent.resolve().is_relative_to(directory.resolve()):
        raise ValueError(f"{path.parent} leads out of {directory}")
    item, source = buckets.open(item.bucket, item.name)
    beside = directory.parent / f".{directory.name}.{uuid.uuid4().hex}"
    try:
        with source, beside.open("xb") as target:
            shutil.copyfileobj(source, target, PIECE)
        size, changed = _size_and_change(os.stat(beside))
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    ledger[item.name] = _Seen(item.generation, size, changed)
    done.written.append(item.name)


def _write_back(
    buckets: Buckets, bucket: str, name: str, path: Path, ledger: _Ledger, done: Synced, final: bool
) -> None:
    known = ledger.get(name)
    before = _size_and_change(os.stat(path))
    if known and before == (known.size, known.changed):
        return
    if not final and _being_written(path):
        done.busy.append(name)
        return
    content = _spooled(buckets, path)
    try:
        if not final and _size_and_change(os.stat(path)) != before:
            done.busy.append(name)
            return
        item = _same(buckets, bucket, name, content)
        if item is None:
            conditions = Conditions(generation_match=known.generation) if known else ANY
            guessed, encoding = mimetypes.guess_type(name)
            media_type = guessed if guessed and not encoding else "application/octet-stream"
            item = buckets.commit(bucket, name, content, {"contentType": media_type}, conditions)
            done.written.append(name)
    finally:
        content.path.unlink(missing_ok=True)
    ledger[name] = _Seen(item.generation, *before)


def _same(buckets: Buckets, bucket: str, name: str, content: Content) -> StoredObject | None:
    """Return the live object if it has these bytes already, as after a kill between a write and its note."""
    try:
        item = buckets.get(bucket, name)
    except StorageError:
        return None
    return item if (item.size, item.crc32c, item.md5) == (content.size, content.crc32c, content.md5) else None


def _delete(buckets: Buckets, bucket: str, name: str, ledger: _Ledger, done: Synced) -> None:
    try:
        buckets.delete(bucket, name, conditions=Conditions(generation_match=ledger[name].generation))
        done.removed.append(name)
    except StorageError as error:
        if error.status == 412:
            done.refused.append((name, "the file was removed, but the object has changed since"))
        elif error.status != 404:
            raise
    del ledger[name]


def _spooled(buckets: Buckets, path: Path) -> Content:
    spool = buckets.blobs.spool()
    try:
        with path.open("rb", buffering=0) as file:
            for piece in iter(partial(file.read, PIECE), b""):
                spool.write(piece)
        return buckets.blobs.finish(spool)
    except BaseException:
        spool.discard()
        raise


def _being_written(path: Path) -> bool:
    """Whether any program has the file open for writing: the kernel grants a read lease only where none has."""
    with path.open("rb") as file:
        try:
            # Should a writer come in this instant, the signal that says so must not be one that ends this process.
            fcntl.fcntl(file, fcntl.F_SETSIG, signal.SIGURG)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_RDLCK)
            fcntl.fcntl(file, fcntl.F_SETLEASE, fcntl.F_UNLCK)
        except BlockingIOError:
            return True
        except (AttributeError, OSError):
            return False  # no leases here: the comparison of size and time after copying has to do
    return False


def _files(directory: Path) -> Iterator[tuple[str, Path]]:
    for folder, _, names in os.walk(directory):
        for name in names:
            path = Path(folder, name)
            if stat.S_ISREG(os.stat(path).st_mode if path.exists() else 0):
                yield path.relative_to(directory).as_posix(), path


def _path(directory: Path, name: str) -> Path:
    parts = name.removesuffix("/").split("/")
    if "\0" in name or any(part in {"", ".", ".."} for part in parts):
        raise ValueError("no file can have this name")
    return directory.joinpath(*parts)


def _look(path: Path) -> tuple[int, int] | None:
    return _size_and_change(os.stat(path)) if path.is_file() else None


def _size_and_change(found: os.stat_result) -> tuple[int, int]:
    return found.st_size, found.st_mtime_ns


def _all(buckets: Buckets, bucket: str, prefix: str) -> Iterator[StoredObject]:
    token = ""
    while True:
        page = buckets.list_objects(bucket, Query(prefix=prefix, token=token))
        yield from page.items
        token = page.token
        if not token:
            return


@contextmanager
def _ledger(directory: Path) -> Iterator[_Ledger]:
    """Lend the notes about a folder to one caller at a time; they lie beside the folder, and go with it."""
    fresh = not directory.is_dir()
    directory.mkdir(parents=True, exist_ok=True)
    path = directory.parent / f".{directory.name}.ledger.json"
    with (directory.parent / f".{directory.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        raw = {} if fresh or not path.exists() else json.loads(path.read_text(encoding="utf-8"))
        ledger = {name: _Seen(*values) for name, values in raw.items()}
        try:
            yield ledger
        finally:
            now = {name: [seen.generation, seen.size, seen.changed] for name, seen in sorted(ledger.items())}
            if now != raw or fresh:
                beside = path.with_suffix(".new")
                beside.write_text(json.dumps(now), encoding="utf-8")
                beside.rename(path)
