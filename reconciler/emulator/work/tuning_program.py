"""The program of a managed tuning: `python -m reconciler.emulator.work.tuning_program JSON TRAINER...`.

Brings the data set into the form that the trainer reads, lets the trainer train, and leaves what the documentation
promises: the final checkpoint, the metrics under their documented names. It knows Cloud Storage only as HTTP.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from reconciler.emulator.work.event_files import event_file
from reconciler.emulator.work.genai_rows import BadRowError, Turn, convert

METRICS = "postprocess/node-0/metrics"
_TAGS = {
    "loss": "/train_total_loss",
    "mean_token_accuracy": "/train_fraction_of_correct_next_step_preds",
    "num_tokens": "/train_num_predictions",
    "eval_loss": "/eval_total_loss",
    "eval_mean_token_accuracy": "/eval_fraction_of_correct_next_step_preds",
    "eval_num_tokens": "/eval_num_predictions",
}
Points = list[tuple[float, int, str, float]]


def main(argv: Sequence[str]) -> int:
    """Tune; the exit code is the trainer's, or 1 for data that cannot be learnt from."""
    told: dict[str, Any] = json.loads(argv[0])
    try:
        _make_bucket(told["output"], told["project"])
        rows = _rows(told["train"], told["context"], prompts=bool(told["teacher"]))
        if told["teacher"]:
            rows = _answered(rows, told["teacher"])
            labelled = "".join(json.dumps({"messages": one}, ensure_ascii=False) + "\n" for one in rows)
            _put(f"{told['output']}/distillation_labelled_dataset.jsonl", labelled.encode())
        spec = {**told["spec"], "data": {"train": _write("train.jsonl", rows), "format": "messages"}}
        if told["validation"]:
            spec["data"]["eval"] = _write("eval.jsonl", _rows(told["validation"], told["context"]))
    except (BadRowError, urllib.error.URLError) as error:
        print(f"error: {error}", flush=True)  # noqa: T201 - its log is what it says
        return 1
    code, points = _train([*argv[1:], "--spec", json.dumps(spec), "--out", told["final"]])
    if code == 0 and points:
        content = event_file(points, points[0][0])
        _put(f"{told['output']}/{METRICS}/events.out.tfevents.{int(points[0][0])}.tuning", content)
    return code


def _rows(uri: str, context: str, *, prompts: bool = False) -> list[list[Turn]]:
    return convert(_get(uri).decode("utf-8", "replace"), uri.rsplit("/", 1)[-1], context, prompts=prompts)


def _answered(rows: list[list[Turn]], teacher: str) -> list[list[Turn]]:
    """The conversations, the last answer of each given by the teacher."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(teacher)
    model = AutoModelForCausalLM.from_pretrained(teacher, dtype=torch.float32).eval()
    answered = []
    for turns in rows:
        asked = turns[:-1] if turns[-1]["role"] == "assistant" else turns
        prompt = tokenizer.apply_chat_template(asked, add_generation_prompt=True, return_tensors="pt", return_dict=True)
        with torch.no_grad():
            out = model.generate(**prompt, max_new_tokens=128, do_sample=False)
        text = tokenizer.decode(out[0, prompt["input_ids"].shape[1] :], skip_special_tokens=True).strip()
        answered.append([*asked, {"role": "assistant", "content": text or "-"}])
    print(f"The teacher {teacher} has answered {len(answered)} prompts.", flush=True)  # noqa: T201
    return answered


def _write(name: str, rows: list[list[Turn]]) -> str:
    file = Path.cwd() / name
    file.write_text("".join(json.dumps({"messages": one}, ensure_ascii=False) + "\n" for one in rows), encoding="utf-8")
    return str(file)


def _train(words: Sequence[str]) -> tuple[int, Points]:
    points: Points = []
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, errors="replace") as trainer:
        assert trainer.stdout is not None
        step = 0
        for line in trainer.stdout:
            print(line, end="", flush=True)  # noqa: T201 - the trainer's own words
            if line.startswith("LORAFORM "):
                event = _event(line)
                step = int(event.get("step", step))
                if event.get("event") in ("step", "metrics"):
                    points += _points(event, step)
    return trainer.returncode, points


def _event(line: str) -> Mapping[str, Any]:
    try:
        found = json.loads(line.removeprefix("LORAFORM "))
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _points(event: Mapping[str, Any], step: int) -> Points:
    moment = float(event.get("time", time.time()))
    return [
        (moment, step, tag, float(event[name]))
        for name, tag in _TAGS.items()
        if isinstance(event.get(name), int | float)
    ]


def _get(uri: str) -> bytes:
    bucket, name = _split(uri)
    address, _, generation = name.partition("#")
    query = {"alt": "media", **({"generation": generation} if generation else {})}
    url = f"{_storage()}/storage/v1/b/{bucket}/o/{urllib.parse.quote(address, safe='')}?{urllib.parse.urlencode(query)}"
    try:
        with urllib.request.urlopen(url, timeout=600) as answer:
            content: bytes = answer.read()
    except urllib.error.HTTPError as error:
        raise BadRowError(f"{uri} cannot be read: {error.code} {error.reason}") from None
    return content


def _put(uri: str, content: bytes) -> None:
    bucket, name = _split(uri)
    query = urllib.parse.urlencode({"uploadType": "media", "name": name})
    _post(f"{_storage()}/upload/storage/v1/b/{bucket}/o?{query}", content, "application/octet-stream")


def _make_bucket(uri: str, project: str) -> None:
    """Make the output's bucket when it is one of our own, and not there yet."""
    bucket, _ = _split(uri)
    if bucket.startswith("loraform-tuning-"):
        try:
            body = json.dumps({"name": bucket}).encode()
            _post(f"{_storage()}/storage/v1/b?project={project}", body, "application/json")
        except urllib.error.HTTPError as error:
            if error.code != 409:
                raise


def _post(url: str, body: bytes, kind: str) -> None:
    request = urllib.request.Request(url, body, {"content-type": kind}, method="POST")
    with urllib.request.urlopen(request, timeout=600):
        pass


def _storage() -> str:
    return os.environ["STORAGE_EMULATOR_HOST"].rstrip("/")


def _split(uri: str) -> tuple[str, str]:
    bucket, _, name = uri.removeprefix("gs://").partition("/")
    return bucket, name


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
