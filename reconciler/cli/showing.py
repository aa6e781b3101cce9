"""A plan in the form that was asked for: on the screen, in files beside it, and where GitHub Actions looks."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import typer
from rich.text import Text

from reconciler.cli.screen import Screen
from reconciler.core.changes import Plan
from reconciler.core.errors import LoraformError
from reconciler.repo.whole import write_whole


class PlanFormat(StrEnum):
    """How a plan is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"
    GITHUB = "github"
    SARIF = "sarif"


PLAN_FORMAT = typer.Option(
    "--format", help="For people, for programs (schemas/json/plan.schema.json), for a comment, for GitHub Actions."
)
WRITE = typer.Option(
    "--write",
    help="Write it to a file in this form as well; may be given several times.",
    metavar="FORMAT=FILE",
    show_default=False,
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A plan, the words for its tree, and whether an apply would make it as it is."""

    plan: Plan
    where: str
    applies: bool = True
    text: Callable[[], Text] | None = None
    """Its text for people, where that is not the ordinary one."""


def parse_writes(writes: Sequence[str] | None) -> Mapping[Path, PlanFormat]:
    """The files that `--write` names. Raises LoraformError for what names no form or no file."""
    found: dict[Path, PlanFormat] = {}
    for item in writes or ():
        form, _, path = item.partition("=")
        if form not in list(PlanFormat) or form == PlanFormat.GITHUB or not path:
            forms = ", ".join(form for form in PlanFormat if form is not PlanFormat.GITHUB)
            raise LoraformError(f"--write {item} names no form and file.", f"FORMAT=FILE, with one of {forms}.")
        found[Path(path)] = PlanFormat(form)
    return found


def show_plan(shown: Shown, form: PlanFormat, screen: Screen, writes: Mapping[Path, PlanFormat]) -> None:
    """Print the plan, then write the files. For GitHub the log has it as text, with annotations after it."""
    for path, other in writes.items():
        write_whole(path, _formed(shown, other).encode("utf-8"))
    if form in (PlanFormat.TEXT, PlanFormat.GITHUB):
        screen.show(_text(shown))
    else:
        screen.show(_formed(shown, form))
    if form is PlanFormat.GITHUB:
        from reconciler.render.github import outputs, outputs_text, plan_annotations

        _show_annotations(plan_annotations(shown.plan), screen)
        append_to("GITHUB_STEP_SUMMARY", _formed(shown, PlanFormat.MARKDOWN))
        append_to("GITHUB_OUTPUT", outputs_text(outputs(shown.plan)))


def show_wrong(error: LoraformError, form: PlanFormat, screen: Screen, writes: Mapping[Path, PlanFormat]) -> None:
    """Tell of manifests with errors where GitHub and SARIF readers look; the error itself is told by who raised it."""
    diagnostics = getattr(error, "diagnostics", ())
    if not diagnostics:
        return
    from reconciler.render.diagnostics import tally
    from reconciler.render.github import notes_of
    from reconciler.render.markdown import wrong_markdown
    from reconciler.render.sarif import sarif

    for path, other in writes.items():
        if other is PlanFormat.SARIF:
            write_whole(path, sarif(diagnostics).encode("utf-8"))
        elif other is PlanFormat.MARKDOWN:
            write_whole(path, wrong_markdown(diagnostics).encode("utf-8"))
    if form is PlanFormat.SARIF:
        screen.show(sarif(diagnostics))
    elif form is PlanFormat.MARKDOWN:
        screen.show(wrong_markdown(diagnostics))
    elif form is PlanFormat.GITHUB:
        _show_annotations(notes_of(diagnostics), screen)
        append_to("GITHUB_STEP_SUMMARY", wrong_markdown(diagnostics))
        append_to("GITHUB_OUTPUT", f"blocked=true\nchanges=false\nplan_id=\nsummary={tally(diagnostics)}\n")


def append_to(variable: str, text: str) -> None:
    """Add text to the file that a variable of GitHub Actions names; elsewhere there is none, and nothing is done."""
    path = os.environ.get(variable)
    if path:
        with open(path, "a", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)


def _show_annotations(text: str, screen: Screen) -> None:
    if text:
        screen.show(text)


def _text(shown: Shown) -> Text:
    if shown.text is not None:
        return shown.text()
    from reconciler.render.terminal import plan_text

    return plan_text(shown.plan, where=shown.where, applies=shown.applies)


def _formed(shown: Shown, form: PlanFormat) -> str:
    match form:
        case PlanFormat.JSON:
            from reconciler.render.json_plan import plan_json

            return plan_json(shown.plan, where=shown.where)
        case PlanFormat.MARKDOWN:
            from reconciler.render.markdown import plan_markdown

            return plan_markdown(shown.plan, where=shown.where, applies=shown.applies)
        case PlanFormat.SARIF:
            from reconciler.render.sarif import sarif

            return sarif(shown.plan.diagnostics, shown.plan)
        case _:
            return str(_text(shown))
