"""Each ready patch applies with git, leaves a valid manifest, and makes the planner try again what was held."""

from __future__ import annotations

import subprocess
from functools import partial
from pathlib import Path

import pytest

from reconciler.core.resources import Cause, Failure, Resource, Role
from reconciler.core.target import Target
from reconciler.repo.desired import desired
from reconciler.repo.files import Files
from reconciler.repo.manifests import load
from reconciler.repo.patches import Patch, ready_patch
from tests.repo.repository import repository

MANIFEST = """\
apiVersion: loraform/v1
kind: Experiment
name: bot
model: {base: ./models/tiny}
data: {train: data/train.jsonl, eval: data/eval.jsonl}
training:
  per_device_train_batch_size: 8      # as many as fit
  learning_rate: 2e-4
  dataloader_num_workers: 2
run:
  machine: {machine_type: g2-standard-12, accelerator_type: NVIDIA_L4, accelerator_count: 1}
  scheduling: {strategy: spot, timeout: 6h}
serving:
  machine: {machine_type: g2-standard-12, accelerator_type: NVIDIA_L4, accelerator_count: 1}
  engine: {max_model_len: 4096}
"""
TARGET = Target("prod", "acme", "acme-ml", "europe-west4", "acme-llm", images={"train": "t", "serve": "s"})
FITS = "ValueError: KV cache larger than ... Based on the available memory, the estimated maximum model length is 3370."
FREE = "Free memory on device (18.1/22.0 GiB) on startup is less than desired GPU memory utilization (0.9, 19.8 GiB)."

Found = tuple[dict[Role, Resource], dict[Role, Resource], Patch]


def mended(root: Path, role: Role, cause: Cause, evidence: str = "", text: str = MANIFEST) -> Found:
    """What git wanted before and after the patch was applied by git itself."""
    repository(root, bot=text)
    subprocess.run(["git", "init", "-q"], cwd=root, check=True)
    before = wanted(root)
    loaded = load(root)
    failure = Failure(cause, "it failed", evidence)
    patch = ready_patch(loaded.experiments[0], loaded.project.defaults, role, failure, root, root)
    assert patch is not None
    done = subprocess.run(["git", "apply"], input=patch.diff, cwd=root, capture_output=True, encoding="utf-8")
    assert done.returncode == 0, done.stderr
    return before, wanted(root), patch


def wanted(root: Path) -> dict[Role, Resource]:
    loaded = load(root)
    assert not loaded.errors, loaded.errors
    items = [(item.value, partial(lambda item, path: item.locate(path), item)) for item in loaded.experiments]
    resources, problems = desired(items, loaded.project, TARGET, Files(root))
    assert not [item for item in problems if item.rule != "not-yet"]
    return {resource.address.role: resource for resource in resources}


@pytest.mark.parametrize("cause", list(Cause))
def test_every_patch_makes_a_failed_run_be_tried_again(tmp_path: Path, cause: Cause) -> None:
    before, after, patch = mended(tmp_path, Role.TRAINING, cause)

    old, new = before[Role.TRAINING], after[Role.TRAINING]
    assert (old.identity, old.attempt_key) != (new.identity, new.attempt_key)
    assert (old.identity == new.identity) == (cause is not Cause.DIVERGED)
    assert ("another identity" in patch.mending.why) == (cause is Cause.DIVERGED)


@pytest.mark.parametrize("cause", list(Cause))
def test_every_patch_makes_a_failed_deployment_be_tried_again(tmp_path: Path, cause: Cause) -> None:
    before, after, _ = mended(tmp_path, Role.DEPLOYMENT, cause)

    old, new = before[Role.DEPLOYMENT], after[Role.DEPLOYMENT]
    assert (old.identity, old.attempt_key) != (new.identity, new.attempt_key)
    assert before[Role.TRAINING].identity == after[Role.TRAINING].identity


