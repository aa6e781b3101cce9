"""What the endpoint plugin must know, carried from the program's start to the plugin in one environment variable.

vLLM makes its plugins without arguments, so the way leads through the environment.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

VARIABLE = "LORAFORM_SERVING"
BASE = "base"


@dataclass(frozen=True, slots=True)
class Settings:
    """Names, routes and defaults of one server.

    `tuned` is the name under which the experiment answers, `base` the base model's (None if the artifact is a full
    model), `generation` the defaults of a request, `stop_token_ids` go with every request to the tuned model.
    `row_template` is what made the training rows of records, and makes prompts of them now.
    """

    tuned: str
    health_route: str
    predict_route: str
    base: str | None = BASE
    generation: dict[str, Any] = field(default_factory=dict)
    stop_token_ids: tuple[int, ...] = ()
    chat: bool = True
    row_template: str | None = None

    def served(self) -> tuple[str, ...]:
        """All names that answer here, the experiment first."""
        return (self.tuned,) if self.base is None else (self.tuned, self.base)


def to_environment(settings: Settings) -> dict[str, str]:
    """The variables that bring `settings` to `read_settings` in this process and its children."""
    return {VARIABLE: json.dumps(asdict(settings), sort_keys=True)}


def read_settings(environ: Mapping[str, str]) -> Settings:
    """The settings of this server. RuntimeError if the server was not started by `python -m images.serve`."""
    text = environ.get(VARIABLE)
    if text is None:
        raise RuntimeError(f"{VARIABLE} is not set: the plugin works under `python -m images.serve` only")
    fields = json.loads(text)
    fields["stop_token_ids"] = tuple(fields["stop_token_ids"])
    return Settings(**fields)
