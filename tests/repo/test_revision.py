"""Commits written out of git, and the way that a file went through them."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.core.errors import LoraformError
from reconciler.repo.commits import commits_of_file, commits_of_paths, deleted_manifest, order_of
from reconciler.repo.revision import SCRATCH, open_revision

WHO = ("-c", "user.name=Ann", "-c", "user.email=ann@example.com", "-c", "commit.gpgsign=false")
LONG = "".join(f"line {number}\n" for number in range(40))


def git(folder: Path, *arguments: str) -> str:
    answer = subprocess.run(["git", "-C", str(folder), *WHO, *arguments], capture_output=True, text=True, check=True)
    return answer.stdout.strip()


def committed(folder: Path, subject: str, **files: str) -> str:
    if not (folder / ".git").exists():
        git(folder, "init", "-b", "main")
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    git(folder, "add", "--all", "--", ".", f":!{SCRATCH.parts[0]}")
    git(folder, "commit", "--allow-empty", "-m", subject)
    return git(folder, "rev-parse", "HEAD")


def test_only_what_is_asked_for_is_written_and_nothing_stays(tmp_path: Path) -> None:
    committed(
        tmp_path,
        "one",
        **{"a.yaml": "1", "sub/ü b.yml": "1", "rows.jsonl": "1", ".gitattributes": "a.yaml export-ignore"},
    )
    committed(tmp_path, "two", **{"a.yaml": "2"})
    index = (tmp_path / ".git/index").read_bytes()

    with open_revision(tmp_path, "HEAD~1") as revision:
        revision.write_manifests()
        written = {path.relative_to(revision.root).as_posix() for path in revision.root.rglob("*") if path.is_file()}
        text = (revision.root / "a.yaml").read_text()

    assert written == {"a.yaml", "sub/ü b.yml"}
    assert text == "1"
    assert (tmp_path / ".git/index").read_bytes() == index
    assert list((tmp_path / SCRATCH).iterdir()) == []


def test_a_name_that_is_no_commit_is_refused(tmp_path: Path) -> None:
    committed(tmp_path, "one", a="1")

    with pytest.raises(LoraformError, match="names no commit"), open_revision(tmp_path, "--all"):
        pass


def test_outside_a_repository_there_is_no_commit(tmp_path: Path) -> None:
    with pytest.raises(LoraformError, match="names no commit"), open_revision(tmp_path, "HEAD"):
        pass


def test_a_commit_with_a_link_is_written_whole(tmp_path: Path) -> None:
    (tmp_path / "link.yaml").symlink_to("target.txt")
    committed(tmp_path, "one", **{"target.txt": "1"})

    with open_revision(tmp_path, "HEAD") as revision:
        revision.write(["link.yaml"])

        assert (revision.root / "link.yaml").read_text() == "1"


def test_a_file_is_followed_through_renames_and_through_merges_by_their_first_parent(tmp_path: Path) -> None:
    first = committed(tmp_path, "one", **{"old name.yaml": LONG})
    git(tmp_path, "switch", "--create", "topic")
    committed(tmp_path, "on the side", **{"old name.yaml": LONG + "more\n"})
    git(tmp_path, "switch", "main")
    committed(tmp_path, "beside", other="1")
    git(tmp_path, "merge", "--no-ff", "--message", "merge\ttopic", "topic")
    merge = git(tmp_path, "rev-parse", "HEAD")
    git(tmp_path, "mv", "old name.yaml", "new.yaml")
    renamed = committed(tmp_path, "rename")

    found = commits_of_file(tmp_path, "new.yaml", 10)

    assert [(item.commit.id, item.path, item.gone) for item in found] == [
        (renamed, "new.yaml", False),
        (merge, "old name.yaml", False),
        (first, "old name.yaml", False),
    ]
    assert found[1].commit.author == "Ann"
    assert [order_of(tmp_path)[item.commit.id] for item in found] == [0, 1, 3]


def test_an_empty_subject_and_an_odd_author_stay_in_their_fields(tmp_path: Path) -> None:
    committed(tmp_path, "one", a="1")
    git(tmp_path, "commit", "--allow-empty-message", "--allow-empty", "-m", "")
    (tmp_path / "a").write_text("2")
    git(tmp_path, "commit", "--all", "--allow-empty-message", "-m", "", "--author", "E\x1ev\x1fe <e@example.com>")

    found, by_paths = commits_of_file(tmp_path, "a", 10), commits_of_paths(tmp_path, ["a", "b"], 10)

    assert [item.commit for item in found] == list(by_paths)
    assert [(item.author, item.subject) for item in by_paths] == [("E\x1ev\x1fe", ""), ("Ann", "one")]


def test_paths_are_those_of_a_project_below_the_top(tmp_path: Path) -> None:
    project = tmp_path / "llm"
    committed(tmp_path, "one", **{"llm/a.yaml": "1", "a.yaml": "1"})
    committed(tmp_path, "two", **{"a.yaml": "2"})

    found = commits_of_file(project, "a.yaml", 10)
    with open_revision(project, "HEAD") as revision:
        files = revision.files

    assert [(item.commit.subject, item.path) for item in found] == [("one", "a.yaml")]
    assert files == {"a.yaml"}


def test_a_deleted_manifest_is_found_by_the_name_in_it(tmp_path: Path) -> None:
    committed(tmp_path, "one", **{"x/a.yaml": "kind: Experiment\nname: 'bot'  # ours\n", "x/b.yaml": "name: bots\n"})
    for name in ("a", "b"):
        (tmp_path / f"x/{name}.yaml").unlink()
    committed(tmp_path, "two")

    found = deleted_manifest(tmp_path, "bot"), deleted_manifest(tmp_path, "bo")
    (gone, _) = commits_of_file(tmp_path, "x/a.yaml", 10)

    assert found == ("x/a.yaml", None)
    assert gone.gone


def test_a_git_that_fails_is_an_error_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(LoraformError, match="git log failed"):
        commits_of_file(tmp_path, "a", 10)

    monkeypatch.setenv("PATH", "")
    with pytest.raises(LoraformError, match="git is not installed"):
        commits_of_file(tmp_path, "a", 10)
