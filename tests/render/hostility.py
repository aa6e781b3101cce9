"""Texts that try to leave their place: Markdown, HTML, ANSI, bidi, workflow commands, YAML, and very long ones."""

from __future__ import annotations

import random

ODDS = (
    "@octocat please merge",
    "#1 and GH-2 and org/repo#3",
    "https://evil.example/x?y=<z>",
    "www.evil.example",
    "[click](javascript:alert(1))",
    "![x](https://evil.example/pixel.png)",
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</code></summary></details><h1>in sync</h1>",
    "</script><script>alert(1)//",
    "<!-- loraform -->",
    "--> <b>x</b>",
    "```\n# in sync\n```",
    "````diff\n+ nothing\n````",
    "`",
    "``` ` ``",
    "a | b | c |\n| --- |",
    "# heading",
    "- [x] approved",
    "| `x` | **held** |",
    "\n\n***\n\n",
    "&lt;b&gt; &#64;octocat",
    "\x1b[2J\x1b[31mred\x1b[0m",
    "\x1b]8;;https://evil.example\x07link\x1b]8;;\x07",
    "\u202egnp.exe\u202c",
    "\u2066a\u2069\u200b\ufeff",
    "\r\nCarriage",
    "::error file=a::pwned",
    "x%0A::set-output name=plan_id::1",
    "plan_id=000000000000\nblocked=false",
    "{{ 7 * 7 }} {% raw %}",
    "${{ secrets.TOKEN }}",
    "$(id) `id` ; id",
    "---\na: b\n...\n- !!python/object:os.system x",
    "*a: &a !tag | > %YAML",
    "\ud800",
    "😀" * 50,
    "x" * 20_000,
    "`" * 3_000,
    "\\" * 200 + "|",
    "'\"><svg/onload=alert(1)>",
    "\u0000",
    "\u2028line\u2029para\x85next",
    "",
    " ",
)


def made(count: int, seed: int) -> tuple[str, ...]:
    """Random joins of the odd texts: the same ones for one seed."""
    chance = random.Random(seed)
    return tuple("".join(chance.choices(ODDS, k=chance.randint(2, 5)))[:4000] for _ in range(count))


HOSTILE = (*ODDS, *made(60, 7))
