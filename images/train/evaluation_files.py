"""What an evaluation leaves beside an artifact: `metrics.json`; `predictions.jsonl` and `scores.json` where answers
were asked for. The numbers of `metrics.json` follow from `predictions.jsonl`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

from images.train.evaluation import Evaluated
from schemas.row_scores import RowScores


def write_evaluation(folder: Path, evaluated: Evaluated) -> None:
    """Write the files into `folder`."""
    report = evaluated.report.model_dump(mode="json")
    _write(folder / "metrics.json", json.dumps(report, sort_keys=True, indent=1, ensure_ascii=False) + "\n")
    if evaluated.predictions:
        _write(folder / "predictions.jsonl", "".join(_lines(evaluated)))
    if evaluated.scores is not None:
        _write(folder / "scores.json", evaluated.scores.model_dump_json() + "\n")


def _lines(evaluated: Evaluated) -> Iterator[str]:
    for index, prediction in enumerate(evaluated.predictions):
        line: dict[str, object] = {
            "row": prediction.row,
            "prompt": prediction.prompt,
            "expected": prediction.expected,
            "answer": prediction.answer,
            "stopped": prediction.stopped,
            "scores": _of_row(evaluated.scores, index),
        }
        if evaluated.base_predictions:
            line["base"] = {
                "answer": evaluated.base_predictions[index].answer,
                "scores": _of_row(evaluated.base_scores, index),
            }
        yield json.dumps(line, ensure_ascii=False, sort_keys=True) + "\n"


def _of_row(scores: RowScores | None, index: int) -> dict[str, float]:
    return {} if scores is None else {name: values[index] for name, values in sorted(scores.metrics.items())}


def _write(path: Path, text: str) -> None:
    path.write_text(text, encoding="utf-8")
    path.chmod(0o644)
