"""`loraform pull` on a real embedded Vertex AI: what was learnt comes home whole, and nothing else is touched."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]


@pytest.fixture
def trained(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository whose experiment `bot` is trained."""
    monkeypatch.chdir(repository)
    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        write_experiment(repository, "bot")
        commit(repository, "A bot")
        assert run(["apply", "--wait"]) == 0
        yield repository


def test_what_was_learnt_comes_home_and_what_is_there_is_never_written_over(trained: Path, capsys: Captured) -> None:
    capsys.readouterr()

    pulled, told = run(["pull", "bot", "home/bot"]), capsys.readouterr().out
    again, refused = run(["pull", "bot", "home/bot"]), capsys.readouterr().err
    unknown = run(["pull", "nobody", "home/nobody"])
    write_experiment(trained, "bot", adapter={"r": 64})
    untrained, missing = run(["pull", "bot", "home/other"]), capsys.readouterr().err

    assert (pulled, again, unknown, untrained) == (0, 3, 1, 1)
    assert (trained / "home/bot/adapter_config.json").read_text() == "{}"
    assert "files in home/bot" in told
    assert "home/bot is there and not empty" in refused
    assert "is not there yet" in missing
    assert [path.name for path in (trained / "home").iterdir()] == ["bot"]
