from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from reconciler.core.errors import LoraformError
from reconciler.repo.history import History, commit_of, is_ancestor, read_history


def test_a_plain_folder_has_no_history(tmp_path: Path) -> None:
    assert read_history(tmp_path) == History()
    assert is_ancestor(tmp_path, "HEAD", "HEAD") is None


def test_without_git_everything_is_a_plain_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    repository(tmp_path)
    monkeypatch.setenv("PATH", "")

    assert read_history(tmp_path) == History()


def test_a_clean_tree_knows_its_root_commit_and_branch(tmp_path: Path) -> None:
    commit = repository(tmp_path)
    (tmp_path / "sub").mkdir()

    history = read_history(tmp_path / "sub")

    assert history == History(tmp_path.resolve(), commit, "main", "main", ())


def test_before_the_first_commit_there_is_no_head(tmp_path: Path) -> None:
    git(tmp_path, "init", "-b", "main")

    history = read_history(tmp_path)

    assert (history.head, history.branch, history.default_branch) == (None, "main", None)


def test_edited_staged_deleted_and_untracked_files_are_dirty_and_ignored_ones_are_not(tmp_path: Path) -> None:
    repository(tmp_path, edited="1", staged="1", deleted="1", kept="1", **{".gitignore": "ignored\n"})
    (tmp_path / "edited").write_text("2")
    (tmp_path / "staged").write_text("2")
    git(tmp_path, "add", "staged")
    (tmp_path / "deleted").unlink()
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder/ümlaut new.txt").touch()
    (tmp_path / "ignored").touch()

    history = read_history(tmp_path)

    assert history.dirty == ("deleted", "edited", "folder/ümlaut new.txt", "staged")


def test_both_ends_of_a_rename_are_dirty(tmp_path: Path) -> None:
    repository(tmp_path, before="a long enough text to be recognised")
    git(tmp_path, "mv", "before", "after")

    assert read_history(tmp_path).dirty == ("after", "before")


def test_a_detached_head_has_no_branch(tmp_path: Path) -> None:
    commit = repository(tmp_path)
    git(tmp_path, "checkout", "--detach")

    history = read_history(tmp_path)

    assert (history.head, history.branch, history.default_branch) == (commit, None, "main")


def test_a_checkout_of_a_pipeline_finds_the_default_branch_among_what_it_fetched(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    clone.mkdir()
    commit = repository(origin)
    git(clone, "init", "--quiet", "--initial-branch=elsewhere")
    git(clone, "fetch", "--quiet", str(origin), "+refs/heads/*:refs/remotes/origin/*")
    git(clone, "checkout", "--quiet", "--detach", commit)

    history = read_history(clone)

    assert (history.branch, history.default_branch) == (None, "main")
    assert "origin/main" in history.default_branches


def test_the_remote_s_word_on_the_default_branch_counts_first(tmp_path: Path) -> None:
    origin, clone = tmp_path / "origin", tmp_path / "clone"
    origin.mkdir()
    repository(origin)
    git(origin, "checkout", "-b", "trunk")
    git(tmp_path, "clone", str(origin), str(clone))
    git(clone, "checkout", "-b", "main")

    assert read_history(clone).default_branch == "trunk"


def test_ancestry_is_told_in_both_directions_and_for_strangers(tmp_path: Path) -> None:
    first = repository(tmp_path)
    second = committed(tmp_path, more="1")

    answers = [
        is_ancestor(tmp_path, first, second),
        is_ancestor(tmp_path, second, first),
        is_ancestor(tmp_path, second, second),
        is_ancestor(tmp_path, "0" * 40, second),
        is_ancestor(tmp_path, "--all", second),
    ]

    assert answers == [True, False, True, None, None]


def test_a_revision_is_a_commit_or_nothing(tmp_path: Path) -> None:
    commit = repository(tmp_path)

    found = [commit_of(tmp_path, revision) for revision in ("main", "HEAD", "nowhere", "--help", "")]

    assert found == [commit, commit, None, None, None]


def test_reading_does_not_write_to_the_repository(tmp_path: Path) -> None:
    repository(tmp_path, file="1")
    index = tmp_path / ".git/index"
    before = (index.stat().st_mtime_ns, index.read_bytes())

    read_history(tmp_path)

    assert (index.stat().st_mtime_ns, index.read_bytes()) == before


def test_a_broken_repository_is_an_error_in_words(tmp_path: Path) -> None:
    repository(tmp_path)
    (tmp_path / ".git/index").write_bytes(b"junk that is no index at all")

    with pytest.raises(LoraformError, match="git status failed"):
        read_history(tmp_path)


def repository(folder: Path, **files: str) -> str:
    git(folder, "init", "-b", "main")
    return committed(folder, **files)


def committed(folder: Path, **files: str) -> str:
    for name, text in files.items():
        (folder / name).write_text(text)
    git(folder, "add", "--all")
    git(folder, "commit", "--allow-empty", "-m", "a commit")
    return git(folder, "rev-parse", "HEAD")


def git(folder: Path, *arguments: str) -> str:
    who = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
    answer = subprocess.run(["git", "-C", str(folder), *who, *arguments], capture_output=True, text=True, check=True)
    return answer.stdout.strip()