def test_fewer_rows_at_a_time_keep_the_effective_batch_and_the_comment(tmp_path: Path) -> None:
    _, _, patch = mended(tmp_path, Role.TRAINING, Cause.GPU_MEMORY)

    assert "+  per_device_train_batch_size: 4      # as many as fit\n" in patch.diff
    assert "+  gradient_accumulation_steps: 2\n" in patch.diff


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("batch_size: 8 ", "batch_size: 3 ", "+  per_device_train_batch_size: 1 "),
        ("batch_size: 8 ", "batch_size: 1 ", "accelerator_type: NVIDIA_TESLA_A100,"),
        ("batch_size: 8 ", "batch_size: 1 #\n  gradient_checkpointing: false #", "+  gradient_checkpointing: true"),
    ],
)
def test_when_one_row_is_left_other_ways_follow(tmp_path: Path, old: str, new: str, line: str) -> None:
    before, after, patch = mended(tmp_path, Role.TRAINING, Cause.GPU_MEMORY, text=MANIFEST.replace(old, new))

    assert line in patch.diff
    assert before[Role.TRAINING].identity == after[Role.TRAINING].identity


@pytest.mark.parametrize(
    ("role", "cause", "evidence", "line"),
    [
        (Role.TRAINING, Cause.MEMORY, "", "machine_type: g2-standard-16,"),
        (Role.TRAINING, Cause.DISK, "", "boot_disk_size_gb: 200}"),
        (Role.TRAINING, Cause.TIMEOUT, "", "timeout: 12h}"),
        (Role.TRAINING, Cause.SHARED_MEMORY, "", "dataloader_num_workers: 0"),
        (Role.TRAINING, Cause.DIVERGED, "", "learning_rate: 0.0001"),
        (Role.TRAINING, Cause.STOCKOUT, "", "strategy: [spot, standard]"),
        (Role.TRAINING, Cause.PREEMPTED, "", "strategy: [spot, standard]"),
        (Role.TRAINING, Cause.QUOTA, "", "strategy: [spot, standard]"),
        (Role.TRAINING, Cause.PERMISSION, "", "+  attempt: 2"),
        (Role.DEPLOYMENT, Cause.CONTEXT, FITS, "max_model_len: 3360}"),
        (Role.DEPLOYMENT, Cause.GPU_MEMORY, FREE, "gpu_memory_utilization: 0.81}"),
        (Role.DEPLOYMENT, Cause.GPU_MEMORY, "", "accelerator_type: NVIDIA_TESLA_A100,"),
        (Role.DEPLOYMENT, Cause.UNHEALTHY, "", "deployment_timeout: 1h"),
        (Role.DEPLOYMENT, Cause.STOCKOUT, "", "+  attempt: 2"),
    ],
)
def test_each_cause_has_its_own_way_out(tmp_path: Path, role: Role, cause: Cause, evidence: str, line: str) -> None:
    _, _, patch = mended(tmp_path, role, cause, evidence)

    assert line in patch.diff
    assert patch.mending.afterwards == ("attempt" in patch.diff)


def test_a_value_from_the_project_is_overridden_in_the_manifest(tmp_path: Path) -> None:
    text = MANIFEST.replace("  per_device_train_batch_size: 8      # as many as fit\n", "")
    repository(tmp_path)
    loraform = tmp_path / "loraform.yaml"
    project = "fleet: acme\ndefaults: {training: {per_device_train_batch_size: 16}}\n"

    (tmp_path / "experiments/bot.yaml").write_text(text)
    loraform.write_text(project)
    loaded = load(tmp_path)
    failure = Failure(Cause.GPU_MEMORY, "it failed")
    patch = ready_patch(loaded.experiments[0], loaded.project.defaults, Role.TRAINING, failure, tmp_path)

    assert patch is not None
    assert "+  per_device_train_batch_size: 8\n" in patch.diff
    assert "loraform.yaml" not in patch.diff


def test_where_the_text_forbids_one_way_the_next_one_is_taken(tmp_path: Path) -> None:
    text = MANIFEST.replace("size: 8 ", "size: &rows 8 ").replace("workers: 2", "workers: *rows")

    _, _, patch = mended(tmp_path, Role.TRAINING, Cause.GPU_MEMORY, text=text)

    assert "NVIDIA_TESLA_A100" in patch.diff


def test_the_patch_names_the_file_from_the_top_of_the_git_tree(tmp_path: Path) -> None:
    root = tmp_path / "ml"
    root.mkdir()
    repository(root, bot=MANIFEST)
    loaded = load(root)

    failure = Failure(Cause.CODE, "it failed")
    patch = ready_patch(loaded.experiments[0], {}, Role.TRAINING, failure, root, tmp_path)

    assert patch is not None
    assert "--- a/ml/experiments/bot.yaml" in patch.diff
