"""Captured API payloads, by the name of their file."""

from __future__ import annotations

import json
from pathlib import Path

from reconciler.backends.kind import Payload

FOLDER = Path(__file__).with_name("payloads")


def payload(name: str) -> Payload:
    return json.loads((FOLDER / f"{name}.json").read_text())


def names(kind: str) -> list[str]:
    return sorted(path.stem for path in FOLDER.glob(f"{kind}-*.json"))
