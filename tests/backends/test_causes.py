"""Every named cause is found in what the services and libraries really print when it strikes (`causes.yaml`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from reconciler.backends.failures import failure_of, with_log
from reconciler.core.resources import Cause, Failure

ENDED = "The replica workerpool0-0 exited with a non-zero status of {0}. To find out more please check the logs."
SERVER = "Model server exited unexpectedly. Model server logs can be found at https://console.cloud.google.com/logs"
TEXTS: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parent / "causes.yaml").read_text(encoding="utf-8"))


@pytest.mark.parametrize("text", TEXTS, ids=lambda text: text["cause"])
def test_an_error_and_its_log_have_a_name(text: dict[str, Any]) -> None:
    line = text.get("log", "")
    log = ("Loading checkpoint shards: 100%", "Traceback (most recent call last):", line, "bye") if line else ()

    failure = failure_of({"code": text["code"], "message": text["error"]}, "", log)

    assert failure.cause == text["cause"]
    assert failure.evidence.removesuffix("…") == line[: 300 - failure.evidence.endswith("…")]


def test_every_cause_is_found_in_some_text() -> None:
    assert {text["cause"] for text in TEXTS} == set(Cause)


@pytest.mark.parametrize("message", [ENDED.format(1), SERVER, "Something new."])
def test_a_log_never_makes_a_failure_one_that_is_tried_again(message: str) -> None:
    log = ("quota exceeded", "preempted", "Resources are insufficient", "Internal error encountered.", "stock-out")

    failure = failure_of({"code": 3, "message": message}, "", log)

    assert not failure.cause.transient


@pytest.mark.parametrize("code", [8, 10, 1])
def test_what_a_log_says_does_not_change_what_the_error_is_sure_of(code: int) -> None:
    before = failure_of({"code": code, "message": "Resources are insufficient in region: us-central1."}, "")

    after = with_log(before, ("torch.OutOfMemoryError: CUDA out of memory.",))

    assert after.cause is before.cause


def test_the_line_in_which_the_trainer_says_why_it_ends_is_the_evidence() -> None:
    log = ("train.jsonl:3: no answer", "error: 1 row cannot be trained on. Mend it.")

    failure = failure_of({"code": 3, "message": ENDED.format(10)}, "", log)

    assert (failure.cause, failure.evidence) == (Cause.DATA, "error: 1 row cannot be trained on. Mend it.")


def test_the_end_of_a_log_that_an_error_quotes_counts_as_log() -> None:
    quoted = ENDED.format(1) + "\nThe last lines of the log:\nquota\ntorch.OutOfMemoryError: CUDA out of memory.\n"

    failure = failure_of({"code": 3, "message": quoted}, "")

    assert (failure.cause, failure.evidence) == (Cause.GPU_MEMORY, "torch.OutOfMemoryError: CUDA out of memory.")


def test_a_failure_keeps_its_evidence_when_no_log_can_be_read() -> None:
    known = Failure(Cause.DATA, "it failed", "train.jsonl:3: no answer")

    assert with_log(known) == known
