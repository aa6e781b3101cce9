"""A plan as a comment: what stands first, what fits, and that no text of others leaves its place."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt
from markdown_it.token import Token

from reconciler.core.changes import Plan
from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.guardrails import NO_LIMITS
from reconciler.core.plan import make_plan
from reconciler.core.resources import Declared, Source
from reconciler.render import marks
from reconciler.render.markdown import LIMIT, plan_markdown, wrong_markdown
from tests.core.builders import converged, fleet, live, plan, record, snapshot, training
from tests.render.golden import same_as_golden
from tests.render.hostility import HOSTILE
from tests.render.stories import everything, together

PARSER = MarkdownIt("gfm-like", {"linkify": False})
OURS = re.compile(r"</?(details|summary|code)>|&(lt|gt|amp|quot|#x27);")


def tokens(text: str) -> list[Token]:
    found: list[Token] = []
    for token in PARSER.parse(text):
        found += [token, *(token.children or ())]
    return found


def outside_code(text: str) -> str:
    """All text that is neither in a code span nor in a fence, nor in the `<code>` of a summary."""
    parts = []
    for token in tokens(text):
        if token.type == "text":
            parts.append(token.content)
        elif token.type in ("html_block", "html_inline"):
            parts.append(re.sub(r"<code>[^<]*</code>", "", token.content))
    return "\n".join(parts)


def crowd(count: int) -> Plan:
    """A plan with that many changes: some experiments go, some are trained again, most get more replicas."""
    desired, seen = [], []
    for number in range(count):
        name = f"bot-{number}"
        seen.append(converged(name))
        if number % 50 == 7:
            continue
        *rest, served = fleet(name)
        if number % 50 == 9:
            rest[0] = training(name, number + 2, fields={"adapter.r": Declared(32, "retrain")})
        desired += [*rest, replace(served, spec={"max_replica_count": 3, "traffic": 100})]
    return make_plan(desired, together(*seen), now=0.0, target="prod", limits=NO_LIMITS)


def test_everything_that_a_plan_tells_stands_in_the_comment() -> None:
    same_as_golden("everything.md", plan_markdown(everything(), where="main@4be21d"))


def test_manifests_with_errors_are_told_in_place_of_a_plan() -> None:
    found = Diagnostic(Source("experiments/a.yaml", 3, 5), "unknown-key", "`rank` is no key of `adapter`", "Say `r`.")

    text = wrong_markdown([found, replace(found, severity=Severity.WARNING)])

    assert text.startswith("### Loraform: 1 error, 1 warning; nothing was planned\n")
    assert "experiments/a.yaml:3:5: error: `rank` is no key of `adapter` [unknown-key]\n    Say `r`.\n" in text


def test_in_sync_is_one_line_without_a_table() -> None:
    text = plan_markdown(plan(fleet(), converged()), where="main@4be21d")

    assert "in sync" in text
    assert "1 experiment as git says." in text
    assert "| --- |" not in text


def test_a_plan_of_two_thousand_changes_fits_and_keeps_the_worst_rows() -> None:
    made = crowd(2000)

    text = plan_markdown(made, where="main@4be21d")

    assert len(text.encode()) <= LIMIT
    rows = re.findall(r"^\| `(bot-\d+)` \| (.+?) \|", text, re.MULTILINE)
    assert [happens for _, happens in rows[:40]] == ["**removed from git**"] * 40
    assert [happens for _, happens in rows[40:80]] == ["retrain"] * 40
    counted = re.search(r"… and (\d+) more: (\d+) in place\.", text)
    assert counted
    assert len(rows) + int(counted[1]) == len({change.address.experiment for change in made.now})
    left_out = re.search(r"Details of (\d+) experiments are left out", text)
    assert left_out
    assert text.count("<details>") == text.count("</details>") == 2000 - int(left_out[1])


@pytest.mark.parametrize("limit", range(900, 9000, 350))
def test_whatever_the_limit_every_fence_and_every_fold_is_closed(limit: int) -> None:
    text = plan_markdown(everything(), where="main@4be21d", limit=limit)

    assert len(text.encode()) <= limit
    assert text.count("<details>") == text.count("</details>")
    fences = [token for token in tokens(text) if token.type == "fence"]
    assert len(fences) == text.count("```diff\n") + text.count("```text\n")
    assert all("</details>" not in fence.content for fence in fences)


@pytest.mark.parametrize("text", HOSTILE)
def test_no_hostile_text_leaves_its_place(text: str) -> None:
    run = training("bot", 2, fields={"adapter.r": Declared(text, "retrain"), text[:40] or "x": Declared(1, "label")})
    before = live(training("bot"), declared={"adapter.r": text + "x"})
    made = plan((run,), snapshot(before, records=(record(training("bot")),)))
    made = replace(made, diagnostics=(Diagnostic(Source(text or "a", 1), "rule", text, text),), target=text)

    shown = plan_markdown(made, where=text)

    assert len(shown.encode()) <= LIMIT
    kinds = {token.type for token in tokens(shown)}
    assert not kinds & {"link_open", "image", "heading_open"} - {"heading_open"}, kinds
    assert sum(token.type == "heading_open" for token in tokens(shown)) == 1
    left = outside_code(shown)
    assert "@" not in left
    assert "://" not in left
    assert "#" not in left
    assert not [token for token in tokens(shown) if token.type.startswith("html") and _foreign(token.content)]
    assert not re.search("[\u202a-\u202e\u2066-\u2069\x00-\x08\x1b]", shown)


def _foreign(markup: str) -> list[str]:
    """HTML tags that are not ours."""
    return re.findall(r"<(?!/?(?:details|summary|code)>)[^>]*>?", markup)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "`plain`"),
        ("a`b", "``a`b``"),
        ("`a``b`", "``` `a``b` ```"),
        ("a|b", "`a\\|b`"),
        ("", ""),
        ("two\nlines", "`two\\nlines`"),
        (" ", "`   `"),
    ],
)
def test_code_shows_any_text_on_one_line(text: str, shown: str) -> None:
    assert marks.code(text) == shown


def test_a_fence_cannot_be_closed_from_within() -> None:
    text = marks.fence(["````", "</details>", "@all"], "diff")

    assert [token.content for token in tokens(text)] == ["````\n</details>\n@all\n"]
