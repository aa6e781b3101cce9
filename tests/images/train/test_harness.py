from __future__ import annotations

import importlib.util

import pytest

from images.train import harness
from images.train.failures import SpecInvalid


@pytest.mark.skipif(importlib.util.find_spec("lm_eval") is not None, reason="the harness is installed here")
def test_tasks_without_the_harness_are_refused_before_anything_is_trained() -> None:
    with pytest.raises(SpecInvalid, match="asks for arc_easy, and lm-evaluation-harness is not in this image"):
        harness.check(("arc_easy",))


def test_no_tasks_need_no_harness() -> None:
    harness.check(())


def test_results_are_named_by_task_and_metric() -> None:
    results = {"arc_easy": {"alias": "arc_easy", "acc,none": 0.5, "acc_stderr,none": 0.01}, "GSM8k": {"x-y,z": 1}}

    assert harness.named(results) == {"arc_easy_acc": 0.5, "gsm8k_x_y": 1.0}
