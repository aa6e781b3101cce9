"""What the vLLM of the serving image can load beside a base: `generate_serving` writes it from the sources."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import NamedTuple


class ServableLora(NamedTuple):
    """`ranks` rise; an architecture in neither set is unknown to this vLLM."""

    version: str
    ranks: tuple[int, ...]
    takes: frozenset[str]
    refuses: frozenset[str]


@cache
def servable() -> ServableLora:
    """The table."""
    found = json.loads((Path(__file__).parent / "vllm_lora.json").read_text(encoding="utf-8"))
    return ServableLora(found["vllm"], tuple(found["ranks"]), frozenset(found["lora"]), frozenset(found["no_lora"]))
