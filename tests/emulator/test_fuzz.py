"""Whatever is sent: never a server error, and never a dead server. `fuzz.py` says what is sent.

The deep tier sends 20,000 requests, the others 1,600; the same ones every time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.emulator.clients import Cloud
from tests.emulator.fuzz import prepare, send
from tests.emulator.images import STAND_INS
from tests.emulator_fixture import running_emulator

pytestmark = pytest.mark.slow

COUNT = 5_000 if os.environ.get("HYPOTHESIS_PROFILE") == "deep" else 400


@pytest.fixture
def own(tmp_path: Path, programs: Mapping[str, Sequence[str] | str]) -> Iterator[Cloud]:
    """A server that nobody else uses, as its clock and its faults are played with."""
    options = ("--jobs-at-once", "2", "--stand-ins", json.dumps(STAND_INS))
    with running_emulator(tmp_path, programs, *options) as url:
        yield Cloud(url, "projects/fuzz/locations/us-central1")


@pytest.mark.hypothesis
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(4))
def test_no_request_is_answered_with_a_server_error(own: Cloud, seed: int) -> None:
    tally = send(prepare(own), COUNT, seed)

    assert tally.bad == []
    assert tally.count == COUNT
    assert {200, 400, 404, 501} <= tally.statuses.keys()
