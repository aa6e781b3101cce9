"""Annotations for GitHub Actions and SARIF: at the line, one command a line, whatever the text."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from reconciler.core.errors import Diagnostic, Severity
from reconciler.core.resources import Phase, Source
from reconciler.render.github import notes_of, outputs, outputs_text, plan_annotations
from reconciler.render.sarif import sarif
from tests.core.builders import converged, fleet, live, plan, snapshot, training
from tests.render.golden import same_as_golden
from tests.render.hostility import HOSTILE
from tests.render.stories import everything

WRONG = Diagnostic(Source("experiments/a.yaml", 3, 5), "unknown-key", "`rank` is no key", "Say `r`.")


def test_a_problem_is_an_annotation_of_its_line() -> None:
    text = notes_of([replace(WRONG, severity=Severity.WARNING), WRONG, Diagnostic(Source("a,b:c.yaml"), "x", "50 %")])

    assert text.splitlines() == [
        "::error file=a%2Cb%3Ac.yaml,title=loraform%3A x::50 %25",
        "::error file=experiments/a.yaml,line=3,col=5,title=loraform%3A unknown-key::`rank` is no key%0ASay `r`.",
        "::warning file=experiments/a.yaml,line=3,col=5,title=loraform%3A unknown-key::`rank` is no key%0ASay `r`.",
    ]


def test_what_is_held_is_annotated_where_git_declares_it() -> None:
    failed = replace(training("bot", 7), source=Source("experiments/bot.yaml", 2, 1))

    text = plan_annotations(plan((failed,), snapshot(live(failed, Phase.FAILED))))

    assert text.startswith("::warning file=experiments/bot.yaml,line=2,col=1,title=loraform%3A held/failed::bot: its ")


@pytest.mark.parametrize("text", HOSTILE)
def test_no_text_makes_a_command_of_its_own_or_another_output(text: str) -> None:
    found = notes_of([Diagnostic(Source(text or "a", 1), "rule", text, text)])
    told = outputs_text({"plan_id": text})

    assert found.count("\n") == told.count("\n") == 1
    assert found.startswith("::error file=")
    assert found.splitlines() == [found.removesuffix("\n")]
    assert told.startswith("plan_id=")


def test_outputs_tell_what_later_steps_ask_for() -> None:
    told, calm = outputs(everything()), outputs(plan(fleet(), converged()))

    assert told == {
        "blocked": "true",
        "changes": "true",
        "plan_id": everything().id,
        "summary": "3 to create, 2 to update, 1 to delete, 8 to follow, 1 waiting, 2 held",
    }
    assert (calm["blocked"], calm["changes"], calm["summary"]) == ("false", "false", "in sync")


def test_sarif_is_stable() -> None:
    same_as_golden("everything.sarif", sarif(everything().diagnostics, everything()))


@pytest.mark.parametrize("text", HOSTILE)
def test_sarif_takes_any_text(text: str) -> None:
    log = json.loads(sarif([Diagnostic(Source("a b/é.yaml", 1), "rule", text)]))

    (result,) = log["runs"][0]["results"]
    assert result["locations"][0]["physicalLocation"] == {
        "artifactLocation": {"uri": "a%20b/%C3%A9.yaml", "uriBaseId": "%SRCROOT%"},
        "region": {"startLine": 1},
    }
    assert "\x1b" not in result["message"]["text"]
