from __future__ import annotations

import pytest

from images.train import failures as trainer
from reconciler.backends.failures import EXITS, failure_of
from reconciler.core.resources import Cause

EXITED = "The replica workerpool0-0 exited with a non-zero status of {code}. To find out more see the logs."


@pytest.mark.parametrize(
    ("code", "message", "cause"),
    [
        (8, "Resources are insufficient in region: us-central1.", Cause.STOCKOUT),
        (14, "The zone does not have enough resources available to fulfill the request.", Cause.STOCKOUT),
        (8, "ZONE_RESOURCE_POOL_EXHAUSTED", Cause.STOCKOUT),
        (8, "The following quota metrics exceed quota limits: aiplatform.googleapis.com/x", Cause.QUOTA),
        (8, "Too much.", Cause.QUOTA),
        (10, "The replica was preempted.", Cause.PREEMPTED),
        (1, "CANCELED", Cause.CANCELLED),
        (1, "Quota was what made somebody cancel it", Cause.CANCELLED),
        (13, "Internal error encountered.", Cause.INTERNAL),
        (3, EXITED.format(code=1), Cause.CODE),
        (3, EXITED.format(code=14), Cause.DUPLICATE),
        (3, EXITED.format(code=143), Cause.PREEMPTED),
        (3, EXITED.format(code=140), Cause.CODE),
        (3, EXITED.format(code=1) + " quota preempted insufficient resources", Cause.CODE),
    ],
)
def test_an_error_has_the_cause_that_says_whether_trying_again_helps(code: int, message: str, cause: Cause) -> None:
    assert failure_of({"code": code, "message": message}, "").cause is cause


@pytest.mark.parametrize("error", [None, {}, {"code": "nonsense"}, "text", {"message": ""}, [1]])
def test_an_error_that_says_nothing_is_permanent_and_speaks_the_fallback(error: object) -> None:
    failure = failure_of(error, "it failed")

    assert (failure.cause, failure.message) == (Cause.ERROR, "it failed")


def test_a_code_as_text_counts_like_a_number() -> None:
    assert failure_of({"code": "8", "message": "x"}, "").cause is Cause.QUOTA


def test_every_exit_code_of_the_trainer_has_a_cause() -> None:
    codes = {
        item.exit_code
        for item in vars(trainer).values()
        if isinstance(item, type) and issubclass(item, trainer.TrainingFailed)
    }

    assert codes - {1} == set(EXITS)
