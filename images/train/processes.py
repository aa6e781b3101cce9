"""Which of the processes that train together this one is, and what they must agree on. The first one alone writes.

The launcher (`launcher.py`), or whoever else starts several, says it in torch's own variables. The group is torch's,
over NCCL where there are accelerators and over gloo where there are none.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Processes:
    """This process among all; alone by default."""

    rank: int = 0
    size: int = 1

    @property
    def first(self) -> bool:
        """Whether this one writes and tells."""
        return self.rank == 0

    def told(self, value: Any) -> Any:
        """The first process's `value`, in all of them; all must call."""
        if self.size == 1:
            return value
        from accelerate.utils import broadcast_object_list

        return broadcast_object_list([value], from_process=0)[0]

    def agree(self, wanted: bool) -> bool:
        """Whether the first process wants it; all must call."""
        return bool(self.told(wanted))

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            import torch.distributed as dist

            dist.barrier()

    def leave(self) -> None:
        """End the group: what follows is done by each for itself."""
        if self.size > 1:
            import torch.distributed as dist

            dist.destroy_process_group()


def join(env: Mapping[str, str]) -> Processes:
    """Meet the others, if there are any; blocks until all are there."""
    size = int(env.get("WORLD_SIZE", "1"))
    if size == 1:
        return Processes()
    import torch
    from accelerate import PartialState

    cpu = not torch.cuda.is_available()
    state = PartialState(cpu=cpu, **({"backend": "gloo"} if cpu else {}))
    return Processes(state.process_index, state.num_processes)


def whole_weights(trainer: Any) -> dict[str, Any] | None:
    """The weights of a model that is spread over the processes, gathered; None where each has all. All must call."""
    if not trainer.is_fsdp_enabled and not trainer.is_deepspeed_enabled:
        return None
    found: dict[str, Any] = trainer.accelerator.get_state_dict(trainer.model_wrapped)
    return found
