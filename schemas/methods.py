"""What of peft's ways to begin an adapter is obeyed, and which methods of other kinds are refused by name.

An adapter that begins as a part of its base (PiSSA, OLoRA) changes the base while it learns; what it learnt is written
as an ordinary LoRA of twice the rank, so that it fits the base that everybody has.
"""

from __future__ import annotations

import re

PLAIN_INITS = ("true", "false", "gaussian", "orthogonal")
"""Ways to begin that leave the base as it is."""

SPLIT_INITS = ("pissa", "olora")
"""Ways that take a part of the base out and into the adapter."""

NEEDS_MORE = {
    "eva": "it looks at activations on the training rows before the first step",
    "corda": "it looks at covariances on rows of its own before the first step",
    "lora_ga": "it looks at gradients on the training rows before the first step",
    "loftq": "it replaces the base by one that it quantised itself, which nobody serves",
    "mica": "what it leaves is no ordinary LoRA",
}

PREFERENCES = (
    "dpo", "ipo", "kto", "orpo", "simpo", "cpo", "bco", "apo", "grpo", "rloo", "ppo", "gkd", "nash_md", "xpo",
    "online_dpo", "reward", "rm", "prm", "rl", "rlhf", "rlaif",
)  # fmt: skip
"""Methods that learn from preferences or rewards, by the names that trainers give them."""

ELSEWHERE = (
    "Loraform trains on examples (supervised fine-tuning). Train the preferences with trl itself (trl.DPOTrainer, "
    "trl.GRPOTrainer ...) and bring the result in as `model.base`."
)


def splits_base(init: object) -> bool:
    """Whether an adapter that begins like this takes a part of its base."""
    return isinstance(init, str) and (init in SPLIT_INITS or re.fullmatch(r"pissa_niter_\d+", init) is not None)


def refused_init(init: object) -> str | None:
    """Why an `init_lora_weights` cannot be obeyed; None where it can."""
    name = str(init).lower()
    if init is None or name in PLAIN_INITS or splits_base(init):
        return None
    return NEEDS_MORE.get(name, "peft does not know it")


def is_preference(method: object) -> bool:
    """Whether a method's name is one of those that learn from preferences or rewards."""
    return isinstance(method, str) and re.sub(r"[-\s]", "_", method.lower()) in PREFERENCES
