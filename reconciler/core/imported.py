"""What an import makes of a live thing of others: the blocks of a manifest, and each field that is lost on the way."""

from __future__ import annotations

from dataclasses import dataclass, field

from reconciler.core.resources import Json


@dataclass(frozen=True, slots=True)
class Lost:
    """A field that is not in the manifest, and why."""

    path: str
    shown: Json
    why: str


@dataclass(slots=True)
class Carried:
    """The blocks of the manifest, what is adopted, and what is lost."""

    blocks: dict[str, dict[str, Json]] = field(default_factory=dict)
    labels: dict[str, Json] = field(default_factory=dict)
    description: str = ""
    adopt: dict[str, Json] = field(default_factory=dict)
    lost: list[Lost] = field(default_factory=list)

    def give(self, block: str, **values: Json) -> None:
        """Add what says something to a block."""
        said = {key: value for key, value in values.items() if value not in (None, "", 0, False, [], {})}
        if said:
            self.blocks.setdefault(block, {}).update(said)
