"""What people do past git: with the verbs of Loraform, in the console, and with other tools. Each leaves a trace that
the next pass must understand."""

from __future__ import annotations

from random import Random
from typing import Any

from reconciler.emulator import jobs
from reconciler.emulator.wire.codec import parse
from reconciler.emulator.wire.errors import ApiError
from tests.soak.cloud import BUCKET, PARENT, Cloud
from tests.soak.laws import EXPERIMENT, FLEET, Laws

VERBS = ("cancel", "suspend", "resume", "destroy")
CONSOLE = ("replicas", "labels", "traffic", "undeploy", "delete job", "cancel job", "squat", "prune")


def in_console(cloud: Cloud, laws: Laws, wanted: frozenset[str], deed: str, random: Random) -> str:
    """Somebody does this to something of the fleet `acme`; what was done, or nothing where it is not possible.

    `wanted` are the stamps of the runs that git wants: their records are not pruned.
    """
    endpoints = [one for one in cloud.endpoints() if one.labels[FLEET] == "acme"]
    deployed = [(one, item) for one in endpoints for item in one.deployed_models]
    try:
        if deed == "labels" and endpoints:
            one = random.choice(endpoints)
            body = {"name": one.name, "labels": {**one.labels, "team": "x", "cost": "y"}}
            _ask(cloud, "EndpointService.UpdateEndpoint", {"endpoint": body, "updateMask": "labels"})
            return f"somebody labels {one.labels[EXPERIMENT]}"
        if deed == "squat" and endpoints:
            one = random.choice(endpoints)
            model = {"model": f"{PARENT}/models/theirs", "displayName": "mine"}
            model |= {"dedicatedResources": {"machineSpec": {}, "minReplicaCount": 1}}
            _ask(cloud, "EndpointService.DeployModel", {"endpoint": one.name, "deployedModel": model})
            return f"somebody deploys a model of theirs beside {one.labels[EXPERIMENT]}"
        if deed in ("replicas", "traffic", "undeploy") and deployed:
            return _to_deployed(cloud, laws, deed, *random.choice(deployed), random)
        if deed.endswith("job"):
            return _to_job(cloud, deed, random)
        if deed == "prune":
            return _prune(cloud, wanted, random)
    except ApiError as error:
        return f"somebody fails to: {deed} ({error.message[:60]})"
    return ""


def _to_deployed(cloud: Cloud, laws: Laws, deed: str, endpoint: Any, item: Any, random: Random) -> str:
    name = endpoint.labels[EXPERIMENT]
    if deed == "replicas":
        count = random.choice((1, 2, 4))
        model = {"id": item.id, "dedicatedResources": {"maxReplicaCount": count}}
        mask = "dedicatedResources.maxReplicaCount"
        body = {"endpoint": endpoint.name, "deployedModel": model, "updateMask": mask}
        _ask(cloud, "EndpointService.MutateDeployedModel", body)
    elif deed == "traffic":
        body = {"name": endpoint.name, "trafficSplit": {item.id: 100}}
        _ask(cloud, "EndpointService.UpdateEndpoint", {"endpoint": body, "updateMask": "trafficSplit"})
    else:
        laws.excuse(endpoint.name)
        _ask(cloud, "EndpointService.UndeployModel", {"endpoint": endpoint.name, "deployedModelId": item.id})
    return f"somebody changes by hand: {deed} of {name}"


def _to_job(cloud: Cloud, deed: str, random: Random) -> str:
    done = deed == "delete job"
    found = [jobs.read(row) for row in cloud.world.store.every(jobs.KIND)]
    states = (jobs.SUCCEEDED, jobs.FAILED) if done else (jobs.RUNNING,)
    ours = [job for job in found if job.labels[FLEET] == "acme" and job.state in states]
    if not ours:
        return ""
    job = random.choice(ours)
    _ask(cloud, f"JobService.{'Delete' if done else 'Cancel'}CustomJob", {"name": job.name})
    return f"somebody: {deed} of {job.labels[EXPERIMENT]}"


def _prune(cloud: Cloud, wanted: frozenset[str], random: Random) -> str:
    folder = "loraform/acme/runs/"
    names = [item.name for item in cloud.buckets.list_objects(BUCKET).items if item.name.startswith(folder)]
    free = [name for name in names if name.endswith(".json") and name.removeprefix(folder)[:20] not in wanted]
    if not free:
        return ""
    name = random.choice(free)
    cloud.buckets.change(
        BUCKET, name, lambda old: {**old, "metadata": {**dict(old.get("metadata") or {}), "pruned": "true"}}
    )
    return f"the artifact of {name.removeprefix(folder)[:8]} is pruned"


def _ask(cloud: Cloud, method: str, body: dict[str, Any]) -> None:
    cloud.perform(method, parse(body, f"{method.partition('.')[2]}Request"))
