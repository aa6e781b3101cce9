"""`loraform init`: scaffold a repository. It writes what is missing and never touches what is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError
from reconciler.repo.whole import write_whole

FOLDER = typer.Argument(help="The folder to make a repository of.")
FLEET = typer.Option(help="Whose resources these are: a word of lower-case letters and digits.", show_default=False)

_FLEET = re.compile(r"[a-z][a-z0-9]{0,17}")
_IGNORED = ".loraform/"


def run(folder: Annotated[Path, FOLDER] = Path(), fleet: Annotated[str | None, FLEET] = None) -> int:
    """Scaffold a repository: project file, an example experiment with data, .gitignore. Nothing is overwritten."""
    fleet = fleet or _fleet_of(folder.resolve().name)
    if not _FLEET.fullmatch(fleet):
        raise LoraformError(
            f"`{fleet}` cannot be the name of a fleet.",
            "A fleet is 1 to 18 lower-case letters and digits, a letter first: --fleet acme",
        )
    with Screen() as screen:
        for path, text in _scaffold(fleet):
            place = folder / path
            if place.exists():
                screen.show(f"kept     {path}")
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            write_whole(place, text.encode("utf-8"))
            screen.show(f"written  {path}")
        screen.show(f"{_ignore(folder)}  .gitignore")
        screen.show("\nNext: edit experiments/example.yaml, then `loraform validate` and `loraform plan`.")
        screen.show("To try it on this machine, without an account: `loraform up --detach`, `loraform apply --wait`.")
    return 0


def _scaffold(fleet: str) -> Iterator[tuple[str, str]]:
    root = files("reconciler.cli") / "scaffold"
    for path, source in sorted(_walk(root, "")):
        yield path, source.read_text(encoding="utf-8").replace("@fleet@", fleet)
    schemas = files("schemas") / "json"
    for kind in ("experiment", "project"):
        schema = schemas / f"{kind}.schema.json"
        yield f"experiments/.schemas/{kind}.schema.json", schema.read_text(encoding="utf-8")


def _walk(folder: Traversable, prefix: str) -> Iterator[tuple[str, Traversable]]:
    for item in folder.iterdir():
        if item.is_dir():
            if item.name != "__pycache__":
                yield from _walk(item, f"{prefix}{item.name}/")
        elif item.name != "__init__.py":
            yield prefix + item.name, item


def _ignore(folder: Path) -> str:
    """Have git ignore what Loraform keeps on this machine; the word for what was done."""
    place = folder / ".gitignore"
    lines = place.read_text(encoding="utf-8").splitlines() if place.exists() else []
    if _IGNORED in lines or _IGNORED.rstrip("/") in lines:
        return "kept   "
    write_whole(place, "".join(f"{line}\n" for line in [*lines, _IGNORED]).encode("utf-8"))
    return "extended" if lines else "written"


def _fleet_of(name: str) -> str:
    word = re.sub(r"[^a-z0-9]", "", name.lower()).lstrip("0123456789")[:18]
    return word or "fleet"
