"""`loraform import`: a manifest for what others made, live or as a recipe, and a list of all that it cannot say."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError

if TYPE_CHECKING:
    from reconciler.cloud.found import Live


class From(StrEnum):
    """What is imported."""

    LIVE = "live"
    AXOLOTL = "axolotl"
    LLAMAFACTORY = "llamafactory"
    TRL = "trl"


FROM = typer.Argument(
    help="live: a custom job, a model or an endpoint of the target. Else whose recipe FILE is.",
    metavar="live|axolotl|llamafactory|trl", show_default=False,
)  # fmt: skip
WHAT = typer.Argument(
    help="A resource name, such as endpoints/123 or the full one, or a display name; or the recipe's file.",
    metavar="NAME|RESOURCE|FILE", show_default=False,
)  # fmt: skip
NAME = typer.Option("--name", help="The experiment's name. [default: from what is imported]", show_default=False)
BASE = typer.Option(help="live: the base model to write into it; it is not known from outside.", show_default=False)
TRAIN = typer.Option(help="live: the training rows to write into it; they are not known either.", show_default=False)
PLACEHOLDER = "FILL-IN"


def run(
    source: Annotated[From, FROM],
    what: Annotated[str, WHAT],
    name: Annotated[str, NAME] = "",
    base: Annotated[str, BASE] = PLACEHOLDER,
    train: Annotated[str, TRAIN] = PLACEHOLDER,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Write a manifest from what is live, or from a recipe, and list all that is not carried over.

    Nothing is changed but that one new file.

    With the next apply an endpoint becomes the experiment's address, a model gets its next version. A job made by
    others cannot be a training of Loraform's: where and how it ran is carried over, what it learnt is not known.
    """
    if source is not From.LIVE:
        return _recipe(source, Path(what), name)
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.found import find_live
    from reconciler.render.importing import lost_text, manifest_text
    from reconciler.repo.whole import write_whole

    root = find_root()
    with Screen() as screen:
        live = find_live(connect_only(target), what)
        experiment = name or _slug(live.title)
        path = root / f"experiments/{experiment}.yaml"
        _may_write(root, path, experiment)
        _may_adopt(live)
        text = manifest_text(experiment, live.carried, came_from=live.name, base=base, train=train)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, text.encode())
        screen.show(f"wrote {path.relative_to(root)} from {live.name}")
        screen.show(lost_text(live.carried.lost))
        if PLACEHOLDER in (base, train):
            screen.show(f"Fill in what says {PLACEHOLDER}: what it was tuned from, and on which rows, only you know.")
        if live.carried.adopt:
            (kind,) = live.carried.adopt
            then = "becomes its address" if kind == "endpoint" else "gets its next version"
            screen.show(f"With the next apply the {kind} {then}: `loraform plan` shows it, and what is trained for it.")
        else:
            screen.show("A job of others is no training of this experiment's: the next apply starts one of its own.")
    return 0


def _slug(title: str) -> str:
    """A display name as the name of an experiment."""
    return re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-0123456789")[:40].strip("-")


def _recipe(source: From, file: Path, name: str) -> int:
    from reconciler.recipes.reading import Trainer, import_recipe
    from reconciler.recipes.writing import label_safe, manifest_text, notes_text
    from reconciler.render.diagnostics import diagnostics_text
    from reconciler.repo.manifests import load
    from reconciler.repo.whole import write_whole

    root = find_root()
    with Screen() as screen:
        imported = import_recipe(Trainer(source.value), file)
        experiment = name or label_safe(file.stem)
        path = root / f"experiments/{experiment}.yaml"
        _may_write(root, path, experiment)
        path.parent.mkdir(exist_ok=True)
        write_whole(path, manifest_text(imported, experiment, file.name).encode())
        screen.show(f"wrote {path.relative_to(root)} from {file}")
        screen.show(notes_text(imported))
        mine = [item for item in load(root).diagnostics if item.source.path == path.relative_to(root).as_posix()]
        if mine:
            screen.show(diagnostics_text(mine))
    return 0


def _may_write(root: Path, path: Path, experiment: str) -> None:
    from reconciler.repo.manifests import load
    from schemas.primitives import NAME as PATTERN

    if not re.fullmatch(PATTERN, experiment):
        raise LoraformError(
            f"`{experiment}` cannot be the name of an experiment.",
            "Give one with --name: 1 to 40 lower-case letters, digits and -, a letter first.",
        )
    taken: Mapping[str, str] = {item.value.name: item.source.path for item in load(root).experiments}
    if experiment in taken:
        raise LoraformError(f"There is an experiment `{experiment}`, in {taken[experiment]}.", "Give another --name.")
    if path.exists():
        raise LoraformError(f"{path.relative_to(root)} exists.", "Give another --name, or move that file away.")


def _may_adopt(live: Live) -> None:
    if live.owner:
        raise LoraformError(
            f"{live.name} belongs to the fleet {live.owner}.",
            "What a fleet owns has its manifest in that fleet's repository.",
        )
