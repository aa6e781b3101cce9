"""`loraform pull`: bring an experiment's artifact home, whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Annotated

import typer

from reconciler.cli import options
from reconciler.cli.screen import Screen

FOLDER = typer.Argument(help="Where it goes; the folder is made, and must be empty if it is there.", show_default=False)
ADAPTER = typer.Option("--adapter", help="The adapter also where the merged model serves.")


def run(
    name: Annotated[str, options.NAME],
    folder: Annotated[Path, FOLDER],
    adapter: Annotated[bool, ADAPTER] = False,
    target: Annotated[str | None, options.TARGET] = None,
) -> int:
    """Copy what the experiment, as it stands in git, has learnt into a folder: the form that serves."""
    from reconciler.cli.reading import check_names
    from reconciler.cli.workplace import open_workplace
    from reconciler.cloud.snapshot import take_snapshot
    from reconciler.core.errors import LoraformError, Refused
    from reconciler.core.resources import Role
    from reconciler.render.words import clean

    with Screen() as screen:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise Refused(f"{folder} is there and not empty.", "Name a folder that is new.")
        workplace = open_workplace(target)
        check_names((name,), {item.address.experiment for item in workplace.wish.desired})
        mine = {item.address.role: item for item in workplace.wish.desired if item.address.experiment == name}
        wanted = mine[Role.TRAINING] if adapter or Role.MERGE not in mine else mine[Role.MERGE]
        site = workplace.site
        seen = take_snapshot(site.vertex, site.storage, site.target, workplace.wish.desired, site.workers)
        record = seen.records.get(wanted.stamp)
        if record is None or record.pruned:
            why = "was pruned" if record else "is not there yet"
            raise LoraformError(
                f"What {name} has learnt {why} on {site.target.name}.", "`loraform plan` says what comes."
            )
        uri = str(record.outputs["artifact_uri"])
        home = f"gs://{site.target.bucket}/"
        if not uri.startswith(home):
            raise Refused(f"{uri} is in another bucket than {home}.", "Copy it with `gcloud storage cp -r`.")
        prefix = f"{uri.removeprefix(home).rstrip('/')}/"
        listed = [item for item in site.storage.list(prefix) if not item.name.endswith("/")]
        if not listed:
            raise LoraformError(f"{uri} is empty.", "Train again: raise `run.attempt`.")
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{folder.name}-", dir=folder.parent) as draft:
            part = Path(draft) / "part"
            for item in listed:
                place = (part / item.name.removeprefix(prefix)).resolve()
                if not place.is_relative_to(part.resolve()):
                    raise LoraformError(f"{item.name} leads out of {folder}.", "Look at that object in the bucket.")
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(site.storage.read(item.name)[0])
            if folder.exists():
                folder.rmdir()
            shutil.move(part, folder)
        screen.show(clean(f"{name} {wanted.identity[:12]}: {len(listed)} files in {folder}") + "\n")
    return 0
