"""The program of a managed tuning: `python -m reconciler.emulator.work.tuning_program JSON TRAINER...`.

Brings the data set into the form that the trainer reads, lets the trainer train, and leaves what the documentation
promises: checkpoints, what is told of the data, the metrics under their documented names.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.emulator.work import objects
from reconciler.emulator.work.event_files import event_file
from reconciler.emulator.work.genai_rows import BadRowError, Turn, convert
from reconciler.emulator.work.tuning_base import answered, whole_base
from reconciler.emulator.work.tuning_statistics import statistics

METRICS = "postprocess/node-0/metrics"
_TAGS = {
    "loss": "/train_total_loss",
    "mean_token_accuracy": "/train_fraction_of_correct_next_step_preds",
    "num_tokens": "/train_num_predictions",
    "eval_loss": "/eval_total_loss",
    "eval_mean_token_accuracy": "/eval_fraction_of_correct_next_step_preds",
    "eval_num_tokens": "/eval_num_predictions",
}
_SUMS = ("num_tokens", "eval_num_tokens")
Points = list[tuple[float, int, str, float]]


def main(argv: Sequence[str]) -> int:
    """Tune; the exit code is the trainer's, or 1 for data that cannot be learnt from."""
    told: dict[str, Any] = json.loads(argv[0])
    try:
        if told["output"].startswith("gs://loraform-tuning-"):  # a bucket of the embedded services' own
            objects.make_bucket(told["output"], told["project"])
        rows = _rows(told["train"], told["context"], prompts=bool(told["teacher"]))
        if told["teacher"]:
            rows = answered(rows, told["teacher"])
            print(f"The teacher {told['teacher']} has answered {len(rows)} prompts.", flush=True)  # noqa: T201
            labelled = "".join(json.dumps({"messages": one}, ensure_ascii=False) + "\n" for one in rows)
            objects.write(f"{told['output']}/distillation_labelled_dataset.jsonl", labelled.encode())
        spec = {**told["spec"], "data": {"train": _write("train.jsonl", rows), "format": "messages"}}
        spec["model"] = {"base": whole_base(spec["model"]["base"], f"{told['output']}/postprocess/node-0/base")}
        if told["validation"]:
            spec["data"]["eval"] = _write("eval.jsonl", _rows(told["validation"], told["context"]))
        _say("statistics", data=statistics(rows, _counter(spec["model"]["base"])))
    except (BadRowError, objects.UnreadableError, urllib.error.URLError) as error:
        print(f"error: {error}", flush=True)  # noqa: T201 - its log is what it says
        return 1
    code, points = _train([*argv[1:], "--spec", json.dumps(spec), "--out", told["final"]])
    if code == 0 and points:
        content = event_file(points, points[0][0])
        objects.write(f"{told['output']}/{METRICS}/events.out.tfevents.{int(points[0][0])}.tuning", content)
    return code


def _rows(uri: str, context: str, *, prompts: bool = False) -> list[list[Turn]]:
    text = objects.read(uri).decode("utf-8", "replace")
    return convert(text, uri.rsplit("/", 1)[-1], context, prompts=prompts)


def _write(name: str, rows: list[list[Turn]]) -> str:
    file = Path.cwd() / name
    file.write_text("".join(json.dumps({"messages": one}, ensure_ascii=False) + "\n" for one in rows), encoding="utf-8")
    return str(file)


def _counter(base: str) -> Callable[[str], int] | None:
    """What counts tokens as the base does; None when no tokenizer lies beside it."""
    from tokenizers import Tokenizer

    place = f"{base.rstrip('/')}/tokenizer.json"
    try:
        found = objects.read(place) if base.startswith("gs://") else Path(place).read_bytes()
        tokenizer = Tokenizer.from_buffer(found)
    except (objects.UnreadableError, OSError, ValueError):
        return None
    return lambda text: len(tokenizer.encode(text, add_special_tokens=False).ids)


def _train(words: Sequence[str]) -> tuple[int, Points]:
    points: Points = []
    sums = dict.fromkeys(_SUMS, 0.0)
    evaluated = False
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, errors="replace") as trainer:
        assert trainer.stdout is not None
        step = 0
        for line in trainer.stdout:
            print(line, end="", flush=True)  # noqa: T201 - the trainer's own words
            if line.startswith("LORAFORM "):
                event = _event(line)
                step = int(event.get("step", step))
                kind = event.get("event")
                evaluated |= kind == "evaluation"
                # The last metrics repeat the last evaluation of a trainer that tells of its evaluations.
                if kind in ("step", "evaluation") or (kind == "metrics" and not evaluated):
                    known = {(one[1], one[2]) for one in points}
                    points += [one for one in _points(event, step, sums) if (one[1], one[2]) not in known]
    return trainer.returncode, points


def _event(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line.removeprefix("LORAFORM "))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _points(event: Mapping[str, Any], step: int, sums: dict[str, float]) -> Points:
    """What one event adds to the metrics. Tokens are told as a sum so far, and predictions are counted by step."""
    moment = float(event.get("time", time.time()))
    found: Points = []
    for name, tag in _TAGS.items():
        value = event.get(name)
        if isinstance(value, int | float):
            found.append((moment, step, tag, float(value) - sums.get(name, 0.0)))
            if name in sums:
                sums[name] = float(value)
    return found


def _say(event: str, **fields: Any) -> None:
    """An event in the trainer's own form."""
    body = {"event": event, "time": round(time.time(), 3), **fields}
    print("LORAFORM " + json.dumps(body, ensure_ascii=False, sort_keys=True), flush=True)  # noqa: T201


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
