"""The embedded Vertex AI whose buckets and secrets these tests read."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.emulator_fixture import running_emulator


@pytest.fixture(scope="session")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of an embedded Vertex AI."""
    with running_emulator(tmp_path_factory.mktemp("cloud"), {}) as url:
        yield url
