"""Killed amid its writing to this disk, a command leaves files whole, and the next run ends as if nothing had been."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment
from tests.cli.dying import dies_at_byte, dies_before
from tests.emulator_fixture import emulator_card, running_emulator


def files_in(root: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.rglob("*"))
        if path.is_file() and ".git/" not in str(path) and ".loraform" not in path.parts
    }


@pytest.mark.heavy
def test_killed_anywhere_in_init_the_next_one_ends_it(tmp_path: Path) -> None:
    whole = tmp_path / "acme"
    whole.mkdir()
    dies_before(0, whole, "init", "--fleet", "acme")
    wanted = files_in(whole)
    deaths = 0
    for nth in itertools.count(1):
        root = tmp_path / f"n{nth}"
        root.mkdir()
        died = dies_before(nth, root, "init", "--fleet", "acme")
        dies_before(0, root, "init", "--fleet", "acme")
        assert files_in(root) == wanted, nth
        deaths += died
        if not died:
            break
    assert deaths >= 3 * len(wanted)


@pytest.mark.parametrize("size", [0, 1, 100, 400, 2000, 8192])
def test_killed_in_the_middle_of_a_file_init_leaves_no_half_one(tmp_path: Path, size: int) -> None:
    root, whole = tmp_path / "acme", tmp_path / "whole"
    for folder in (root, whole):
        folder.mkdir()
    dies_before(0, whole, "init", "--fleet", "acme")

    died = dies_at_byte(size, root, "init", "--fleet", "acme")
    named = {name: content for name, content in files_in(root).items() if not name.endswith(".new")}
    dies_before(0, root, "init", "--fleet", "acme")

    assert died
    assert named.items() <= files_in(whole).items()
    assert files_in(root) == files_in(whole)


@pytest.fixture
def pinnable(repository: Path) -> Iterator[Path]:
    """A repository with a manifest whose rows, train and eval, can be pinned."""
    with running_emulator(repository / ".loraform/vertex", {}):
        url = emulator_card(repository / ".loraform/vertex")["url"]
        client = storage.Client("p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})
        bucket = client.create_bucket("rows")
        for name in ("train", "eval"):
            bucket.blob(f"{name}.jsonl").upload_from_string('{"messages": []}\n')
        write_experiment(repository, "bot", data={"train": "gs://rows/train.jsonl", "eval": "gs://rows/eval.jsonl"})
        commit(repository, "one")
        yield repository
        client.close()


def pins_of(root: Path) -> list[str]:
    data = yaml.safe_load((root / "experiments/bot.yaml").read_text())["data"]
    return [data[key].partition("#")[2] for key in ("train", "eval")]


@pytest.mark.heavy
def test_killed_anywhere_in_pin_each_pin_is_written_whole_or_not_at_all(pinnable: Path) -> None:
    dies_before(0, pinnable, "pin")
    wanted = pins_of(pinnable)
    seen: set[tuple[str, ...]] = set()
    assert all(wanted)

    deaths = [
        *((dies_before, nth) for nth in range(1, 9)),
        *((dies_at_byte, size) for size in (0, 1, 50, 200)),
    ]
    for die, at in deaths:
        git(pinnable, "checkout", "--quiet", "--", ".")
        die(at, pinnable, "pin")
        seen.add(tuple(pins_of(pinnable)))
        dies_before(0, pinnable, "pin")
        assert pins_of(pinnable) == wanted
        assert git(pinnable, "status", "--porcelain") == "M experiments/bot.yaml", at

    assert ("", "") in seen
    assert all(pin in ("", new) for pins in seen for pin, new in zip(pins, wanted, strict=True))


@pytest.mark.heavy
def test_killed_anywhere_in_a_plan_its_caches_do_no_harm(pinnable: Path) -> None:
    write_experiment(pinnable, "cat")
    (pinnable / "base/model.safetensors").write_bytes(bytes(2_000_000))  # worth remembering
    wanted = files_in(pinnable)

    for die, at in [*((dies_before, nth) for nth in range(1, 7)), *((dies_at_byte, size) for size in (0, 10, 60))]:
        for cache in (pinnable / ".loraform").glob("*.json*"):
            cache.unlink()
        _plan(die, at, pinnable)
        assert _plan(dies_before, 0, pinnable) is False
        assert files_in(pinnable) == wanted


@pytest.mark.heavy
def test_killed_anywhere_the_memory_of_parsed_manifests_does_no_harm(repository: Path) -> None:
    for number in range(220):  # so many are worth remembering
        write_experiment(repository, f"bot-{number}", training={"seed": number + 1})
    wanted = files_in(repository)
    sheets = repository / ".loraform/sheets"

    for die, at in [
        *((dies_before, nth) for nth in (1, 2, 4, 5, 6, 7, 20)),
        *((dies_at_byte, size) for size in (1, 99)),
    ]:
        for shard in sheets.glob("*.bin"):
            shard.unlink()
        died = die(at, repository, "validate")
        assert died
        assert not dies_before(0, repository, "validate")
        assert list(sheets.glob("*.bin"))
        assert files_in(repository) == wanted


def _plan(die: object, at: int, root: Path) -> bool:
    assert callable(die)
    try:
        return bool(die(at, root, "plan"))
    except AssertionError as error:
        if error.args == (2,):  # there are changes to apply: it ran to its end
            return False
        raise
