"""Text that is not ours inside Markdown: it stands in code, where nothing is a mention, a link, HTML or a fence.

GitHub and GitLab look for mentions, references and addresses everywhere but in code, so no other escaping is safe.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterable

from reconciler.render import words

_RUN = re.compile("`+")


def code(text: str, longest: int | None = None) -> str:
    """The text as a code span on one line, fit for a cell of a table; empty for no text."""
    shown = words.clean(text, longest)
    if not shown:
        return ""
    ticks = "`" * (_longest_run(shown) + 1)
    # A span that begins or ends with a backtick, or is all blank, needs a space that Markdown takes away again.
    pad = " " if shown[0] == "`" or shown[-1] == "`" or shown[0] == shown[-1] == " " else ""
    return f"{ticks}{pad}{shown.replace('|', chr(92) + '|')}{pad}{ticks}"


def html_code(text: str, longest: int | None = None) -> str:
    """The same where Markdown is not read, such as inside `<summary>`."""
    return f"<code>{html.escape(words.clean(text, longest))}</code>"


def fence(lines: Iterable[str], language: str = "") -> str:
    """The lines as a fenced block, with a fence that none of them can close; ends with a newline."""
    body = "".join(f"{words.clean(line)}\n" for line in lines)
    ticks = "`" * max(_longest_run(body) + 1, 3)
    return f"{ticks}{language}\n{body}{ticks}\n"


def folded(summary: str, body: str) -> str:
    """A part that opens on a click. `summary` is safe HTML already, `body` safe Markdown."""
    return f"<details><summary>{summary}</summary>\n\n{body.rstrip()}\n\n</details>\n"


def table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A table of cells that are safe already."""
    titles = list(head)
    lines = [titles, ["---"] * len(titles), *rows]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def _longest_run(text: str) -> int:
    return max((len(found) for found in _RUN.findall(text)), default=0)
