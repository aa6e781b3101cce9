"""One commit's files, written out of git into a folder of their own, as a checkout would have them.

Neither the working tree nor its index is touched. What git ignores is in no commit: where a manifest names such a
path (a base model that was made here), the working tree's copy stands in.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from reconciler.core.errors import LoraformError
from reconciler.repo import locations
from reconciler.repo.git import run_git
from reconciler.repo.history import commit_of
from schemas.experiment import Experiment

SCRATCH = Path(".loraform/revisions")
"""Where the trees are written, below the root: on the same disk, and ignored by git."""

_LINK = "120000"


@dataclass(frozen=True, slots=True)
class Revision:
    """One commit of the repository around `origin`; `root` stands for `origin` in it."""

    name: str
    """As the person wrote it."""
    commit: str
    origin: Path
    root: Path
    files: Collection[str]
    """What the commit holds below the root, relative to it."""
    _folder: Path
    _prefix: str
    _links: bool
    _borrowed: list[str] = field(default_factory=list)

    @property
    def borrowed(self) -> tuple[str, ...]:
        """The paths that git ignores and that were taken from the working tree."""
        return tuple(sorted(self._borrowed))

    def write(self, names: Iterable[str]) -> None:
        """Write these files of the commit, as a checkout would. Raises LoraformError when git cannot."""
        # A link may lead to anything: a commit with links is written whole.
        wanted = self.files if self._links else [name for name in names if name in self.files]
        paths = "".join(f"{self._prefix}{name}\0" for name in sorted(wanted))
        prefix = f"--prefix={self._folder}/"
        ask_git(
            self._top, "checkout-index", "--force", "--quiet", prefix, "-z", "--stdin", index=self._index, typed=paths
        )

    def write_manifests(self) -> None:
        """Write every YAML file: the project, and whatever it names as manifests."""
        self.write(name for name in self.files if name.endswith((".yaml", ".yml")))

    def write_named(self, experiments: Iterable[Experiment]) -> None:
        """Write, or borrow from the working tree where git ignores it, what these experiments name by path."""
        paths = sorted({path for experiment in experiments for path in paths_of(experiment)})
        held = {path: [name for name in self.files if name == path or name.startswith(f"{path}/")] for path in paths}
        self.write(name for names in held.values() for name in names)
        for path in paths:
            if not held[path] and (self.origin / path).exists() and _is_ignored(self.origin, path):
                _borrow(self.origin / path, self.root / path)
                self._borrowed.append(path)

    @property
    def _index(self) -> Path:
        return self._folder.with_name("index")

    @property
    def _top(self) -> Path:
        depth = len(PurePosixPath(self._prefix).parts)
        return self.origin.parents[depth - 1] if depth else self.origin


@contextlib.contextmanager
def open_revision(origin: Path, name: str) -> Iterator[Revision]:
    """The commit that `name` stands for, in a folder that goes with the `with` block; no file is written yet.

    Raises LoraformError outside a git repository and for a name that is no commit.
    """
    origin = origin.resolve()
    commit = commit_of(origin, name)
    if commit is None:
        raise LoraformError(f"`{name}` names no commit here.", "Give a branch, a tag or a commit: `git log --oneline`.")
    scratch = origin / SCRATCH
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=scratch) as made:
        place = Path(made)
        prefix = ask_git(origin, "rev-parse", "--show-prefix").rstrip("\n")
        ask_git(origin, "read-tree", commit, index=place / "index")
        listed = ask_git(origin, "ls-files", "--stage", "-z", index=place / "index").split("\0")
        entries = [entry.partition("\t") for entry in listed if entry]
        folder = place / "tree"
        (folder / prefix).mkdir(parents=True)
        yield Revision(
            name,
            commit,
            origin,
            folder / prefix,
            frozenset(path for _, _, path in entries),
            folder,
            prefix,
            any(mode.startswith(_LINK) for mode, _, _ in entries),
        )


def ask_git(folder: Path, *arguments: str, index: Path | None = None, typed: str = "") -> str:
    """What git prints. `index` is a file that stands in for its index. Raises LoraformError when git fails."""
    answer = run_git(folder, *arguments, settings={"GIT_INDEX_FILE": str(index)} if index else {}, typed=typed)
    if answer.returncode != 0:
        raise LoraformError(f"git {arguments[0]} failed in {folder}: {answer.stderr.strip()}")
    return answer.stdout


def paths_of(experiment: Experiment) -> Iterator[str]:
    """The repository paths that an experiment may mean; a hub id is among them, and names no file."""
    model, rows = experiment.model, experiment.data
    mixed = (item.rows for item in rows.mix)
    scored = (place.rpartition(":")[0] for place in experiment.evaluation.own.values() if ".py:" in place)
    named = (model.base, model.tokenizer, model.chat_template, rows.template, rows.train, *mixed, rows.eval)
    for text in (*named, experiment.evaluation.sql.script, *scored):
        if text is None or "://" in text or locations.is_inline_template(text):
            continue
        with contextlib.suppress(locations.BadLocation):
            yield str(locations.data_location(text))


def _borrow(source: Path, place: Path) -> None:
    """The same bytes at another place: a link where the disk can, so that gigabytes are not copied."""

    def link(one: str, other: str) -> None:
        try:
            os.link(one, other)
        except OSError:
            shutil.copy2(one, other)

    place.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, place, copy_function=link, dirs_exist_ok=True)
    else:
        link(str(source), str(place))


def _is_ignored(root: Path, path: str) -> bool:
    return run_git(root, "check-ignore", "--quiet", "--", path).returncode == 0
