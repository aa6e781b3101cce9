"""`loraform suspend`: take an experiment off its machines and keep its address. `loraform resume` brings it back."""

from __future__ import annotations

from typing import Annotated

from reconciler.cli import options
from reconciler.cli.screen import Screen


def run(name: Annotated[str, options.NAME], target: Annotated[str | None, options.TARGET] = None) -> int:
    """Undeploy the experiment and keep its endpoint: no machine costs anything until `loraform resume`."""
    from reconciler.cli.workplace import connect_only
    from reconciler.cloud.verbs import suspend

    with Screen() as screen:
        screen.note(f"Undeploying {name} ...")
        for deployed in suspend(connect_only(target), name):
            screen.show(f"undeployed  {deployed}")
        screen.show(f"{name} is suspended; `loraform resume {name}` lets it come back.")
    return 0
