"""The imagined repository: real manifests, edited at random, and the resources that they mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import lru_cache
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
from tests.soak.trainers import FLEETS

Tree: TypeAlias = tuple[tuple[str, str], ...]
"""One commit: (experiment, its manifest as JSON), by name."""

IMAGES = {"train": "train", "serve": "serve"}
FURTHER = "us-central1"
"""A region that trainings may run in as well, and nothing else."""
TARGETS = {
    fleet: Target("prod", fleet, PROJECT, REGION, BUCKET, images=IMAGES, buckets={FURTHER: BUCKET}) for fleet in FLEETS
}
NAMES = ("ape", "bee", "cow", "doe")
EDITS = (
    *("add", "copy", "remove", "rename", "rank", "engine", "replicas", "machine", "label", "attempt", "serving"),
    *("gate", "rollout", "protect", "finish", "network", "move", "rank", "engine", "machine"),
    *("rows", "rows", "scores", "apart", "ladder"),
)
"""What a commit may do; twice what leads furthest."""
MACHINE = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}
ROLLOUTS = (
    {"steps": [10, 50, 100], "hold": "10m"},
    {"steps": [50, 100], "hold": "0s"},
    {"strategy": "recreate", "steps": [100], "hold": "0s"},
)
ROWS = tuple(f"gs://acme-llm/support/eval.jsonl#176360000000000{number}" for number in (1, 2))
"""What may be evaluated on."""
LADDERS = (
    {"scheduling": {"strategy": ["standard"]}, "regions": []},
    {"scheduling": {"strategy": ["spot", "standard"]}, "regions": []},
    {"scheduling": {"strategy": ["spot", "standard"]}, "regions": [REGION, FURTHER]},
)
GATES = (["eval_loss <= 0.4"], ["eval_loss <= 0.9"], ["eval_loss <= champion + 0.1"])


def edited(tree: Tree, random: Random) -> tuple[Tree, str]:
    """The tree of the next commit, and its message."""
    files = dict(tree)
    edit = random.choice(EDITS) if files else "add"
    name = random.choice(sorted(files)) if files else ""
    # A former name is left alone: `moved_from` must stay until no listing shows it any more (docs/planning.md).
    formers = {former for text in files.values() for former in json.loads(text).get("moved_from", [])}
    free = sorted(set(NAMES) - set(files) - formers)
    old: dict[str, Any] = json.loads(files[name]) if name else {}
    served = "serving" in old
    match edit:
        case "add" if free:
            name = random.choice(free)
            new = document(name, adapter={"r": random.choice((8, 16, 32))}, run={"attempt": 1})
            new = merged(new, {"serving": {"rollout": random.choice(ROLLOUTS)}}) if random.random() < 0.4 else new
        case "remove":
            return tuple(sorted(item for item in files.items() if item[0] != name)), f"remove {name}"
        case "rename" if free:
            del files[name]
            name = random.choice(free)
            new = {**old, "name": name}
        case "move" if free:
            del files[name]
            former, name = name, random.choice(free)
            new = {**old, "name": name, "moved_from": [former, *old.get("moved_from", [])]}
        case "copy" if free:
            name = random.choice(free)
            new = {**old, "name": name}
        case "rank":
            new = merged(old, {"adapter": {"r": random.choice((8, 16, 32))}})
        case "engine":
            length = random.choice((2048, 4096, 8192))
            new = merged(old, {"serving": {"machine": MACHINE, "engine": {"max_model_len": length}}})
        case "replicas":
            new = merged(old, {"serving": {"machine": MACHINE, "max_replica_count": random.choice((1, 2, 3))}})
        case "machine":
            kind = random.choice(("g2-standard-12", "g2-standard-16"))
            new = merged(old, {"serving": {"machine": {**MACHINE, "machine_type": kind}}})
        case "rollout" if served:
            new = merged(old, {"serving": {"rollout": random.choice(ROLLOUTS)}})
        case "network" if served and random.random() < 0.3:
            network = random.choice((None, "projects/1/global/networks/n"))
            new = merged(old, {"serving": {"network": network}})
        case "protect" if random.random() < 0.5:
            new = merged(old, {"protect": not old.get("protect", False)})
        case "finish":
            new = merged(old, {"run": {"on_change": random.choice(("cancel", "finish"))}})
        case "label":
            new = merged(old, {"labels": {"team": random.choice(("a", "b"))}})
        case "serving":
            new = {key: value for key, value in old.items() if key != "serving"}
        case "rows":
            new = merged(old, {"data": {"eval": random.choice(ROWS)}})
        case "scores":
            new = merged(old, {"evaluation": {"metrics": random.choice(([], ["rouge_l"]))}})
        case "apart":
            own = {**old.get("evaluation", {})}
            if own.pop("machine", None) is None:
                own["machine"] = MACHINE
            new = {**old, "evaluation": own}
        case "ladder":
            new = merged(old, {"run": random.choice(LADDERS)})
        case "gate":
            new = merged(old, {"evaluation": {"gate": random.choice(GATES)}})
        case _:
            edit = "attempt"
            new = _at_attempt(old, old.get("run", {}).get("attempt", 1) + 1)
    files[name] = json.dumps(new, sort_keys=True)
    return _settled(files), f"{edit} {name}"


def _settled(files: Mapping[str, str]) -> Tree:
    """The files as one commit, without `moved_from` where validation would refuse it."""
    taken: set[str] = set(files)
    settled: dict[str, str] = {}
    for name, text in sorted(files.items()):
        manifest = json.loads(text)
        former = [one for one in manifest.pop("moved_from", []) if one not in taken]
        taken.update(former)
        settled[name] = json.dumps(manifest | ({"moved_from": former} if former else {}), sort_keys=True)
    return tuple(sorted(settled.items()))


def all_raised(tree: Tree) -> Tree:
    """Every attempt raised to one that never was: what failed for good may be tried again."""
    return tuple((name, json.dumps(_at_attempt(json.loads(text), 1000), sort_keys=True)) for name, text in tree)


def tree_of(*manifests: dict[str, Any]) -> Tree:
    """A commit with these manifests."""
    return tuple(sorted((manifest["name"], json.dumps(manifest, sort_keys=True)) for manifest in manifests))


def resources(tree: Tree, fleet: str = "acme") -> tuple[Resource, ...]:
    """What a commit wants on the target of a fleet."""
    return tuple(resource for _, text in tree for resource in _of_manifest(text, fleet))


def serving(tree: Tree) -> frozenset[str]:
    """The experiments that a commit wants to serve, without a gap, and their former names."""
    wanted = resources(tree)
    lasting = {
        item.address.experiment
        for item in wanted
        if item.address.role is Role.DEPLOYMENT and not (item.rollout and item.rollout.recreate)
    }
    formers = (former for item in wanted if item.address.experiment in lasting for former in item.moved_from)
    return frozenset((*lasting, *formers))


@lru_cache(10_000)
def _of_manifest(text: str, fleet: str) -> tuple[Resource, ...]:
    manifest = Experiment.model_validate(json.loads(text))
    place = Source(f"experiments/{manifest.name}.yaml")
    found, diagnostics = desired([(manifest, lambda path: place)], project(), TARGETS[fleet], Files(Path()))
    assert found, diagnostics
    return found


def _at_attempt(manifest: dict[str, Any], attempt: int) -> dict[str, Any]:
    return merged(manifest, {"run": {"attempt": attempt}})
