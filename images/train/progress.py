"""What the trainer says while it works: one event per line on standard output.

Every line is `LORAFORM ` followed by one JSON object with sorted keys and without line breaks. `event` tells the kind,
`time` is seconds since the epoch. Other lines come from libraries and may be ignored. The events, as they first come:

    phase      phase: data | model | training | evaluation | merge | artifact; begins now
    note       text                                  (a decision or a warning for the reader; anywhere)
    bad_row    file, line, reason                    (at most 20 of them; the run fails before any step, unless the spec
                                                      says to leave such rows out)
    sample     text, learnt                          (a decoded row; what of it counts in the loss)
    start      experiment, identity, attempt, method, device, dtype, threads
    data       train_rows, eval_rows, train_tokens, learnt_tokens, longest_row, sequences (rows after packing),
               effective_batch, steps, epochs
    step       step, steps, epoch, loss, learning_rate, seconds, eta_seconds, mean_token_accuracy, num_tokens (so far)
    resumed    step, uri                             (an interrupted training goes on from here)
    saved      step, uri                             (a checkpoint to go on from was written)
    evaluation step, eval_loss, eval_mean_token_accuracy, eval_num_tokens
    checkpoint epoch, step, uri                      (the artifact as it is after this epoch, where they are kept)
    trial      trial, and what the trial of a sweep is compared by
    metrics    the final metrics by name
    done       record, artifact_uri, artifact_digest, seconds, reused (true: an earlier run's record stood there)
    failed     cause, exit_code, message             (and the same message as the last, plain line: `error: ...`)

`cause` and `exit_code` are those of `failures.py`.
"""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TextIO

PREFIX = "LORAFORM "


@dataclass(frozen=True, slots=True)
class Progress:
    """Writes events to `stream`; `clock` gives seconds since the epoch."""

    stream: TextIO
    clock: Callable[[], float] = time.time

    def say(self, event: str, **fields: Any) -> None:
        """Write one event. Floats that JSON cannot hold are written as null."""
        body = {"event": event, "time": round(self.clock(), 3), **{k: _plain(v) for k, v in fields.items()}}
        self.stream.write(PREFIX + json.dumps(body, sort_keys=True, ensure_ascii=False) + "\n")
        self.stream.flush()

    def note(self, text: str) -> None:
        """Tell the reader of a decision that was taken for them."""
        self.say("note", text=text)

    def error(self, message: str) -> None:
        """The last, plain line of a run that failed."""
        self.stream.write("error: " + " ".join(message.split()) + "\n")
        self.stream.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return round(value, 8) if math.isfinite(value) else None
    return value
