"""`make bench`: measure, print one JSON line per figure, and judge nothing. Figures are medians of repetitions."""

from __future__ import annotations

import json
import platform
import sys

from bench import apply, cli, core, emulator, ledger, manifests, plan, scale, training

ROOMS = {
    "apply": apply,
    "cli": cli,
    "core": core,
    "manifests": manifests,
    "emulator": emulator,
    "ledger": ledger,
    "plan": plan,
    "scale": scale,
    "training": training,
}


def main(names: list[str]) -> None:
    """Run the named benchmarks, or all."""
    print(json.dumps({"machine": platform.machine(), "python": platform.python_version()}), flush=True)
    for name in names or ROOMS:
        for figure in ROOMS[name].figures():
            print(json.dumps({"bench": name, **figure}), flush=True)


main(sys.argv[1:])
