"""Texts that try to leave their place: HTML, addresses, SVG, scripts, Markdown, ANSI, bidi, surrogates, length."""

from __future__ import annotations

import itertools
import random

PIECES = (
    "<script>document.title=1</script>",
    "<img src=x onerror=document.title=1>",
    '" onmouseover="document.title=1',
    "'><b>",
    "</title></svg><script>1</script>",
    "javascript:alert(1)",
    "</script><!--",
    "]]>",
    "&lt;b&gt;&#x3c;i&#62;",
    "{{ 7*7 }}",
    "{% raw %}",
    "{# c #}",
    "\x1b[31mred\x1b]0;title\x07",
    "\u202eevil\u2066",
    "\u2028\u2029",
    "\x00\x01\x7f\x85",
    "\udcff\ud800",
    "[x](javascript:1)",
    "`</code>`",
    "| a | b |",
    "../../etc/passwd",
    "//evil.example/x",
    "data:text/html,<b>",
    "\r\n\tline",
    "<!doctype html>",
    "<svg/onload=1>",
    "<style>*{}</style>",
    "--><script>",
    "\\u003cb\\u003e",
    "${1}",
    "a" * 5_000,
    "\ufeff\u200b",
    "<a href=https://evil.example>",
    "<base href=//x>",
    "<meta http-equiv=refresh content=0>",
)


def texts(count: int, seed: int = 7) -> list[str]:
    """All pieces, and mixtures of them."""
    chance = random.Random(seed)
    mixed = ("".join(chance.choices(PIECES, k=chance.randint(2, 4))) for _ in itertools.count())
    return [*PIECES, *itertools.islice(mixed, count - len(PIECES))]
