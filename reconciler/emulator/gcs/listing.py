"""Listing objects: prefix, delimiter, offsets, globs, versions and pages, on top of an ordered scan.

Decides which objects and which common prefixes make up a page and what its token says. Pure: the scan is passed in.
The rule is: filter by prefix, offsets and glob first, then roll names up at the delimiter; a folder full of objects
costs one step, because the scan is restarted behind it.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Generator, Iterator
from contextlib import closing
from dataclasses import dataclass

from reconciler.emulator.gcs.errors import invalid
from reconciler.emulator.gcs.records import StoredObject

PAGE = 1000


Scan = Callable[[str], Generator[StoredObject, None, None]]
"""Yields objects with names from its argument on, by name and then generation."""


@dataclass(frozen=True, slots=True)
class Query:
    """What to list. `end` is exclusive, `limit` counts objects and prefixes together."""

    prefix: str = ""
    delimiter: str = ""
    trailing: bool = False
    start: str = ""
    end: str = ""
    glob: str = ""
    versions: bool = False
    limit: int = PAGE
    token: str = ""


@dataclass(frozen=True, slots=True)
class Page:
    """One page: objects and common prefixes, each in order of name; `token` is empty on the last page."""

    items: tuple[StoredObject, ...]
    prefixes: tuple[str, ...]
    token: str


@dataclass(frozen=True, slots=True)
class _Entry:
    """Something that takes a place on a page. `item` is `None` for a common prefix."""

    name: str
    item: StoredObject | None


def list_page(scan: Scan, query: Query) -> Page:
    """Return the page that `query` asks for; 400 for a token that was not given out by a listing."""
    entries: list[_Entry] = []
    for entry in _entries(scan, query, _read_token(query.token)):
        if len(entries) == query.limit:
            return _page(entries, _write_token(entries[-1]))
        entries.append(entry)
    return _page(entries, "")


def _entries(scan: Scan, query: Query, passed: tuple[str, int] | None) -> Iterator[_Entry]:
    """Yield all entries behind `passed`, the (name, generation or 0 for a prefix) of the last one seen."""
    matches = glob_pattern(query.glob).fullmatch if query.glob else None
    start = max(query.prefix, query.start, passed[0] if passed else "")
    done = (_group(query, passed[0]) or passed[0]) if passed else None
    while True:
        jump: str | None = None
        with closing(scan(start)) as rows:
            for item in rows:
                if not item.name.startswith(query.prefix) or (query.end and item.name >= query.end):
                    return
                if passed and (item.name, item.generation) <= passed:
                    continue
                group = _group(query, item.name)
                if group is not None and group != done:
                    done = group
                    if not matches or matches(group):
                        yield _Entry(group, None)
                if group is None or (query.trailing and item.name == group):
                    if not matches or matches(item.name):
                        yield _Entry(item.name, item)
                else:
                    jump = _behind(group)
                    break
        if jump is None:
            return
        start = jump


def _group(query: Query, name: str) -> str | None:
    """Return the common prefix that `name` is rolled up into, if any."""
    if not query.delimiter:
        return None
    at = name.find(query.delimiter, len(query.prefix))
    return None if at < 0 else name[: at + len(query.delimiter)]


def _behind(prefix: str) -> str | None:
    """Return the least name above all names with this prefix; `None` where there is none."""
    for at in range(len(prefix) - 1, -1, -1):
        code = ord(prefix[at]) + 1
        if code <= 0x10FFFF:
            return prefix[:at] + chr(0xE000 if 0xD800 <= code <= 0xDFFF else code)
    return None


def _page(entries: list[_Entry], token: str) -> Page:
    items = tuple(entry.item for entry in entries if entry.item is not None)
    return Page(items, tuple(entry.name for entry in entries if entry.item is None), token)


def _write_token(last: _Entry) -> str:
    generation = last.item.generation if last.item else 0
    return base64.urlsafe_b64encode(json.dumps([last.name, generation]).encode()).decode()


def _read_token(token: str) -> tuple[str, int] | None:
    if not token:
        return None
    try:
        name, generation = json.loads(base64.urlsafe_b64decode(token))
        if isinstance(generation, int) and name.encode():
            return name, generation
    except (ValueError, TypeError, AttributeError, binascii.Error, RecursionError):
        pass
    raise invalid("Invalid page token.", "pageToken")


def glob_pattern(glob: str) -> re.Pattern[str]:
    """Return Google's glob as a pattern: `*` and `?` stop at slashes, `**` does not, `[a-z]`, `[!a]`, `{one,two}`."""
    out: list[str] = []
    at = depth = 0
    while at < len(glob):
        rest = glob[at:]
        if rest.startswith("**/") and (at == 0 or glob[at - 1] == "/"):
            out.append("(?:.*/)?")
            at += 3
        elif rest.startswith("**"):
            out.append(".*")
            at += 2
        elif bracket := re.match(r"\[([!^]?)([^\]]+)\]", rest):
            inside = re.sub(r"([\\\[\]^&~|])", r"\\\1", bracket[2])
            out.append(f"[{'^' if bracket[1] else ''}{inside}]")
            at += bracket.end()
        else:
            char = glob[at]
            depth += (char == "{") - (char == "}" and depth > 0)
            out.append(_glob_char(char, depth))
            at += 1
    try:
        return re.compile("".join(out), re.DOTALL)
    except re.error as error:
        raise invalid(f"Invalid glob pattern: {glob}", "matchGlob") from error


def _glob_char(char: str, depth: int) -> str:
    special: dict[str, str] = {"*": "[^/]*", "?": "[^/]", "{": "(?:"}
    if char == "}":
        return ")"
    if char == "," and depth:
        return "|"
    return special.get(char) or re.escape(char)
