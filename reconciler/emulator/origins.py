"""Who may speak to this server from a browser: its own page, and no other. Programs send no `Origin` and pass.

Names are looked at too: a page from elsewhere that has its own name resolved to this machine (DNS rebinding) still
carries that name in `Host`. Addresses, `localhost`, names without a dot and Google's own are nobody else's.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable
from urllib.parse import urlsplit

from reconciler.emulator.wire.errors import ApiError

_GOOGLE = (".googleapis.com", ".vertexai.goog")
_OWN_SITES = ("same-origin", "none")


def refuse_strangers(headers: Iterable[tuple[bytes, bytes]], url: str) -> None:
    """Raises PERMISSION_DENIED for what another site's page sends. `url` is the server's own address."""
    said = {name: value.decode("latin-1") for name, value in headers if name in _HEADERS}
    host = said.get(b"host", "")
    if not _ours(_name(host), _name(urlsplit(url).netloc)):
        raise ApiError("PERMISSION_DENIED", f"This server does not answer under the name {host}.")
    origin = said.get(b"origin", "")
    if origin and (urlsplit(origin).netloc != host or urlsplit(origin).scheme not in ("http", "https")):
        raise ApiError("PERMISSION_DENIED", "This server answers no calls from pages of other origins.")
    opens_page = said.get(b"sec-fetch-mode") == "navigate" and said.get(b"sec-fetch-dest") == "document"
    if said.get(b"sec-fetch-site", "none") not in _OWN_SITES and not opens_page:
        raise ApiError("PERMISSION_DENIED", "This server answers no calls from pages of other sites.")


_HEADERS = frozenset({b"host", b"origin", b"sec-fetch-site", b"sec-fetch-mode", b"sec-fetch-dest"})


def _ours(name: str, own: str) -> bool:
    if name in (own, "localhost", "") or "." not in name.strip("[]") or name.endswith((*_GOOGLE, ".localhost")):
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """The name or address in `name:port`, `[::1]:port` or alone, in lower case."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
