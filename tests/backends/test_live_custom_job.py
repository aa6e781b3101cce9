from __future__ import annotations

import pytest

from reconciler.backends.registry import KINDS
from reconciler.core.resources import Address, Cause, Phase, Role
from tests.backends.payload import names, payload

LIVE = KINDS["custom_job"].live

PHASES = {
    "custom_job-queued": Phase.PENDING,
    "custom_job-pending": Phase.PENDING,
    "custom_job-running": Phase.RUNNING,
    "custom_job-updating": Phase.RUNNING,
    "custom_job-ready": Phase.READY,
    "custom_job-failed": Phase.FAILED,
    "custom_job-failed-duplicate": Phase.FAILED,
    "custom_job-failed-preempted": Phase.FAILED,
    "custom_job-failed-quota": Phase.FAILED,
    "custom_job-failed-stock-out": Phase.FAILED,
    "custom_job-expired": Phase.FAILED,
    "custom_job-cancelled": Phase.FAILED,
    "custom_job-cancelling": Phase.DELETING,
    "custom_job-paused": Phase.UNKNOWN,
}

CAUSES = {
    "custom_job-failed": Cause.CODE,
    "custom_job-failed-duplicate": Cause.DUPLICATE,
    "custom_job-failed-preempted": Cause.PREEMPTED,
    "custom_job-failed-quota": Cause.QUOTA,
    "custom_job-failed-stock-out": Cause.STOCKOUT,
    "custom_job-expired": Cause.TIMEOUT,
    "custom_job-cancelled": Cause.CANCELLED,
}


@pytest.mark.parametrize("name", names("custom_job"))
def test_every_job_has_the_phase_of_its_state(name: str) -> None:
    (job,) = LIVE(payload(name), "acme")

    assert job.phase is PHASES[name]


@pytest.mark.parametrize("name", names("custom_job"))
def test_a_job_that_has_ended_is_history(name: str) -> None:
    (job,) = LIVE(payload(name), "acme")

    assert job.history == (job.phase in (Phase.READY, Phase.FAILED))


@pytest.mark.parametrize("name", names("custom_job"))
def test_only_a_failed_job_has_a_failure_and_it_names_its_cause(name: str) -> None:
    (job,) = LIVE(payload(name), "acme")

    assert (job.failure.cause if job.failure else None) is CAUSES.get(name)


def test_a_job_is_read_back_with_what_it_was_stamped_with() -> None:
    (job,) = LIVE(payload("custom_job-running"), "acme")

    assert job.address == Address("support-bot", Role.TRAINING)
    assert job.stamp == "4f1c2a9b7d3e6f805142"
    assert job.attempt_key == "0c5be6a1f2d3948576ab"
    assert job.name == "projects/580378083368/locations/europe-west4/customJobs/6402716318273593344"


def test_times_are_seconds_of_the_present_phase() -> None:
    created, started, ended = 1763625600.123456, 1763626051.0, 1763629918.0

    times = [
        (job.created, job.since)
        for name in ("pending", "running", "ready")
        for job in LIVE(payload(f"custom_job-{name}"), "acme")
    ]

    assert times == [(created + 31536000, item + 31536000) for item in (created, started, ended)]


def test_a_state_by_number_reads_like_the_same_state_by_name() -> None:
    by_number = {**payload("custom_job-running"), "state": 3}

    assert LIVE(by_number, "acme") == LIVE(payload("custom_job-running"), "acme")


def test_a_state_that_nobody_knows_is_unknown() -> None:
    (job,) = LIVE({**payload("custom_job-running"), "state": 99}, "acme")

    assert job.phase is Phase.UNKNOWN
    assert job.outputs["state"] == "99"


@pytest.mark.parametrize("fleet", ["acm", "acme2", ""])
def test_a_job_of_another_fleet_is_invisible(fleet: str) -> None:
    assert LIVE(payload("custom_job-running"), fleet) == ()


def test_a_job_without_labels_is_invisible() -> None:
    stranger = {key: value for key, value in payload("custom_job-running").items() if key != "labels"}

    assert LIVE(stranger, "acme") == ()


def test_a_failed_job_without_a_message_still_says_something() -> None:
    silent = {**payload("custom_job-failed"), "error": {}}

    (job,) = LIVE(silent, "acme")

    assert job.failure is not None
    assert job.failure.message == "the job failed and the service gives no message"
