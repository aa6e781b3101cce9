"""What a cloud target refuses, with the embedded Vertex AI in the place of the cloud."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.conftest import write_experiment
from tests.emulator_fixture import emulator_card, running_emulator

DIGEST = "sha256:" + "a" * 64


def git(repository: Path, *arguments: str) -> str:
    who = ["-c", "user.name=Ann", "-c", "user.email=ann@example.com"]
    done = subprocess.run(["git", *who, *arguments], cwd=repository, capture_output=True, text=True, check=True)
    return done.stdout.strip()


@pytest.fixture
def prod(repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A repository whose default target is a cloud, with one commit on main."""
    monkeypatch.chdir(repository)
    folder = tmp_path_factory.mktemp("cloud")
    with running_emulator(folder, {"train": "hold", "serve": "stub"}):
        (repository / "loraform.yaml").write_text(
            "apiVersion: loraform/v1\nkind: Project\nfleet: acme\ndefault_target: prod\n"
            f"images: {{train: train@{DIGEST}, serve: serve@{DIGEST}}}\n"
            "targets:\n"
            "  prod: {project: acme-ml, region: europe-west4, bucket: acme-rows, "
            f"api_endpoint: '{emulator_card(folder)['url']}'}}\n"
        )
        write_experiment(repository, "bot")
        (repository / ".gitignore").write_text(".loraform/\n")
        git(repository, "init", "--quiet", "--initial-branch=main")
        git(repository, "add", ".")
        git(repository, "commit", "--quiet", "--message", "one")
        yield repository


def test_a_commit_on_the_default_branch_is_applied_and_accepted(prod: Path, capsys: pytest.CaptureFixture[str]) -> None:
    code = run(["apply"])

    assert code == 0, capsys.readouterr().err
    assert "created    bot training" in capsys.readouterr().out


def test_a_dirty_tree_is_refused(prod: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_experiment(prod, "bot", adapter={"r": 16})

    code = run(["apply"])

    assert code == 3
    assert "experiments/bot.yaml" in capsys.readouterr().err


def test_a_commit_that_is_not_on_the_default_branch_is_refused(prod: Path, capsys: pytest.CaptureFixture[str]) -> None:
    git(prod, "switch", "--quiet", "--create", "topic")
    write_experiment(prod, "bot", adapter={"r": 16})
    git(prod, "commit", "--quiet", "--all", "--message", "two")

    planned, applied = run(["plan"]), run(["apply"])

    assert (planned, applied) == (2, 3)
    assert "not on the default branch" in capsys.readouterr().err


def test_a_commit_from_before_the_accepted_one_is_refused(prod: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = git(prod, "rev-parse", "HEAD")
    (prod / "notes.md").write_text("two\n")
    git(prod, "add", ".")
    git(prod, "commit", "--quiet", "--message", "two")
    run(["apply"])
    git(prod, "checkout", "--quiet", first)

    code = run(["apply"])

    assert code == 3
    assert "does not descend from the accepted commit" in capsys.readouterr().err
