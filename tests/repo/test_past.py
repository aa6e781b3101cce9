"""All experiments of a branch at once: the same as `loraform history` tells of each, with two calls of git."""

from __future__ import annotations

from pathlib import Path

import pytest

from reconciler.cli.lineage import read_lineage
from reconciler.cli.target import target_of
from reconciler.core.errors import LoraformError
from reconciler.core.lineage import Step
from reconciler.repo.blobs import open_blobs
from reconciler.repo.branch_log import walk
from reconciler.repo.files import Files, Unreadable
from reconciler.repo.past import Past, read_past
from reconciler.repo.tree_files import TreeFiles, matches
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    (tmp_path / "loraform.yaml").write_text("apiVersion: loraform/v1\nkind: Project\nfleet: acme\n")
    return tmp_path


def past_of(root: Path) -> Past:
    return read_past(root, None, lambda project: target_of(project, None, root, must_run=False))


def told(step: Step) -> tuple[object, ...]:
    point = step.point
    fields = [(item.path, item.before, item.after, item.effect) for item in step.fields]
    return point.commit, point.experiment, step.kind, step.again, fields, [one.identity for one in point.resources]


def story(repository: Path) -> None:
    """Edits, other rows, another base, defaults, a mistake, a rename, a second document, a revert, a removal."""
    first = write_experiment(repository, "bot")
    other = write_experiment(repository, "other", adapter={"r": 2})
    commit(repository, "one")
    write_experiment(repository, "bot", adapter={"r": 8})
    changed = commit(repository, "two \x1b[31m", "Eve <script> <eve@example.com>")
    (repository / "rows.jsonl").write_text('{"messages": [1]}\n')
    commit(repository, "three")
    (repository / "base/more.json").write_text("{}")
    commit(repository, "four")
    project = repository / "loraform.yaml"
    project.write_text(project.read_text() + "defaults: {serving: {max_replica_count: 1}, training: {seed: 7}}\n")
    commit(repository, "five")
    whole = first.read_text()
    first.write_text(f"{whole}typo: 1\n")
    commit(repository, "six")
    first.write_text(whole)
    commit(repository, "seven")
    moved = repository / "experiments/deeper/helper.yaml"
    moved.parent.mkdir()
    git(repository, "mv", str(first), str(moved))
    moved.write_text(whole.replace("name: bot", "name: helper\nmoved_from: bot"))
    commit(repository, "eight")
    git(repository, "revert", "--no-edit", "--no-commit", changed)
    commit(repository, "nine")
    project.write_text(project.read_text() + "prices: {'*': {g2-standard-12: 1.0}}\n")
    commit(repository, "ten")
    other.unlink()
    commit(repository, "eleven")


def test_it_tells_what_history_tells_of_each_experiment(repository: Path) -> None:
    story(repository)

    past = past_of(repository)

    assert sorted(past.steps) == ["helper", "other"]
    for name in past.steps:
        assert [told(step) for step in past.steps[name]] == [
            told(step) for step in read_lineage(repository, name, None, 99)
        ]
    assert sorted(past.experiments) == ["helper"]
    assert len(past.commits) == 11


def test_an_experiment_in_a_folder_of_a_larger_repository_is_found(tmp_path: Path) -> None:
    inner = tmp_path / "ml"
    inner.mkdir()
    (inner / "loraform.yaml").write_text("apiVersion: loraform/v1\nkind: Project\nfleet: acme\n")
    write_experiment(inner, "bot")
    commit(tmp_path, "one")
    (tmp_path / "elsewhere").write_text("x")
    commit(tmp_path, "two")

    past = past_of(inner)

    assert [step.point.commit.subject for step in past.steps["bot"]] == ["one"]


def test_what_git_ignores_stands_in_from_the_working_tree(repository: Path) -> None:
    write_experiment(repository, "bot")
    commit(repository, "nothing yet")
    (repository / ".gitignore").write_text(".loraform/\nbase/\n")
    git(repository, "rm", "-r", "--quiet", "--cached", "base")
    commit(repository, "ignore the base")

    newest = past_of(repository).steps["bot"][0]

    assert newest.point.problem == ""


