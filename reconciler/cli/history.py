"""`loraform history`: how an experiment became what it is, from git, with what the cloud still has of each commit."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen

if TYPE_CHECKING:
    from reconciler.core.lineage import Step, Traces


class Format(StrEnum):
    """How a history is printed."""

    TEXT = "text"
    JSON = "json"
    MARKDOWN = "markdown"


FORMAT = typer.Option("--format", help="For people, for programs, or for a page.")
LIMIT = typer.Option(help="At most this many commits of the manifest, the newest ones.", min=1)
OFFLINE = typer.Option("--offline", help="Ask git only: no run, no version, no traffic.")


def run(
    name: Annotated[str, options.NAME],
    shown: Annotated[Format, FORMAT] = Format.TEXT,
    limit: Annotated[int, LIMIT] = 50,
    offline: Annotated[bool, OFFLINE] = False,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Show the commits of an experiment, what each brought about, and its run, metrics, model version and traffic.

    A commit that changed only the project file or a file that the manifest names counts where it changed something.
    """
    from reconciler.cli.lineage import note_shallow, read_lineage
    from reconciler.core.lineage import Traces, joined
    from reconciler.render.history import history_json, history_markdown, history_text

    root = find_root()
    with Screen() as screen:
        steps = read_lineage(root, name, target, limit)
        note_shallow(root, screen)
        rows = joined(steps, Traces() if offline else left_of(root, steps, target, screen))
        if shown is Format.JSON:
            screen.show(history_json(name, rows))
        elif shown is Format.MARKDOWN:
            screen.show(history_markdown(name, rows))
        else:
            screen.show(history_text(rows))
    return 0


def left_of(root: Path, steps: tuple[Step, ...], target: str | None, screen: Screen) -> Traces:
    """What the cloud has of these commits; git's part is told even where the target cannot be asked."""
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.traces import traces_of
    from reconciler.core.errors import LoraformError
    from reconciler.core.lineage import Traces
    from reconciler.core.resources import Role

    names = {step.point.experiment for step in steps}
    resources = (item for step in steps for item in step.point.resources)
    trainings = sorted({item.identity for item in resources if item.address.role is Role.TRAINING})
    try:
        return traces_of(connect_only(target), names, trainings)
    except LoraformError as error:
        screen.note(f"Only what git tells: {error.message} {error.remedy}".rstrip())
        return Traces()
