"""`loraform cancel`: stop an experiment's running training. Git still wants it: it stays held until git changes."""

from __future__ import annotations

from typing import Annotated

from reconciler.cli import options
from reconciler.cli.screen import Screen


def run(name: Annotated[str, options.NAME], target: Annotated[str | None, options.TARGET] = None) -> int:
    """Cancel the experiment's running training. It stays held until `run.attempt`, or a setting of it, changes."""
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.verbs import cancel

    with Screen() as screen:
        jobs = cancel(connect_only(target), name)
        for job in jobs:
            screen.show(f"cancelled  {job}")
        screen.show(
            "To run it again, raise `run.attempt` in its manifest." if jobs else "No training of it is running."
        )
    return 0
