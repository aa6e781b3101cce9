"""A target of `loraform.yaml` as the rooms know it; `local` is the embedded Vertex AI of this repository."""

from __future__ import annotations

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from reconciler.cli import local
from reconciler.core.errors import LoraformError
from reconciler.core.target import Target

if TYPE_CHECKING:
    from schemas.project import Project

LOCAL_PROJECT = "loraform-local"
LOCAL_REGION = "us-central1"
LOCAL_BUCKET = "loraform-local"


def target_of(project: Project, name: str | None, root: Path, *, must_run: bool = True) -> Target:
    """The named target, or the project's default one.

    Raises LoraformError for a name that is not declared, for a cloud target that lacks something, and, if
    `must_run`, when the embedded Vertex AI is not running and the target names no address of another one.
    """
    chosen = name or project.default_target
    targets = project.all_targets
    if chosen not in targets:
        near = get_close_matches(chosen, targets, n=1)
        remedy = f"Did you mean `{near[0]}`?" if near else f"There is {', '.join(sorted(targets))}."
        raise LoraformError(f"loraform.yaml has no target `{chosen}`.", remedy)
    declared = targets[chosen]
    images = {"train": project.images.train, "serve": project.images.serve}
    if declared.kind == "local":
        # With an address of its own it is the server of another folder, which whoever calls it finds there or not.
        needed = must_run and declared.api_endpoint is None
        server = local.require(root / local.FOLDER) if needed else local.running(root / local.FOLDER)
        return Target(
            name=chosen,
            fleet=project.fleet,
            project=declared.project or LOCAL_PROJECT,
            region=declared.region or LOCAL_REGION,
            bucket=declared.bucket or LOCAL_BUCKET,
            api_endpoint=declared.api_endpoint or (server.url if server else "http://127.0.0.1:0"),
            local=True,
            images=images,
            buckets=declared.buckets,
        )
    missing = [key for key in ("project", "region", "bucket") if getattr(declared, key) is None]
    if missing or declared.project is None or declared.region is None or declared.bucket is None:
        raise LoraformError(f"The target `{chosen}` lacks {', '.join(missing)}.", f"Give it under `targets.{chosen}`.")
    return Target(
        name=chosen,
        fleet=project.fleet,
        project=declared.project,
        region=declared.region,
        bucket=declared.bucket,
        api_endpoint=declared.api_endpoint,
        images=images,
        buckets=declared.buckets,
    )
