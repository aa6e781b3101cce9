"""Makes pipeline jobs run: each task's container as a custom job of its own, once what it waits for is done.

One call of `advance` does what can be done now and never blocks. What a job has reached stands in its row's `extra`:
`tasks` by name with `job`, `id`, `state`, `created`, and once done `parameters` and `artifacts`.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from reconciler.emulator import children, fates, jobs, pipeline_jobs
from reconciler.emulator.pipeline_detail import (
    CANCELLED,
    FAILED,
    NOT_TRIGGERED,
    OVER,
    PENDING,
    RUNNING,
    SKIPPED,
    SUCCEEDED,
    end,
    tell_tasks,
    values_of,
)
from reconciler.emulator.pipeline_spec import Scene, Task, as_text, tasks_of, words
from reconciler.emulator.steps import each
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.tuning_pipeline_runs import finish, tune
from reconciler.emulator.wire.codec import Message
from reconciler.emulator.wire.errors import RPC_CODES, ApiError, Json
from reconciler.emulator.wire.names import last, new_id, parent_of, project_number, project_of
from reconciler.emulator.world import World, stamp

FAIL_FAST = 2


def advance(world: World) -> bool:
    """One pass over all unfinished pipeline jobs. True when something has changed."""
    return each(world, pipeline_jobs.KIND, _step)


def _step(world: World, row: Row) -> bool:
    job = pipeline_jobs.read(row)
    try:
        with world.store.together():
            verdict = fates.of_owner(world, row, job)
            if verdict is not None:
                return _close(world, row, job, verdict)
            return tune(world, row, job) if row.extra["template"] else _run(world, row, job)
    except ApiError as error:  # what it needs has been taken away
        end(world, job, error.message)
        pipeline_jobs.save(world, row, job, row.extra, DONE)
        return True


def _run(world: World, row: Row, job: Message) -> bool:
    tasks = tasks_of(pipeline_jobs.spec_of(job))
    reached: dict[str, Json] = dict(row.extra["tasks"])
    values = values_of(job)
    changed = job.state != pipeline_jobs.RUNNING
    policy = job.runtime_config.failure_policy
    for task in tasks.values():
        own = reached.get(task.name)
        if own is not None and own["state"] in OVER:
            continue
        if own is None:
            states = [reached.get(name, {}).get("state", PENDING) for name in task.after]
            failed = any(one["state"] == FAILED for one in reached.values())
            if not all(state in OVER for state in states):
                continue
            blocked = any(state != SUCCEEDED for state in states) or (failed and policy == FAIL_FAST)
            if blocked and not task.whatever_happened:
                reached[task.name] = {"id": new_id()[:18], "state": NOT_TRIGGERED, "created": world.clock()}
            else:
                reached[task.name] = _begin(world, job, task, values, reached)
        else:
            new_state = _look(world, job, task, own)
            if new_state is own:
                continue
            reached[task.name] = new_state
        changed = True
    if not changed:
        return False
    job.state = pipeline_jobs.RUNNING
    if not job.HasField("start_time"):
        stamp(job.start_time, world.clock())
    over = all(name in reached and reached[name]["state"] in OVER for name in tasks)
    bad = next((name for name, one in reached.items() if one["state"] == FAILED), None)
    if over:
        end(world, job, "" if bad is None else f"The task {bad} has failed: {reached[bad].get('error', '')}")
    tell_tasks(job, reached)
    pipeline_jobs.save(world, row, job, {**row.extra, "tasks": reached}, DONE if over else BUSY)
    return True


def _begin(world: World, job: Message, task: Task, values: Json, reached: dict[str, Json]) -> Json:
    task_id = new_id()[:18]
    try:
        scene = _scene(world, job, task, task_id, values, reached)
        for file in (*scene.out_files.values(), scene.executor_file):
            Path(file).parent.mkdir(parents=True, exist_ok=True)
        spec = task.container
        env = {str(one["name"]): words([as_text(one.get("value", ""))], scene)[0] for one in spec.get("env", [])}
        command, args = words(spec.get("command", []), scene), words(spec.get("args", []), scene)
        child = children.container(spec["image"], command, args, env, {}, f"{last(job.name)} {task.name}")
        name = children.begin(world, child, parent_of(job.name), job.name)
    except (ApiError, KeyError, TypeError, AttributeError) as error:
        return {"id": task_id, "state": FAILED, "created": world.clock(), "ended": world.clock(), "error": str(error)}
    return {
        "id": task_id,
        "state": PENDING,
        "created": world.clock(),
        "job": name,
        "files": dict(scene.out_files),
        "executor": scene.executor_file,
        "inputs": dict(scene.parameters),
        "artifacts": dict(scene.out_artifacts),
    }


def _look(world: World, job: Message, task: Task, own: Json) -> Json:
    """What a task has reached now; the same object when that is nothing new."""
    child = children.look(world, own["job"])
    if not children.ended(child):
        running = RUNNING if child.state == jobs.RUNNING else own["state"]
        if running == own["state"]:
            return own
        return {**own, "state": running, "started": child.start_time.ToMicroseconds() / 1e6}
    found = {**own, "ended": world.clock(), "started": child.start_time.ToMicroseconds() / 1e6}
    if child.state != jobs.SUCCEEDED:
        state = CANCELLED if child.state == jobs.CANCELLED and job.state == pipeline_jobs.CANCELLING else FAILED
        return {**found, "state": state, "error": child.error.message}
    try:
        outputs = _outputs(task, own)
    except (OSError, ValueError) as error:
        return {**found, "state": FAILED, "error": f"An output cannot be read: {error}"}
    return {**found, "state": SUCCEEDED, "parameters": outputs}


def _scene(world: World, job: Message, task: Task, task_id: str, values: Json, reached: dict[str, Json]) -> Scene:
    number = project_number(project_of(job.name))
    root = f"{job.runtime_config.gcs_output_directory}/{number}/{last(job.name)}/{task.name}_{task_id}"
    local = world.settings.folder / "pipelines" / last(job.name) / f"{task.name}_{task_id}"
    parameters: Json = dict(task.defaults)
    for name, source in task.inputs.items():
        found = _input(name, source, values, reached)
        if found is not None:
            parameters[name] = found
    for name in list(parameters):  # constants may name other inputs
        if isinstance(parameters[name], str) and "{{$" in parameters[name]:
            scene = Scene(parameters, {}, {}, {}, "", {})
            parameters[name] = words([parameters[name]], scene)[0]
    artifacts: Json = {}
    for name, source in task.artifacts_in.items():
        origin = source.get("taskOutputArtifact")
        if origin is None:
            raise KeyError(f"the input artifact {name} comes from outside of the pipeline, which is not run here")
        artifacts[name] = reached[origin["producerTask"]]["artifacts"][origin["outputArtifactKey"]]
    return Scene(
        parameters=parameters,
        artifacts=artifacts,
        out_files={name: str(local / name) for name in task.out_parameters},
        out_artifacts={
            name: {"name": name, "uri": f"{root}/{name}", "type": one.get("artifactType", {}), "metadata": {}}
            for name, one in task.out_artifacts.items()
        },
        executor_file=str(local / "executor_output.json"),
        names={
            "pipeline_job_name": last(job.name),
            "pipeline_job_resource_name": job.name,
            "pipeline_job_uuid": last(job.name),
            "pipeline_task_name": task.name,
            "pipeline_task_uuid": task_id,
            "pipeline_root": job.runtime_config.gcs_output_directory,
        },
    )


def _input(name: str, source: Json, values: Json, reached: dict[str, Json]) -> Any:
    if "componentInputParameter" in source:
        return values.get(source["componentInputParameter"])
    if "taskOutputParameter" in source:
        origin = source["taskOutputParameter"]
        return reached[origin["producerTask"]].get("parameters", {}).get(origin["outputParameterKey"])
    runtime = source.get("runtimeValue", {})
    if "constant" in runtime:
        return runtime["constant"]
    constant = runtime.get("constantValue", {})
    found = next(iter(constant.values()), None)
    if found is None and "taskFinalStatus" not in source:
        raise KeyError(f"the input {name} has a source that is not known here: {json.dumps(source)}")
    return found


def _outputs(task: Task, own: Json) -> Json:
    found: Json = {}
    executor = Path(own["executor"])
    if executor.exists():
        found |= json.loads(executor.read_text(encoding="utf-8")).get("parameterValues", {})
    for name, kind in task.out_parameters.items():
        file = Path(own["files"][name])
        if name not in found and file.exists():
            text = file.read_text(encoding="utf-8")
            found[name] = text if kind == "STRING" else json.loads(text)
    return found


def _close(world: World, row: Row, job: Message, verdict: fates.Verdict) -> bool:
    """End the job as somebody else decided it, once its containers are gone."""
    reached: dict[str, Json] = dict(row.extra["tasks"])
    if row.extra["template"] and verdict[0] == pipeline_jobs.SUCCEEDED:
        return finish(world, row, job)
    if children.cancel(world, [one["job"] for one in reached.values() if "job" in one]):
        job.state, status, message = verdict
        left = {pipeline_jobs.SUCCEEDED: SKIPPED, pipeline_jobs.FAILED: FAILED}.get(job.state, CANCELLED)
        for name, one in reached.items():
            if one["state"] not in OVER:
                reached[name] = {**one, "state": left, "ended": world.clock()}
        stamp(job.end_time, world.clock())
        if status:
            job.error.code, job.error.message = RPC_CODES[status], message
        tell_tasks(job, reached)
        pipeline_jobs.save(world, row, job, {**row.extra, "tasks": reached}, DONE)
    return True
