"""The web page at `/`: one file without anything from elsewhere, and the headers that hold a browser to that."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files


@cache
def page() -> bytes:
    """The page, as HTML in UTF-8."""
    return files("reconciler.emulator").joinpath("page.html").read_bytes()


def _digest(tag: str) -> str:
    inside = re.search(rf"<{tag}>(.*?)</{tag}>", page().decode("utf-8"), re.DOTALL)
    text = inside[1] if inside else ""
    return base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")


PAGE_HEADERS = [
    (b"content-type", b"text/html; charset=UTF-8"),
    (
        b"content-security-policy",
        (
            f"default-src 'none'; script-src 'sha256-{_digest('script')}'; style-src 'sha256-{_digest('style')}'; "
            "connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        ).encode("ascii"),
    ),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-opener-policy", b"same-origin"),
    (b"cache-control", b"no-store"),
]
