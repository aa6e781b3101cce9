"""The outside world in a story: trainers that finish, people who look with plain SDK-like calls."""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from reconciler.cloud.claims import folder_of
from reconciler.cloud.reconcile import Pass, Wish, converge, one_pass
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import fleet_filter, take_snapshot
from reconciler.core.changes import Action
from reconciler.core.report import Outcome
from reconciler.core.resources import Json, LiveResource, Resource, Role
from schemas.row_scores import RowScores
from tests.cloud.wishes import record_of
from tests.emulator_fixture import finish_job


def apply(site: Site, desired: Iterable[Resource]) -> Pass:
    """One pass."""
    return one_pass(site, Wish(tuple(desired)))


def settle(site: Site, desired: Iterable[Resource], seconds: float = 20.0) -> Pass:
    """Passes until nothing is left to do."""
    return converge(site, Wish(tuple(desired)), deadline=seconds, interval=0.05)[0]


def calm(site: Site, desired: Iterable[Resource]) -> Pass:
    """Passes until there is nothing to do now; what is in progress stays in progress."""
    end = time.monotonic() + 20.0
    while (seen := apply(site, desired)).plan.now:
        assert time.monotonic() < end, messages(seen)
        time.sleep(0.05)
    return seen


def outcomes(seen: Pass) -> dict[str, str]:
    """`{"training create": "done"}`, of everything that was acted on."""
    return {
        f"{result.change.address.role} {result.change.action}": str(result.outcome)
        for result in seen.results
        if result.change.action.mutates
    }


def messages(seen: Pass) -> str:
    return "\n".join(result.message for result in seen.results if result.outcome is not Outcome.DONE)


def actions(seen: Pass) -> dict[str, Action]:
    return {str(change.address.role): change.action for change in seen.plan.changes}


def trainer_finishes(site: Site, run: Resource, metrics: dict[str, float] | None = None) -> None:
    """The training job of `run` leaves its record, and ends well."""
    content, metadata = record_of(site.target, run, metrics)
    name = site.target.record_uri(run.identity).removeprefix(f"gs://{site.target.bucket}/")
    site.storage.write(name, content, metadata=metadata)
    for job in jobs(site):
        if job["labels"]["loraform-identity"] == run.stamp and job["state"] == "JOB_STATE_RUNNING":
            finish_job(str(site.target.api_endpoint), str(job["name"]))


def already_trained(site: Site, run: Resource) -> None:
    """The run record of an earlier training lies in the bucket."""
    content, metadata = record_of(site.target, run)
    name = site.target.record_uri(run.identity).removeprefix(f"gs://{site.target.bucket}/")
    site.storage.write(name, content, metadata=metadata)


def measured(
    site: Site, run: Resource, metrics: dict[str, float] | None = None, digest: str = "rows", **scores: Sequence[float]
) -> None:
    """An earlier training left its record, with `metrics` or the means of `scores`, and these scores per row."""
    found = metrics or {name: sum(values) / len(values) for name, values in scores.items()}
    content, metadata = record_of(site.target, run, found, digest)
    prefix = f"gs://{site.target.bucket}/"
    site.storage.write(site.target.record_uri(run.identity).removeprefix(prefix), content, metadata=metadata)
    rows = tuple(range(max((len(values) for values in scores.values()), default=0)))
    told = RowScores(eval_digest=digest, rows=rows, metrics={name: tuple(values) for name, values in scores.items()})
    name = f"{site.target.artifact_uri(run.identity, 1)}/model/scores.json".removeprefix(prefix)
    site.storage.write(name, told.model_dump_json().encode())


def jobs(site: Site) -> list[dict[str, Json]]:
    """All custom jobs of the fleet, as the service has them."""
    request = {"parent": site.target.parent, "filter": fleet_filter(site.target.fleet)}
    return [dict(job) for job in site.vertex.list("JobService", "ListCustomJobs", request, "custom_jobs")]


def endpoints(site: Site) -> list[dict[str, Json]]:
    request = {"parent": site.target.parent, "filter": fleet_filter(site.target.fleet)}
    return [dict(item) for item in site.vertex.list("EndpointService", "ListEndpoints", request, "endpoints")]


def models(site: Site) -> list[dict[str, Json]]:
    request = {"parent": site.target.parent, "filter": fleet_filter(site.target.fleet)}
    return [dict(item) for item in site.vertex.list("ModelService", "ListModels", request, "models")]


def live(site: Site, role: Role, desired: Iterable[Resource] = ()) -> list[LiveResource]:
    snapshot = take_snapshot(site.vertex, site.storage, site.target, desired)
    return [item for item in snapshot.live if item.address.role is role]


def claims_there(site: Site) -> int:
    return len(site.storage.list(folder_of(site.target)))