def test_the_routes_of_a_shared_endpoint_are_known_over_time(repository: Path) -> None:
    place = repository / "experiments/shared.yaml"
    place.parent.mkdir()
    text = "apiVersion: loraform/v1\nkind: Endpoint\nname: host\n"
    text += "model: {base: org/name, revision: %s}\nroutes: {faq: %s}\n"
    place.write_text(text % ("0" * 40, "{bot: 90, other: 10}"))
    commit(repository, "one")
    place.write_text(text % ("0" * 40, "bot"))
    commit(repository, "two")
    place.write_text(text % ("1" * 40, "bot"))
    commit(repository, "three")
    place.unlink()
    commit(repository, "four")

    past = past_of(repository)

    assert [(one.commit.subject, one.routes) for one in past.endpoints["host"]] == [
        ("one", (("faq", (("bot", 90), ("other", 10))),)),
        ("two", (("faq", (("bot", 100),)),)),
        ("four", ()),
    ]
    assert past.shared == {}


def test_outside_a_repository_it_says_so(repository: Path) -> None:
    with pytest.raises(LoraformError):
        past_of(repository)


def test_a_commit_hashes_files_folders_and_patterns_as_a_checkout_does(repository: Path) -> None:
    for name in ("data/b.jsonl", "data/a.jsonl", "data/deep/c.jsonl", "data/a/x.json", "top.jsonl"):
        (repository / name).parent.mkdir(parents=True, exist_ok=True)
        (repository / name).write_text(name)
    (repository / "data/link.jsonl").symlink_to("b.jsonl")
    commit(repository, "one")
    here = Files(repository)

    with open_blobs(repository) as blobs:
        there = TreeFiles(repository, blobs, Files(repository))
        for visit in walk(repository):
            there.go(visit.changes)
        for path in ("top.jsonl", "data/link.jsonl", "./data/b.jsonl"):
            assert there.content(path).digest == here.content(path).digest
        for pattern in ("data/*.jsonl", "data/**/*.jsonl", "*.jsonl"):
            assert there.matching(pattern) == here.matching(pattern)
        assert there.is_folder("data")
        assert not there.exists("nothing")
        with pytest.raises(Unreadable):
            there.content("nothing")
        with pytest.raises(Unreadable):
            there.matching("nothing/*")
        with pytest.raises(Unreadable):
            there.text("nothing")
        (repository / "data/link.jsonl").unlink()
        assert there.content("data/deep").digest == here.content("data/deep").digest
        with pytest.raises(LoraformError):
            blobs.read("0" * 40)


@pytest.mark.parametrize(
    ("path", "pattern", "right"),
    [
        ("experiments/bot.yaml", "experiments/**/*.yaml", True),
        ("experiments/a/b/bot.yaml", "experiments/**/*.yaml", True),
        ("experiments/bot.yml", "experiments/**/*.yaml", False),
        ("other/bot.yaml", "experiments/**/*.yaml", False),
        ("experiments/bot.yaml", "./experiments/*.yaml", True),
        ("experiments/a/bot.yaml", "experiments/*.yaml", False),
    ],
)
def test_patterns_match_as_the_working_tree_does(path: str, pattern: str, right: bool) -> None:
    assert matches(path, pattern) is right


def test_what_goes_on_from_another_experiment_is_told_when_that_one_changes(repository: Path) -> None:
    write_experiment(repository, "zoo")
    write_experiment(repository, "after", model={"from": "zoo"})
    commit(repository, "one")
    write_experiment(repository, "zoo", adapter={"r": 8})
    commit(repository, "two")
    write_experiment(repository, "zoo", adapter={"r": 8}, serving={"max_replica_count": 2})
    commit(repository, "three")

    steps = past_of(repository).steps

    assert [step.point.problem for step in steps["after"]] == ["", ""]
    assert [(step.point.commit.subject, str(step.kind)) for step in steps["after"]] == [
        ("two", "new run"),
        ("one", "new"),
    ]
