"""Addresses below an endpoint whose body and answer are the container's own: `/invoke/...` and `chat/completions`.

Google's v1 types know neither; the addresses are those of the API's reference.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from urllib.parse import unquote

from reconciler.emulator.wire.routes import PREFIXES

_ENDPOINT = rf"/(?:{'|'.join(PREFIXES)})/(?P<endpoint>projects/[^/:]+/locations/[^/:]+/endpoints/[^/:]+)"
_INVOKE = re.compile(rf"{_ENDPOINT}(?:/deployedModels/(?P<deployed>[^/:]+))?/invoke(?P<path>/.*)?")
_CHAT = re.compile(rf"{_ENDPOINT}/chat/completions")
INVOKE, CHAT = "PredictionService.Invoke", "PredictionService.ChatCompletions"


@dataclass(frozen=True, slots=True)
class RawRequest:
    """What goes to a container: `path` (as sent, with its query) for `/invoke`, where `deployed` may name the model."""

    endpoint: str
    deployed: str
    path: str
    body: bytes
    content_type: str


@dataclass(frozen=True, slots=True)
class RawMatch:
    """A request's method, the resource in its path, and the rest of the path."""

    method: str
    resource: str
    deployed: str = ""
    path: str = ""

    def request(self, query: str, body: bytes, content_type: str) -> RawRequest:
        """The request, whatever its body is."""
        path = f"{self.path}?{query}" if query and self.path else self.path
        return RawRequest(self.resource, self.deployed, path, body, content_type or "application/json")


def match_raw(verb: str, path: str) -> RawMatch | None:
    """The method that a request with this path, as sent, means; None when it is none of these."""
    if verb != "POST":
        return None
    found = _INVOKE.fullmatch(path)
    if found:
        return RawMatch(INVOKE, unquote(found["endpoint"]), unquote(found["deployed"] or ""), found["path"] or "")
    found = _CHAT.fullmatch(path)
    return RawMatch(CHAT, unquote(found["endpoint"])) if found else None
