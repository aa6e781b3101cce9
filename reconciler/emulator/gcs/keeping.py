"""What keeps an object from being deleted, overwritten or changed: holds, its own retention, its bucket's.

Decides only whether that is so now; raises 403, as Google does, in words that say until when.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from reconciler.emulator.gcs.errors import StorageError, invalid
from reconciler.emulator.gcs.records import Bucket, Settings, StoredObject, microseconds, timestamp

_HOLDS = (("temporaryHold", "Temporary hold"), ("eventBasedHold", "Event-Based hold"))
MODES = ("Locked", "Unlocked")


def check_removable(item: StoredObject, now: int) -> None:
    """Raise 403 where a version must neither go nor be overwritten."""
    for hold, words in _HOLDS:
        if item.settings.get(hold) is True:
            raise _kept(f"{_named(item)} is under active {words}", "hold is removed")
    until = max(kept_until(item), _own(item.settings)[1])
    if until > now:
        raise StorageError(
            403,
            "retentionPolicyNotMet",
            f"{_named(item)} is subject to bucket's retention policy or object retention and cannot be deleted or "
            f"overwritten until {timestamp(until)}",
        )


def kept_until(item: StoredObject) -> int:
    """When the bucket's retention policy lets an object go, in microseconds since 1970; 0 where it does not hold."""
    return item.created + item.retention_s * 1_000_000 if item.retention_s else 0


def check_retention(bucket: Bucket, settings: Settings) -> None:
    """Raise 400 for a retention that cannot be read, or in a bucket that was made without."""
    retention = settings.get("retention")
    if not isinstance(retention, Mapping) or not retention:
        return
    if "objectRetention" not in bucket.settings:
        raise invalid(f"The bucket {bucket.name} was not created with object retention enabled.")
    if retention.get("mode") not in MODES or not _own(settings)[1]:
        raise invalid("A retention needs a mode, Locked or Unlocked, and a retainUntilTime.")


def check_change(old: Settings, new: Settings, override: bool) -> None:
    """Raise 403 for a retention that is lifted or shortened although it is locked, or without saying so."""
    mode, until = _own(old)
    later_mode, later = _own(new)
    weaker = later < until or (mode == "Locked" and later_mode != "Locked")
    if until and weaker and (mode == "Locked" or not override):
        words = "is locked" if mode == "Locked" else "needs overrideUnlockedRetention to be lifted or shortened"
        raise StorageError(403, "forbidden", f"The object's retention {words}.")


def _own(settings: Settings) -> tuple[str, int]:
    """The mode and the end of an object's own retention."""
    retention = settings.get("retention")
    if not isinstance(retention, Mapping):
        return "", 0
    try:
        moment = datetime.fromisoformat(str(retention.get("retainUntilTime", "")))
        return str(retention.get("mode", "")), microseconds(moment)
    except (ValueError, TypeError, OverflowError):
        return str(retention.get("mode", "")), 0


def _named(item: StoredObject) -> str:
    return f"Object '{item.bucket}/{item.name}'"


def _kept(what: str, until: str) -> StorageError:
    return StorageError(403, "forbidden", f"{what} and cannot be deleted, overwritten or archived until {until}.")
