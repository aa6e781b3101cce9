"""What the service adds to the settings of a bucket when they change, and what of them must not change.

Pure: settings before, settings asked for, and the time -> settings after.
"""

from __future__ import annotations

from collections.abc import Mapping

from reconciler.emulator.gcs.errors import StorageError, invalid
from reconciler.emulator.gcs.records import Settings, timestamp

_PREVENTIONS = ("enforced", "inherited", "unspecified")
_LONGEST_S = {"retentionPolicy": 3_155_760_000, "softDeletePolicy": 90 * 86_400}
_LOCK_DAYS_MICROSECONDS = 90 * 86_400 * 1_000_000


def completed(old: Settings, new: Settings, now: int) -> dict[str, object]:
    """The settings as the service keeps them. Raises 400 for a value that it refuses, 403 for a locked policy."""
    found = dict(new)
    _complete_retention(_map(old, "retentionPolicy"), found, now)
    _complete_period("softDeletePolicy", "retentionDurationSeconds", _map(old, "softDeletePolicy"), found, now)
    _complete_autoclass(_map(old, "autoclass"), found, now)
    _complete_enforcement(_map(old, "encryption"), found, now)
    _complete_access(_map(old, "iamConfiguration"), found, now)
    return found


def locked(old: Settings) -> dict[str, object]:
    """The settings with their retention policy locked for good. Raises 400 without one."""
    policy = _map(old, "retentionPolicy")
    if not policy:
        raise invalid("The bucket has no retention policy that could be locked.")
    return {**old, "retentionPolicy": {**policy, "isLocked": True}}


def seconds(settings: Settings, policy: str, field: str) -> int:
    """The period of a policy as it is kept; 0 without one."""
    return int(str(_map(settings, policy).get(field, 0)))


def _complete_retention(before: Settings, found: dict[str, object], now: int) -> None:
    is_locked = True in (before.get("isLocked"), _map(found, "retentionPolicy").get("isLocked"))
    _complete_period("retentionPolicy", "retentionPeriod", before, found, now)
    after = _map(found, "retentionPolicy")
    if before.get("isLocked") is True and int(str(after.get("retentionPeriod", 0))) < int(
        str(before["retentionPeriod"])
    ):
        raise StorageError(403, "forbidden", "Cannot reduce or remove a locked retention policy.")
    if after:
        found["retentionPolicy"] = {**after, "isLocked": is_locked}


def _complete_period(policy: str, field: str, before: Settings, found: dict[str, object], now: int) -> None:
    """A period of whole seconds, told as a text, in force since it was set."""
    after = _map(found, policy)
    if not after.get(field):
        found.pop(policy, None)
        if str(after.get(field, "")) == "0" and policy == "softDeletePolicy":
            found[policy] = {field: "0"}
        return
    text = str(after[field])
    if not text.isdecimal() or not text.isascii() or len(text) > 12 or int(text) > _LONGEST_S[policy]:
        raise invalid(f"Invalid value for field {policy}.{field}: {after[field]!r}")
    since = before.get("effectiveTime") if before.get(field) == text else None
    found[policy] = {field: text, "effectiveTime": since or timestamp(now)}


def _complete_autoclass(before: Settings, found: dict[str, object], now: int) -> None:
    after = dict(_map(found, "autoclass"))
    if not after:
        return
    if after.get("enabled") is not before.get("enabled"):
        after["toggleTime"] = timestamp(now)
    if after.get("enabled") is True:
        after.setdefault("terminalStorageClass", "NEARLINE")
    if after.get("terminalStorageClass") != before.get("terminalStorageClass"):
        after["terminalStorageClassUpdateTime"] = timestamp(now)
    found["autoclass"] = after


def _complete_enforcement(before: Settings, found: dict[str, object], now: int) -> None:
    """A restriction of kinds of encryption is in force since it was set; what restricts nothing never was."""
    after = dict(_map(found, "encryption"))
    for name, config in after.items():
        if isinstance(config, Mapping) and name.endswith("EnforcementConfig"):
            old = _map(before, name)
            same = old.get("restrictionMode") == config.get("restrictionMode")
            since = old.get("effectiveTime") if same else timestamp(now)
            restricts = config.get("restrictionMode") == "FullyRestricted" or "effectiveTime" in old
            after[name] = {**config, "effectiveTime": since} if restricts and since else dict(config)
    if after:
        found["encryption"] = after


def _complete_access(before: Settings, found: dict[str, object], now: int) -> None:
    after = dict(_map(found, "iamConfiguration"))
    prevention = after.setdefault("publicAccessPrevention", "inherited")
    if prevention not in _PREVENTIONS:
        raise invalid(f"Invalid value for field iamConfiguration.publicAccessPrevention: {prevention!r}")
    asked = _map(after, "uniformBucketLevelAccess") or _map(after, "bucketPolicyOnly")
    uniform: dict[str, object] = {"enabled": asked.get("enabled") is True}
    if uniform["enabled"]:
        old = _map(before, "uniformBucketLevelAccess")
        uniform["lockedTime"] = old.get("lockedTime") or timestamp(now + _LOCK_DAYS_MICROSECONDS)
    found["iamConfiguration"] = {**after, "uniformBucketLevelAccess": uniform, "bucketPolicyOnly": uniform}


def _map(settings: Settings, name: str) -> Settings:
    value = settings.get(name)
    return value if isinstance(value, Mapping) else {}
