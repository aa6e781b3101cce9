"""`loraform pin`: write what stands there now, the generation of data and the commit of a model, into a manifest.

It edits the text in place and touches nothing but the pins, so comments and order stay as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from reconciler.cli import options
from reconciler.cli.root import find_root
from reconciler.cli.screen import Screen
from reconciler.core.errors import LoraformError
from reconciler.core.resources import Source
from reconciler.repo.whole import write_whole

if TYPE_CHECKING:
    from reconciler.core.target import Target
    from reconciler.repo.manifests import Placed
    from schemas.experiment import Experiment

COMMIT = re.compile(r"[0-9a-f]{40}")
NAMES = typer.Argument(help="Only these experiments.", show_default=False, metavar="[NAME]...")


def run(names: Annotated[list[str] | None, NAMES] = None, target: Annotated[str | None, options.TARGET] = None) -> int:
    """Write the present generation of each gs:// object, and the commit of each hub model, into the manifests.

    Look at the difference and commit it: another pin is another training.
    """
    from reconciler.cli.reading import check_names
    from reconciler.cli.target import target_of
    from reconciler.repo.manifests import load

    root = find_root()
    loaded = load(root, target)
    check_names(names or (), {item.value.name for item in loaded.experiments})
    with Screen() as screen:
        moved = 0
        for item in loaded.experiments:
            if names and item.value.name not in names:
                continue
            for path, before, after in _pins(item, lambda: target_of(loaded.project, target, root)):
                if before == after:
                    screen.show(f"as it was  {item.value.name}  {path}  {after}")
                    continue
                source = item.locate(path)
                _write(root, source, path, before, after)
                moved += 1
                screen.show(f"pinned     {item.value.name}  {path}  {before or '(none)'} -> {after}")
                item = _again(root, loaded.target_name, item)
        screen.show(f"{moved} pin{'s' * (moved != 1)} written." if moved else "Nothing to pin.")
    return 0


def _pins(item: Placed[Experiment], target: Callable[[], Target]) -> list[tuple[str, str, str]]:
    """(field, text before, text after) of everything in a manifest that can carry a pin."""
    from reconciler.repo.files import Files
    from reconciler.repo.inputs import is_hub_id
    from reconciler.repo.locations import HubFile, data_location

    model, rows = item.value.model, item.value.data
    found = []
    mixed = [(f"data.mix.{index}.rows", one.rows) for index, one in enumerate(rows.mix)]
    for path, text in (("data.train", rows.train), *mixed, ("data.eval", rows.eval)):
        if text is not None and text.startswith("gs://"):
            uri = text.partition("#")[0]
            found.append((path, text, f"{uri}#{_generation(uri, target())}"))
        elif text is not None and text.startswith("hf://"):
            place = data_location(text)
            assert isinstance(place, HubFile)
            commit = place.revision if COMMIT.fullmatch(place.revision) else hub_commit(f"datasets/{place.name}")
            found.append((path, text, str(replace(place, revision=commit))))
    if model.revision is None and is_hub_id(model.base, Files(find_root())):
        found.append(("model.revision", "", hub_commit(f"models/{model.base}")))
    return found


def _generation(uri: str, target: Target) -> int:
    from reconciler.cloud.storage import connect_storage

    bucket, _, name = uri.removeprefix("gs://").partition("/")
    if not name or name.endswith("/") or "*" in name:
        raise LoraformError(f"{uri} is not one object.", "Folders and patterns cannot be pinned yet: name the object.")
    listed = [found for found in connect_storage(replace(target, bucket=bucket)).list(name) if found.name == name]
    if not listed:
        raise LoraformError(
            f"{uri} does not exist.", f"Upload it, or mend the address: gcloud storage ls gs://{bucket}/"
        )
    return listed[0].generation


def hub_commit(name: str) -> str:
    """The commit at the head of `models/ORG/NAME` or `datasets/ORG/NAME` (HF_ENDPOINT, HF_TOKEN).

    Raises LoraformError.
    """
    import os

    import requests

    hub = os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")
    token = os.environ.get("HF_TOKEN", "")
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    where = "`revision:`" if name.startswith("models/") else "@ and"
    remedy = f"Write {where} the 40-hex commit that the hub shows under Files."
    try:
        answer = requests.get(f"{hub}/api/{name}", headers=headers, timeout=30)
    except requests.RequestException as error:
        raise LoraformError(f"The hub cannot be reached: {type(error).__name__}.", remedy) from error
    if answer.status_code != 200:
        raise LoraformError(f"The hub answers {answer.status_code} for {name}.", remedy)
    commit = str(answer.json().get("sha", ""))
    if len(commit) != 40:
        raise LoraformError(f"The hub names no commit for {name}.", remedy)
    return commit


def _write(root: Path, source: Source, path: str, before: str, after: str) -> None:
    """Put one pin into the text: in place of the old value, or as a new line below `base`."""
    place = root / source.path
    lines = place.read_bytes().decode("utf-8").splitlines(keepends=True)
    line = lines[source.line - 1]
    if before:
        head, tail = line[: source.column - 1], line[source.column - 1 :]
        if before not in tail:
            raise LoraformError(f"{source}: {before} does not stand there as plain text.", f"Write {after} there.")
        lines[source.line - 1] = head + tail.replace(before, after, 1)
    else:
        base = next(
            (number for number in range(source.line - 1, len(lines)) if lines[number].lstrip().startswith("base:")),
            None,
        )
        if base is None:
            raise LoraformError(
                f"{source}: `{path}` cannot be added here.", f"Write {path.rsplit('.', 1)[-1]}: {after}"
            )
        found = lines[base]
        indent = found[: len(found) - len(found.lstrip())]
        ending = "\r\n" if found.endswith("\r\n") else "\n"
        if not found.endswith("\n"):
            lines[base] += ending
        lines.insert(base + 1, f"{indent}{path.rsplit('.', 1)[-1]}: {after}{ending}")
    write_whole(place, "".join(lines).encode("utf-8"))


def _again(root: Path, target: str, item: Placed[Experiment]) -> Placed[Experiment]:
    """The same manifest as it stands now: the places of what follows may have moved."""
    from reconciler.repo.manifests import load

    return next(found for found in load(root, target).experiments if found.value.name == item.value.name)
