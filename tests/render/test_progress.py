from __future__ import annotations

import io

import pytest

from images.train.progress import Progress
from reconciler.render.progress import duration, event_of, log_line


def test_the_trainers_own_events_are_understood() -> None:
    out = io.StringIO()
    Progress(out, clock=lambda: 1.0).say(
        "step", step=120, steps=432, epoch=4.4, loss=0.31234, learning_rate=1e-3, seconds=10.0, eta_seconds=26.0
    )

    told = log_line(out.getvalue())

    assert told == "step 120 of 432, loss 0.312, 26 s left"


def test_a_loss_that_is_no_number_is_left_out() -> None:
    assert log_line('LORAFORM {"event": "step", "step": 1, "steps": 2, "loss": null}') == "step 1 of 2"


@pytest.mark.parametrize("line", ["a plain line", "LORAFORM not json", "LORAFORM [1]", 'LORAFORM {"no": "event"}'])
def test_other_lines_are_printed_as_they_are(line: str) -> None:
    assert event_of(line) is None
    assert log_line(line) == line


def test_a_log_cannot_move_the_cursor() -> None:
    assert log_line("\x1b[2Jgone") == "\\x1b[2Jgone"
    assert log_line('LORAFORM {"event": "note", "text": "\\u001b[2J"}') == "\\x1b[2J"


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ('{"event":"phase","phase":"model"}', "loading the base model"),
        ('{"event":"data","train_rows":420,"train_tokens":9000,"steps":432,"effective_batch":16}',
         "420 rows, 9000 tokens, 432 steps of 16 rows"),
        ('{"event":"bad_row","file":"train.jsonl","line":7,"reason":"no answer"}', "train.jsonl:7: no answer"),
        ('{"event":"failed","cause":"data","message":"3 bad rows"}', "failed: 3 bad rows"),
        ('{"event":"done","seconds":41.2,"reused":false}', "done in 41 s"),
        ('{"event":"metrics","eval_loss":0.25,"time":1}', "metrics: eval_loss 0.25"),
    ],
)  # fmt: skip
def test_every_event_has_words(event: str, told: str) -> None:
    assert log_line(f"LORAFORM {event}") == told


@pytest.mark.parametrize(("seconds", "told"), [(-3, "0 s"), (59.6, "60 s"), (600, "10 min"), (12_000, "3 h 20 min")])
def test_durations_are_short(seconds: float, told: str) -> None:
    assert duration(seconds) == told
