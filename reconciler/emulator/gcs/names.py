"""Which names buckets and objects may have, after Google's published rules; and the numbers of projects."""

from __future__ import annotations

import hashlib
import re

from reconciler.emulator.gcs.errors import invalid, required

_BUCKET = re.compile(r"[a-z0-9][a-z0-9._-]*[a-z0-9]")
_ADDRESS = re.compile(r"\d+\.\d+\.\d+\.\d+")


def check_bucket_name(name: str) -> None:
    """Raise 400 unless `name` may be the name of a new bucket."""
    parts = name.split(".")
    longest = 222 if len(parts) > 1 else 63
    if (
        not _BUCKET.fullmatch(name)
        or not 3 <= len(name) <= longest
        or not all(1 <= len(part) <= 63 for part in parts)
        or _ADDRESS.fullmatch(name)
        or name.startswith("goog")
        or "google" in name
    ):
        raise invalid(f"Invalid bucket name: '{name}'")


def check_object_name(name: str) -> None:
    """Raise 400 unless `name` may be the name of an object: 1 to 1,024 bytes of UTF-8 without line breaks."""
    if not name:
        raise required("Required object name is missing.", "name")
    try:
        size = len(name.encode())
    except UnicodeEncodeError as error:
        raise invalid("The object name is not valid UTF-8.", "name") from error
    if size > 1024:
        raise invalid("The maximum object name length is 1024 bytes.", "name")
    if "\r" in name or "\n" in name or name in {".", ".."} or name.startswith(".well-known/acme-challenge/"):
        raise invalid(f"Invalid object name: {name!r}", "name")


def number_of(project: str) -> str:
    """Return a project's number: itself if it is one, else twelve digits derived from the id."""
    if project.isdigit():
        return project
    return str(10**11 + int.from_bytes(hashlib.sha256(project.encode()).digest()[:6], "big") % (9 * 10**11))
