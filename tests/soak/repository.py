"""The imagined repository: real manifests, edited at random, and the resources that they mean."""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from random import Random
from typing import Any, TypeAlias

from reconciler.core.resources import Resource, Role, Source
from reconciler.core.target import Target
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from schemas.experiment import Experiment
from tests.factories_manifest import document, merged, project
from tests.soak.cloud import BUCKET, PROJECT, REGION

Tree: TypeAlias = tuple[tuple[str, str], ...]
"""One commit: (experiment, its manifest as JSON), by name."""

TARGET = Target("prod", "acme", PROJECT, REGION, BUCKET, images={"train": "train", "serve": "serve"})
NAMES = ("ape", "bee", "cow", "doe")
EDITS = ("add", "remove", "rank", "engine", "replicas", "machine", "label", "attempt", "serving", "rename", "gate")


def edited(tree: Tree, random: Random) -> tuple[Tree, str]:
    """The tree of the next commit, and its message."""
    files = dict(tree)
    edit = random.choice(EDITS) if files else "add"
    name = random.choice(sorted(files)) if files else ""
    free = sorted(set(NAMES) - set(files))
    old: dict[str, Any] = json.loads(files[name]) if name else {}
    machine = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
    match edit:
        case "add" if free:
            name = random.choice(free)
            new = document(name, adapter={"r": random.choice((8, 16, 32))}, run={"attempt": 1})
        case "remove":
            return tuple(sorted(item for item in files.items() if item[0] != name)), f"remove {name}"
        case "rename" if free:
            del files[name]
            name = random.choice(free)
            new = {**old, "name": name}
        case "rank":
            new = merged(old, {"adapter": {"r": random.choice((8, 16, 32))}})
        case "engine":
            length = random.choice((2048, 4096, 8192))
            new = merged(old, {"serving": {"machine": machine, "engine": {"max_model_len": length}}})
        case "replicas":
            new = merged(old, {"serving": {"machine": machine, "max_replica_count": random.choice((1, 2, 3))}})
        case "machine":
            kind = random.choice(("g2-standard-12", "g2-standard-16"))
            new = merged(old, {"serving": {"machine": {**machine, "machine_type": kind}}})
        case "label":
            new = merged(old, {"labels": {"team": random.choice(("a", "b"))}})
        case "serving":
            new = {key: value for key, value in old.items() if key != "serving"}
        case "gate":
            new = merged(old, {"evaluation": {"gate": [f"eval_loss <= {random.choice((0.4, 0.9))}"]}})
        case _:
            edit = "attempt"
            new = _at_attempt(old, old.get("run", {}).get("attempt", 1) + 1)
    files[name] = json.dumps(new, sort_keys=True)
    return tuple(sorted(files.items())), f"{edit} {name}"


def all_raised(tree: Tree) -> Tree:
    """Every attempt raised to one that never was: what failed for good may be tried again."""
    return tuple((name, json.dumps(_at_attempt(json.loads(text), 1000), sort_keys=True)) for name, text in tree)


def tree_of(*manifests: dict[str, Any]) -> Tree:
    """A commit with these manifests."""
    return tuple(sorted((manifest["name"], json.dumps(manifest, sort_keys=True)) for manifest in manifests))


def resources(tree: Tree) -> tuple[Resource, ...]:
    """What a commit wants on the target."""
    return tuple(resource for _, text in tree for resource in _of_manifest(text))


def serving(tree: Tree) -> frozenset[str]:
    """The experiments that a commit wants to serve."""
    return frozenset(item.address.experiment for item in resources(tree) if item.address.role is Role.DEPLOYMENT)


@cache
def _of_manifest(text: str) -> tuple[Resource, ...]:
    manifest = Experiment.model_validate(json.loads(text))
    place = Source(f"experiments/{manifest.name}.yaml")
    found, diagnostics = desired([(manifest, lambda path: place)], project(), TARGET, Files(Path()))
    assert found, diagnostics
    return found


def _at_attempt(manifest: dict[str, Any], attempt: int) -> dict[str, Any]:
    return merged(manifest, {"run": {"attempt": attempt}})
