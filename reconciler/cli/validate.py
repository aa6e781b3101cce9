"""`loraform validate`: every problem of every manifest at once. Needs no target that runs and touches no network."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import Diagnostic, LoraformError, Severity

PATHS = typer.Argument(help="Only these files and folders; all are read all the same.", show_default=False)


def run(paths: Annotated[list[Path] | None, PATHS] = None, target: Annotated[str | None, options.TARGET] = None) -> int:
    """Check all manifests, and what they name in the repository. Exit code 1 when there is an error."""
    from reconciler.cli.reading import Wrong, read_repository
    from reconciler.render.diagnostics import diagnostics_text, tally

    with Screen() as screen:
        root = find_root()
        count, diagnostics = 0, tuple[Diagnostic, ...]()
        try:
            repository = read_repository(root, target, must_run=False)
            count = len(repository.loaded.experiments) + len(repository.loaded.endpoints)
            diagnostics = repository.diagnostics
        except Wrong as wrong:
            diagnostics = wrong.diagnostics
        found = _about(diagnostics, paths or (), root)
        if found:
            screen.show(diagnostics_text(found))
        read = f"{count} manifest{'s' * (count != 1)}: " if count else ""
        screen.show(f"{read}{tally(found) or 'nothing wrong'}.")
    return 1 if any(item.severity is Severity.ERROR for item in found) else 0


def _about(diagnostics: tuple[Diagnostic, ...], paths: list[Path] | tuple[()], root: Path) -> list[Diagnostic]:
    """The diagnostics of these files and of what lies in these folders; all of them when none is named."""
    if not paths:
        return list(diagnostics)
    wanted = []
    for path in paths:
        if not path.exists():
            raise LoraformError(f"{path} does not exist.")
        wanted.append(path.resolve())
    return [
        item
        for item in diagnostics
        if any((root / item.source.path).resolve().is_relative_to(place) for place in wanted)
    ]
