from __future__ import annotations

import threading

import pytest

from reconciler.cloud.clock import Clock
from reconciler.cloud.limits import REFUSED_PAUSE, UNLIMITED, Quotas, TokenBucket
from reconciler.core.errors import Refused
from tests.cloud.fake_clock import Hand


def test_a_whole_minutes_quota_may_be_spent_at_once() -> None:
    hand = Hand()
    bucket = TokenBucket(60, hand.clock)

    waits = [bucket.take() for _ in range(60)]

    assert waits == [0.0] * 60


def test_beyond_the_quota_calls_come_evenly_spaced() -> None:
    hand = Hand()
    bucket = TokenBucket(60, hand.clock)

    waits = [bucket.take() for _ in range(63)][60:]

    assert waits == pytest.approx([1.0, 1.0, 1.0])


def test_an_idle_minute_refills_the_bucket_and_no_more() -> None:
    hand = Hand()
    bucket = TokenBucket(60, hand.clock)
    for _ in range(60):
        bucket.take()
    hand.at += 3600

    waits = [bucket.take() for _ in range(61)]

    assert waits == pytest.approx([0.0] * 60 + [1.0])


def test_two_waiting_threads_do_not_get_the_same_token() -> None:
    waits: list[float] = []
    clock = Clock(monotonic=lambda: 5.0, sleep=lambda seconds: None)
    bucket = TokenBucket(60, clock)
    for _ in range(60):
        bucket.take()

    threads = [threading.Thread(target=lambda: waits.append(bucket.take())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert sorted(waits) == pytest.approx([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0])


def test_job_submissions_have_a_tighter_quota_than_reads() -> None:
    hand = Hand()
    quotas = Quotas(hand.clock)

    submissions = sum(quotas.take("CreateCustomJob") for _ in range(61))
    reads = sum(quotas.take("ListCustomJobs") for _ in range(600))

    assert (submissions, reads) == (pytest.approx(1.0), 0.0)


def test_after_a_refusal_nobody_sends_for_a_while_and_then_at_the_published_rate() -> None:
    hand = Hand()
    quotas = Quotas(hand.clock, UNLIMITED, UNLIMITED)
    before = sum(quotas.take("CreateCustomJob") for _ in range(100))

    quotas.exhausted("CreateCustomJob")
    waits = [quotas.take("CreateCustomJob") for _ in range(3)]

    assert before == 0.0
    assert waits == pytest.approx([REFUSED_PAUSE + 1.0, 1.0, 1.0])


def test_a_refused_submission_slows_no_reads() -> None:
    hand = Hand()
    quotas = Quotas(hand.clock)

    quotas.exhausted("CreateCustomJob")

    assert quotas.take("ListCustomJobs") == 0.0


def test_who_waits_while_another_is_refused_gets_in_line_again() -> None:
    hand = Hand()
    refused: list[float] = []

    def sleep(seconds: float) -> None:
        hand.move(seconds)
        if not refused:
            refused.append(hand.at)
            bucket.exhausted(60)

    bucket = TokenBucket(60, Clock(monotonic=lambda: hand.at, sleep=sleep))
    for _ in range(60):
        bucket.take()

    bucket.take()

    assert hand.at - refused[0] == pytest.approx(REFUSED_PAUSE + 1.0)


def test_a_wait_for_a_quota_ends_when_nothing_may_be_sent_any_more() -> None:
    hand = Hand()
    quotas = Quotas(hand.clock)
    begun = hand.at

    def may_go_on() -> None:
        if hand.at >= begun + 2.0:
            raise Refused("interrupted")

    for _ in range(62):
        quotas.take("CreateCustomJob", may_go_on)
    with pytest.raises(Refused):
        quotas.take("CreateCustomJob", may_go_on)

    assert hand.at == pytest.approx(begun + 2.0)


def test_every_region_has_quotas_of_its_own() -> None:
    hand = Hand()
    quotas = Quotas(hand.clock)
    for _ in range(60):
        quotas.take("CreateCustomJob")

    quotas.exhausted("CreateCustomJob", "us-east1")

    assert quotas.take("CreateCustomJob", region="us-west1") == 0.0
    assert quotas.take("CreateCustomJob") == pytest.approx(1.0)
    assert quotas.take("CreateCustomJob", region="us-east1") > REFUSED_PAUSE - 1.5
