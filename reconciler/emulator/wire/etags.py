"""Etags: optimistic locks of models and endpoints. An empty one overwrites blindly."""

from __future__ import annotations

import base64
import hashlib

from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import ApiError


def etag(message: Message) -> str:
    """A tag of a resource as it is now; its own `etag` field does not count."""
    copy = type(message)()
    copy.CopyFrom(message)
    copy.ClearField("etag")
    digest = hashlib.sha256(copy.SerializeToString(deterministic=True)).digest()
    return base64.b64encode(digest[:16]).decode()


def check_etag(given: str, current: str, name: str) -> None:
    """Raises ABORTED when a tag was given and the resource has changed since."""
    if given and given != current:
        raise ApiError(
            "ABORTED", f"The etag of {name} does not match: it has changed since it was read. Read it again."
        )
