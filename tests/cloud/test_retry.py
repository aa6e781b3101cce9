from __future__ import annotations

from collections.abc import Callable

import pytest
import requests
from google.api_core import exceptions as api

from reconciler.cloud.errors import LostAnswer, Unreachable, from_answer
from reconciler.cloud.retry import Patience, with_patience
from reconciler.core.errors import Conflict, Refused, Retryable, Terminal
from tests.cloud.fake_clock import Hand

STEADY = Patience(first=1.0, longest=4.0, attempts=5, deadline=60.0, jitter=lambda: 1.0)


def answers(*problems: Exception) -> Callable[[], str]:
    """A call that fails in these ways, one after the other, and then succeeds."""
    queue = list(problems)

    def call() -> str:
        if queue:
            raise queue.pop(0)
        return "done"

    return call


def said(code: int, status: str = "") -> Exception:
    return from_answer(code, status, "no", "a call")


def test_too_many_requests_are_repeated_with_growing_pauses() -> None:
    hand = Hand()

    result = with_patience(answers(said(429), said(429), said(429)), "CreateCustomJob", "x", hand.clock, STEADY)

    assert (result, hand.slept) == ("done", [1.0, 2.0, 4.0])


def test_pauses_are_jittered_over_their_full_length() -> None:
    hand = Hand()
    patience = Patience(first=8.0, longest=8.0, attempts=3, deadline=60.0, jitter=lambda: 0.25)

    with_patience(answers(said(503), said(503)), "GetEndpoint", "x", hand.clock, patience)

    assert hand.slept == [2.0, 2.0]


def test_patience_ends_with_the_last_problem() -> None:
    hand = Hand()

    with pytest.raises(Retryable) as caught:
        with_patience(answers(*[said(503)] * 9), "GetEndpoint", "x", hand.clock, STEADY)

    assert (caught.value.code, len(hand.slept)) == (503, 4)


def test_no_pause_goes_beyond_the_deadline() -> None:
    hand = Hand()
    patience = Patience(first=10.0, longest=10.0, attempts=99, deadline=25.0, jitter=lambda: 1.0)

    with pytest.raises(Retryable):
        with_patience(answers(*[said(503)] * 99), "GetEndpoint", "x", hand.clock, patience)

    assert sum(hand.slept) <= 25.0


@pytest.mark.parametrize("code", [400, 401, 403, 404, 412])
def test_what_repeating_cannot_help_is_raised_at_once(code: int) -> None:
    hand = Hand()

    with pytest.raises(type(said(code))):
        with_patience(answers(said(code)), "GetEndpoint", "x", hand.clock, STEADY)

    assert hand.slept == []


@pytest.mark.parametrize("code", [500, 502, 503, 504])
def test_a_job_whose_creation_the_server_may_have_done_is_not_sent_again(code: int) -> None:
    hand = Hand()

    with pytest.raises(LostAnswer) as caught:
        with_patience(answers(said(code)), "CreateCustomJob", "x", hand.clock, STEADY)

    assert (caught.value.answered, hand.slept) == (True, [])


def test_a_connection_that_broke_after_sending_a_job_is_a_lost_answer() -> None:
    hand = Hand()

    with pytest.raises(LostAnswer) as caught:
        with_patience(answers(requests.ConnectionError("reset")), "CreateCustomJob", "x", hand.clock, STEADY)

    assert not caught.value.answered


def test_a_connection_that_was_never_made_is_tried_again_even_for_a_job() -> None:
    hand = Hand()
    refused = Unreachable("refused", sent=False)

    result = with_patience(answers(refused), "CreateCustomJob", "x", hand.clock, STEADY)

    assert result == "done"


def test_a_conflict_after_a_lost_attempt_may_be_our_own_doing() -> None:
    hand = Hand()

    with pytest.raises(LostAnswer):
        with_patience(answers(said(503), said(409, "ALREADY_EXISTS")), "CreateEndpoint", "x", hand.clock, STEADY)


def test_a_conflict_at_the_first_attempt_is_a_conflict() -> None:
    hand = Hand()

    with pytest.raises(Conflict):
        with_patience(answers(said(409, "ALREADY_EXISTS")), "CreateEndpoint", "x", hand.clock, STEADY)


def test_missing_gpu_quota_is_not_hammered() -> None:
    hand = Hand()
    problem = from_answer(429, "", "The following quota metrics exceed quota limits: nvidia_l4_gpus", "x")

    with pytest.raises(Retryable):
        with_patience(answers(problem), "CreateCustomJob", "x", hand.clock, STEADY)

    assert hand.slept == []


def test_a_mistake_of_ours_is_raised_as_it_is() -> None:
    hand = Hand()

    with pytest.raises(ZeroDivisionError):
        with_patience(answers(ZeroDivisionError()), "GetEndpoint", "x", hand.clock, STEADY)


def test_over_grpc_a_broken_connection_looks_like_an_unavailable_server() -> None:
    hand = Hand()

    with pytest.raises(LostAnswer) as caught:
        with_patience(answers(api.ServiceUnavailable("Socket closed")), "CreateCustomJob", "x", hand.clock, STEADY)

    assert not caught.value.answered


def test_no_credentials_is_a_terminal_error_with_the_way_out() -> None:
    from google.auth.exceptions import DefaultCredentialsError

    hand = Hand()

    with pytest.raises(Terminal) as caught:
        with_patience(answers(DefaultCredentialsError("none found")), "GetEndpoint", "x", hand.clock, STEADY)

    assert "gcloud auth application-default login" in caught.value.remedy


def test_a_used_up_request_quota_is_waited_for_beyond_all_attempts() -> None:
    hand = Hand()

    result = with_patience(answers(*[said(429)] * 20), "CreateCustomJob", "x", hand.clock, STEADY, queues=True)

    assert (result, len(hand.slept)) == ("done", 20)


def test_waiting_for_a_request_quota_has_an_end() -> None:
    hand = Hand()
    patience = Patience(first=1.0, longest=4.0, queue=30.0, jitter=lambda: 1.0)

    with pytest.raises(Retryable) as caught:
        with_patience(answers(*[said(429)] * 99), "CreateCustomJob", "x", hand.clock, patience, queues=True)

    assert caught.value.code == 429
    assert sum(hand.slept) <= 30.0


def test_who_may_not_go_on_does_not_try_again() -> None:
    hand = Hand()

    def may_go_on() -> None:
        raise Refused("interrupted")

    with pytest.raises(Refused):
        with_patience(answers(said(429)), "GetEndpoint", "x", hand.clock, STEADY, may_go_on=may_go_on)

    assert hand.slept == []


def test_an_attempt_that_may_have_had_its_effect_is_not_called_undone_when_it_may_not_be_repeated() -> None:
    hand = Hand()

    def may_go_on() -> None:
        raise Refused("interrupted")

    with pytest.raises(LostAnswer):
        with_patience(answers(said(503)), "CreateEndpoint", "x", hand.clock, STEADY, may_go_on=may_go_on)
