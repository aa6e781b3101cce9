"""One server for all tests that leave it running; a project of its own for every test."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.emulator.buckets import Bucket, Objects
from tests.emulator.clients import Cloud
from tests.emulator.images import STAND_INS, write_programs
from tests.emulator_fixture import running_emulator

_NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Sequence[str] | str]:
    return write_programs(tmp_path_factory.mktemp("images"))


@pytest.fixture(scope="session")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="session")
def url(state: Path, programs: Mapping[str, Sequence[str] | str]) -> Iterator[str]:
    options = ("--jobs-at-once", "4", "--stand-ins", json.dumps(STAND_INS))
    with running_emulator(state, programs, *options) as url:
        yield url


@pytest.fixture
def parent() -> str:
    return f"projects/test-{next(_NUMBERS)}/locations/us-central1"


@pytest.fixture
def cloud(url: str, parent: str) -> Cloud:
    return Cloud(url, parent)


@pytest.fixture
def bucket(url: str) -> Iterator[Bucket]:
    client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
    yield lambda name: Objects(name, client.create_bucket(name))
    client.close()
