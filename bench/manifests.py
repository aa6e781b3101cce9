"""Reading manifests: a thousand copies of the repository's own experiment."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from bench.timing import Figure, figure
from reconciler.repo.manifests import load

EXAMPLE = Path("experiments/acme-support.yaml")


def figures() -> Iterator[Figure]:
    """Parse, validate and place every field of 1,000 files."""
    text = EXAMPLE.read_text()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        (root / "loraform.yaml").write_text("apiVersion: loraform/v1\nkind: Project\nfleet: bench\n")
        shutil.copytree("experiments/data", root / "experiments/data")
        base = root / ".loraform/tiny-base"
        base.mkdir(parents=True)
        (base / "config.json").write_text("{}")
        for n in range(1_000):
            own = text.replace("name: acme-support", f"name: acme-{n}")
            (root / "experiments" / f"acme-{n}.yaml").write_text(own)
        yield figure("load manifests", lambda: load(root), 3, files=1_000)
