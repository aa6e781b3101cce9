"""The one issue that Loraform keeps about something: opened when there is something to say, closed when it is over."""

from __future__ import annotations

import re

from reconciler.hosts.host import Host, Issue

_MARKER = re.compile(r"\A<!-- loraform issue=([a-z0-9-]+) -->\n")


def keep_issue(host: Host, key: str, title: str, body: str, *, wanted: bool) -> str:
    """Make the open issue `key` say `body`; without `wanted` make it say so and close it, and open none.

    Of several open ones (two runs at once) the oldest stays open. Returns what was done, in words. Safe to repeat.
    Raises `core.errors.CloudError`.
    """
    text = f"<!-- loraform issue={key} -->\n{body}"
    found = _ours(host, key)
    if not wanted:
        for issue in found:
            host.edit_issue(issue.number, title, text, close=True)
        return f"issue {found[0].number}: closed" if found else "no issue: nothing to say"
    if not found:
        made = host.open_issue(title, text)
        word = "opened"
    elif found[0].body == text:
        made, word = found[0], "unchanged"
    else:
        made, word = found[0], "updated"
        host.edit_issue(made.number, title, text)
    oldest, *others = _ours(host, key) or [made]
    for other in others:
        host.edit_issue(other.number, title, f"{text}\nSee #{oldest.number}.\n", close=True)
    return f"issue {oldest.number}: {word}"


def _ours(host: Host, key: str) -> list[Issue]:
    me = host.me()
    return sorted(item for item in host.issues() if item.author == me and _key(item) == key)


def _key(issue: Issue) -> str:
    found = _MARKER.match(issue.body.replace("\r\n", "\n"))
    return found[1] if found else ""
