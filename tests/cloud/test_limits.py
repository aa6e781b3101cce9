from __future__ import annotations

import threading

import pytest

from reconciler.cloud.clock import Clock
from reconciler.cloud.limits import Quotas, TokenBucket
from tests.cloud.fake_clock import Hand


def test_a_whole_minutes_quota_may_be_spent_at_once() -> None:
    hand = Hand()
    bucket = TokenBucket(60, lambda: hand.at, hand.move)

    waits = [bucket.take() for _ in range(60)]

    assert waits == [0.0] * 60


def test_beyond_the_quota_calls_come_evenly_spaced() -> None:
    hand = Hand()
    bucket = TokenBucket(60, lambda: hand.at, hand.move)

    waits = [bucket.take() for _ in range(63)][60:]

    assert waits == pytest.approx([1.0, 1.0, 1.0])


def test_an_idle_minute_refills_the_bucket_and_no_more() -> None:
    hand = Hand()
    bucket = TokenBucket(60, lambda: hand.at, hand.move)
    for _ in range(60):
        bucket.take()
    hand.at += 3600

    waits = [bucket.take() for _ in range(61)]

    assert waits == pytest.approx([0.0] * 60 + [1.0])


def test_two_waiting_threads_do_not_get_the_same_token() -> None:
    waits: list[float] = []
    clock = Clock(monotonic=lambda: 5.0, sleep=lambda seconds: None)
    bucket = TokenBucket(60, clock.monotonic, clock.sleep)
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
