from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from reconciler.cloud.clock import Clock
from reconciler.cloud.site import Site, open_site
from reconciler.core.target import Target
from tests.emulator_fixture import running_emulator

NUMBERS = itertools.count(1)


@pytest.fixture(scope="session")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """An embedded Vertex AI whose jobs run until a test ends them, and whose servers answer with their input."""
    programs = {"train": "hold", "serve": "stub"}
    with running_emulator(tmp_path_factory.mktemp("vertex"), programs, "--jobs-at-once", "1000") as address:
        yield address


@pytest.fixture
def target(url: str) -> Target:
    """A fleet and a bucket that no other test has."""
    number = next(NUMBERS)
    return Target(
        name="local",
        fleet=f"fleet{number}",
        project="acme",
        region="europe-west4",
        bucket=f"bucket-{number}",
        api_endpoint=url,
        local=True,
    )


@pytest.fixture
def site(target: Target, tmp_path: Path) -> Site:
    return open_site(target, tmp_path)


@pytest.fixture
def later(target: Target, tmp_path: Path) -> Callable[[float], Site]:
    """The same site as it will look to somebody who comes some seconds later."""

    def at(seconds: float) -> Site:
        import time

        return open_site(target, tmp_path, Clock(now=lambda: time.time() + seconds))

    return at
