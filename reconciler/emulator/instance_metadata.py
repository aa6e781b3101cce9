"""The metadata server of Compute Engine, where programs of jobs and of endpoints find their default credentials.

Google's libraries are led here by `GCE_METADATA_HOST`. The token is the e-mail address of the project's default service
account: a name for the audit log, and worth nothing anywhere else. There are no identity tokens.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from urllib.parse import parse_qs, urlsplit

from reconciler.emulator.settings import Settings
from reconciler.emulator.wire.names import project_number

ROOT = "/computeMetadata/"
HEADERS = [(b"metadata-flavor", b"Google"), (b"server", b"Metadata Server for VM")]
EXPIRES_IN_S = 3599
_FLAVOR = (b"metadata-flavor", b"google")
_SCOPES = ("https://www.googleapis.com/auth/cloud-platform", "https://www.googleapis.com/auth/userinfo.email")


def asks_metadata(path: str, headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """Whether a request is for the metadata server: by its path, or at the root by the header that they all have."""
    return path.startswith(ROOT) or (path == "/" and _flavored(headers))


def variables(settings: Settings) -> Mapping[str, str]:
    """What makes Google's libraries look for the metadata server here, and believe that it is there."""
    place = urlsplit(settings.url).netloc
    return {"GCE_METADATA_HOST": place, "GCE_METADATA_IP": place, "METADATA_SERVER_DETECTION": "assume-present"}


def service_account(settings: Settings) -> str:
    """The default service account of the project of what is started."""
    return f"{project_number(settings.project)}-compute@developer.gserviceaccount.com"


def metadata(
    settings: Settings, path: str, query: str, headers: Iterable[tuple[bytes, bytes]]
) -> tuple[int, str, bytes]:
    """(HTTP code, content type, body) of one request, as the real server words them."""
    if not _flavored(headers):
        return 403, "text/html", b"Missing Metadata-Flavor:Google header."
    if path == "/":
        return 200, "application/text", b"computeMetadata/"
    place = path.removeprefix(ROOT).removeprefix("v1").strip("/")
    tree = _tree(settings)
    whole = parse_qs(query).get("recursive", [""])[0].lower() == "true"
    if whole:
        found = {name.removeprefix(place).strip("/"): value for name, value in tree.items() if _under(name, place)}
        if found:
            return 200, "application/json", json.dumps(_nested(found)).encode()
    elif place in tree:
        value = tree[place]
        if isinstance(value, dict):
            return 200, "application/json", json.dumps(value).encode()
        return 200, "application/text", ("\n".join(value) if isinstance(value, tuple) else value).encode()
    else:
        below = {name.removeprefix(place).strip("/").partition("/") for name in tree if _under(name, place)}
        if below:
            return 200, "application/text", "\n".join(sorted({name + slash for name, slash, _ in below})).encode()
    return 404, "text/html", f"The metadata server of the embedded Vertex AI has no {path}.".encode()


def _tree(settings: Settings) -> dict[str, str | tuple[str, ...] | dict[str, str | int]]:
    """Every entry by its path; a token is JSON, all else text."""
    email = service_account(settings)
    token: dict[str, str | int] = {"access_token": email, "expires_in": EXPIRES_IN_S, "token_type": "Bearer"}
    found: dict[str, str | tuple[str, ...] | dict[str, str | int]] = {
        "project/project-id": settings.project,
        "project/numeric-project-id": project_number(settings.project),
        "universe/universe-domain": "googleapis.com",
    }
    for name in ("default", email):
        place = f"instance/service-accounts/{name}"
        found |= {f"{place}/aliases": ("default",), f"{place}/email": email, f"{place}/scopes": _SCOPES}
        found[f"{place}/token"] = token
    return found


def _under(name: str, place: str) -> bool:
    return not place or name.startswith(f"{place}/")


def _nested(flat: Mapping[str, object]) -> dict[str, object]:
    """`{"a/b": 1}` -> `{"a": {"b": 1}}`, in camelCase as there; what is asked for as a whole tells no token."""
    found: dict[str, object] = {}
    for name, value in flat.items():
        *folders, leaf = name.split("/")
        if leaf == "token":
            continue
        into = found
        for folder in folders:
            inner = into.setdefault(_camel(folder), {})
            assert isinstance(inner, dict)
            into = inner
        into[_camel(leaf)] = list(value) if isinstance(value, tuple) else value
    return found


def _camel(name: str) -> str:
    """`service-accounts` -> `serviceAccounts`; an address stays as it is."""
    head, *rest = [name] if "@" in name else name.split("-")
    return head + "".join(part.capitalize() for part in rest)


def _flavored(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    return any((name.lower(), value.lower()) == _FLAVOR for name, value in headers)
