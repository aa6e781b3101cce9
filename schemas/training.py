"""The block `training`: trl's `SFTConfig`."""

from __future__ import annotations

from typing import ClassVar

from schemas.keys import Keys, table


class Training(Keys):
    """The keys that the manifest gives."""

    __slots__ = ()
    block: ClassVar[str] = "training"

    @property
    def batch(self) -> int:
        """Rows that one process takes for one optimiser step."""
        rows, steps = self.effective("per_device_train_batch_size"), self.effective("gradient_accumulation_steps")
        return int(rows) * int(steps) if isinstance(rows, int) and isinstance(steps, int) else 0

    @property
    def chooses_best(self) -> bool:
        """True when the evaluation rows decide which checkpoint is the result."""
        return bool(self.get("load_best_model_at_end")) or self.get("lr_scheduler_type") == "reduce_lr_on_plateau"

    def selecting(self) -> frozenset[str]:
        """The given keys that decide which checkpoint is the best."""
        rows = table()[self.block].keys
        return frozenset(key for key in self if rows[key].selects)
