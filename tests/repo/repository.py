"""A small repository on disk: a project, a tiny base, rows, and a link that leads out of it."""

from __future__ import annotations

from pathlib import Path

GOOD = """\
apiVersion: loraform/v1
kind: Experiment
name: {name}
model: {{base: ./models/tiny}}
data: {{train: data/train.jsonl, eval: data/eval.jsonl}}
"""


def repository(root: Path, **files: str) -> Path:
    """Make it at `root`. `files` are further manifests by name: their text goes to experiments/<name>.yaml."""
    for folder in ("experiments", "data", "models/tiny"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    (root / "loraform.yaml").write_text("fleet: acme\n")
    (root / "models/tiny/config.json").write_text("{}")
    for name in ("train", "eval"):
        (root / f"data/{name}.jsonl").write_text('{"messages": []}\n')
    outside = root.parent / "outside"
    outside.mkdir(exist_ok=True)
    (outside / "secret.jsonl").write_text("{}\n")
    (root / "link-out").symlink_to(outside)
    for name, text in files.items():
        (root / f"experiments/{name}.yaml").write_text(text)
    return root
