"""Tasks of lm-evaluation-harness, by their names there, on the model that will be served. Optional: the image does not
bring the harness, and says so before anything is trained.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Sequence
from typing import Any

from images.train.failures import SpecInvalid


def check(tasks: Sequence[str]) -> None:
    """Raise `SpecInvalid` for tasks that cannot be run here: no harness, or no task of that name."""
    if not tasks:
        return
    if importlib.util.find_spec("lm_eval") is None:
        raise SpecInvalid(
            f"evaluation.harness asks for {', '.join(tasks)}, and lm-evaluation-harness is not in this image",
            "Build an image with `pip install lm-eval` on top of it and name it in loraform.yaml, or drop the tasks.",
        )
    from lm_eval.tasks import TaskManager

    unknown = sorted(set(tasks) - set(TaskManager().all_tasks))
    if unknown:
        raise SpecInvalid(
            f"lm-evaluation-harness has no task {', '.join(unknown)}", "`lm-eval ls tasks` lists what it has."
        )


def run(tasks: Sequence[str], model: Any, tokenizer: Any) -> dict[str, float]:
    """`<task>_<metric>` of every task, such as `arc_easy_acc`; nothing without tasks."""
    if not tasks:
        return {}
    from lm_eval import simple_evaluate
    from lm_eval.models.huggingface import HFLM

    found = simple_evaluate(model=HFLM(pretrained=model, tokenizer=tokenizer), tasks=list(tasks), log_samples=False)
    return named(found["results"])


def named(results: dict[str, dict[str, Any]]) -> dict[str, float]:
    """The harness' results as metrics: `{"arc_easy": {"acc,none": 0.5}}` is `arc_easy_acc: 0.5`."""
    metrics = {}
    for task, measured in sorted(results.items()):
        for key, value in sorted(measured.items()):
            name = f"{task}_{key.partition(',')[0]}".lower().replace("-", "_").replace(".", "_")
            if isinstance(value, int | float) and math.isfinite(value) and not name.endswith("_stderr"):
                metrics[name] = round(float(value), 6)
    return metrics
