"""Routes of two services whose clients are not installed: Secret Manager and Cloud Logging. Plain JSON in and out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qsl, unquote

from reconciler.emulator.wire.codec import camel, parse_text
from reconciler.emulator.wire.errors import Json

_PROJECT = r"projects/[^/:]+(?:/locations/[^/:]+)?"
_SECRET = rf"{_PROJECT}/secrets/[^/:]+"
# verb, path, method, body field ("*": the body is the request)
_ROUTES = (
    ("POST", rf"/v1/(?P<parent>{_PROJECT})/secrets", "SecretManagerService.CreateSecret", "secret"),
    ("GET", rf"/v1/(?P<name>{_SECRET})", "SecretManagerService.GetSecret", ""),
    ("DELETE", rf"/v1/(?P<name>{_SECRET})", "SecretManagerService.DeleteSecret", ""),
    ("POST", rf"/v1/(?P<parent>{_SECRET}):addVersion", "SecretManagerService.AddSecretVersion", "*"),
    ("GET", rf"/v1/(?P<name>{_SECRET}/versions/[^/:]+):access", "SecretManagerService.AccessSecretVersion", ""),
    ("POST", r"/v2/entries:list", "LoggingServiceV2.ListLogEntries", "*"),
)


@dataclass(frozen=True, slots=True)
class PlainMatch:
    """A request's method, the resource in its path, and what the path says."""

    method: str
    resource: str
    path: Mapping[str, str]
    field: str

    def request(self, query: str, body: bytes) -> Json:
        """The request as JSON in camelCase. Raises `ApiError` INVALID_ARGUMENT."""
        given = parse_text(body) if self.field else {}
        request = {camel(key): value for key, value in given.items()} if self.field == "*" else {}
        if self.field not in ("", "*"):
            request[self.field] = given
        request |= {camel(key): value for key, value in parse_qsl(query) if not key.startswith("$")}
        return {**request, **self.path}


def match_plain(verb: str, path: str) -> PlainMatch | None:
    """The method of one of these services; None for any other request."""
    for route_verb, pattern, method, field in _ROUTES:
        found = re.fullmatch(pattern, unquote(path)) if verb == route_verb else None
        if found:
            return PlainMatch(method, next(iter(found.groups()), path), found.groupdict(), field)
    return None
