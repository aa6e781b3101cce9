"""The one comment that Loraform keeps on a pull request: found by its marker, updated in place.

Only comments of our own count: anybody can write a marker. Of several (two runs at once) the oldest stays, with the
text of the newest run; an older run never overwrites a newer one. Every step may be repeated.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from reconciler.core.errors import NotFound, Retryable
from reconciler.hosts.host import Comment, Host

_MARKER = re.compile(r"\A<!-- loraform key=([a-z0-9-]+) order=(\d{1,18}) -->\n")
_ATTEMPTS = 4


@dataclass(frozen=True, slots=True)
class Written:
    """What became of a comment."""

    id: int
    word: str
    """`created`, `updated`, `unchanged`, or `left alone` where a newer run had spoken."""


def write_comment(host: Host, number: int, key: str, body: str, order: int | None) -> Written:
    """Make `body` the text of our comment `key` on a pull request. `order` rises from run to run; None is the last
    one's, for a person who writes by hand.

    Raises `core.errors.CloudError`; then the comment is as it was, or as it was to be.
    """
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            return _once(host, number, key, body, order)
        except (NotFound, Retryable):
            # Deleted under our hands, or an answer was lost: what is there now decides what is still to be done.
            if attempt == _ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def _once(host: Host, number: int, key: str, body: str, order: int | None) -> Written:
    before = _ours(host, number, key)
    if order is None:
        order = max((_order(item) for item in before), default=0)
    text = f"<!-- loraform key={key} order={order} -->\n{body}"
    if not before:
        made = host.add(number, text)
        stays = _settle(host, number, key)
        return Written(stays.id, "created" if stays.id == made.id else "updated")
    newest = max(before, key=_order)
    if _order(newest) > order:
        return Written(_settle(host, number, key).id, "left alone")
    oldest = before[0]
    word = "unchanged" if oldest.body == text else "updated"
    if word == "updated":
        host.edit(number, oldest.id, text)
    return Written(_settle(host, number, key).id, word)


def _settle(host: Host, number: int, key: str) -> Comment:
    """Leave one comment of several: the oldest, with the text of the newest run."""
    found = _ours(host, number, key)
    if not found:
        raise NotFound("the comment was deleted meanwhile")
    oldest, *others = found
    newest = max(found, key=_order)
    if newest.body != oldest.body and _order(newest) > _order(oldest):
        host.edit(number, oldest.id, newest.body)
    for other in others:
        try:
            host.delete(number, other.id)
        except NotFound:
            continue  # the other run was faster
    return oldest


def _ours(host: Host, number: int, key: str) -> list[Comment]:
    me = host.me()
    return sorted(item for item in host.comments(number) if item.author == me and _key(item) == key)


def _key(comment: Comment) -> str:
    found = _MARKER.match(comment.body.replace("\r\n", "\n"))
    return found[1] if found else ""


def _order(comment: Comment) -> int:
    found = _MARKER.match(comment.body.replace("\r\n", "\n"))
    return int(found[2]) if found else -1
