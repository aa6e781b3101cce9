"""`loraform ledger`: a site from real commits, with and without a target, in folders of all kinds."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from reconciler.cli.main import run
from tests.cli.commits import commit
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import running_emulator

Captured = pytest.CaptureFixture[str]
AT = ("--at", "2026-11-25T12:00:00Z")


def every(out: Path) -> dict[str, bytes]:
    return {file.relative_to(out).as_posix(): file.read_bytes() for file in out.rglob("*") if file.is_file()}


def test_git_alone_gives_the_same_site_every_time_and_an_old_page_goes(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    out = tmp_path_factory.mktemp("site")
    (out / ".nojekyll").touch()
    write_experiment(repository, "bot")
    old = write_experiment(repository, "old")
    commit(repository, "Begin <b>", 'Eve & "Co" Ltd <eve@example.com>')
    old.write_text(old.read_text().replace("name: old", "name: new\nmoved_from: old"))

    first = run(["ledger", "--offline", "--out", str(out), *AT])
    before = every(out)
    again = run(["ledger", "--offline", "--out", str(out), *AT])
    same = every(out)
    commit(repository, "Another name")
    third = run(["ledger", "--offline", "--out", str(out), *AT])
    after = every(out)

    assert (first, again, third) == (0, 0, 0)
    assert before == same
    assert {"experiments/bot.html", "experiments/old.html", "index.html", ".nojekyll"} <= set(before)
    assert "experiments/old.html" not in after
    assert "experiments/new.html" in after
    assert b"Eve &amp; &#34;Co&#34;" in before["experiments/bot.html"]
    assert b"Begin &lt;b&gt;" in before["experiments/bot.html"]
    assert b"The cloud was not asked" in before["index.html"]
    assert "2 experiments" in capsys.readouterr().out


def test_a_folder_with_other_things_is_refused_and_left_as_it_is(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    write_experiment(repository, "bot")
    commit(repository, "Begin")
    foreign, marked, file = (tmp_path_factory.mktemp("out") for _ in range(3))
    (foreign / "thesis.txt").write_text("all of it")
    (marked / "loraform-ledger.json").write_text("{")
    (file / "taken").touch()

    codes = [run(["ledger", "--offline", "--out", str(out)]) for out in (foreign, marked, file / "taken")]
    wrong = run(["ledger", "--offline", "--out", str(foreign / "new"), "--at", "noon"])

    said = capsys.readouterr().err
    assert (codes, wrong) == ([3, 3, 3], 1)
    assert "holds other things than a ledger: thesis.txt" in said
    assert "`noon` is no time." in said
    assert every(foreign) == {"thesis.txt": b"all of it"}


def test_a_name_in_the_mark_that_leads_elsewhere_removes_nothing(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    write_experiment(repository, "bot")
    commit(repository, "Begin")
    folder = tmp_path_factory.mktemp("out")
    out, kept = folder / "site", folder / "kept.txt"
    out.mkdir()
    kept.write_text("mine")
    (out / "loraform-ledger.json").write_text(json.dumps({"ledger": 1, "files": ["../kept.txt", str(kept)]}))

    assert run(["ledger", "--offline", "--out", str(out)]) == 0
    assert kept.read_text() == "mine"


@pytest.mark.slow
def test_what_is_live_is_told_with_its_run_its_version_and_its_traffic(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch, capsys: Captured
) -> None:
    monkeypatch.chdir(repository)
    out = tmp_path_factory.mktemp("site")
    with running_emulator(repository / ".loraform/vertex", PROGRAMS):
        write_experiment(repository, "bot", adapter={"r": 4})
        commit(repository, "Begin")
        assert run(["apply", "--wait"]) == 0
        write_experiment(repository, "bot", adapter={"r": 16})
        write_experiment(repository, "later")
        commit(repository, "Raise the rank")
        assert run(["apply", "--wait", "bot"]) == 0
        asked = run(["ledger", "--out", str(out), *AT])
    page, overview = (out / "experiments/bot.html").read_text(), (out / "index.html").read_text()
    endpoint = (out / "endpoints/bot.html").read_text()
    later = (out / "experiments/later.html").read_text()
    without = run(["ledger", "--out", str(out), *AT])

    said = capsys.readouterr().err
    assert (asked, without) == (0, 0)
    for words in ("healthy", "in sync", "version 2", "version 1", "100 %", "eval_loss", "adapter.r", "run before"):
        assert words in page
    assert "out of sync" in later
    assert "lf-acme-bot" in endpoint
    assert "The cloud was not asked" not in overview
    assert "Only what git tells: The embedded Vertex AI is not running" in said
    assert "The cloud was not asked: The embedded Vertex AI is not running" in (out / "index.html").read_text()
