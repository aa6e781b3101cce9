"""Routes of two services whose clients are not installed: Secret Manager and Cloud Logging. Plain JSON in and out."""

from __future__ import annotations

import re
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


def match_plain(verb: str, path: str, query: str, body: bytes) -> tuple[str, str, Json] | None:
    """(method, resource, request) of a request to one of these services; None for any other."""
    for route_verb, pattern, method, field in _ROUTES:
        found = re.fullmatch(pattern, unquote(path)) if verb == route_verb else None
        if found:
            given = parse_text(body) if field else {}
            request = {camel(key): value for key, value in given.items()} if field == "*" else {}
            if field not in ("", "*"):
                request[field] = given
            request |= {camel(key): value for key, value in parse_qsl(query) if not key.startswith("$")}
            return method, next(iter(found.groups()), path), request | found.groupdict()
    return None
