"""PipelineService, pipeline jobs: create, get, list, cancel, delete. What makes them run is `pipeline_runs`.

A job has an inline spec, or the `templateUri` of one of Google's tuning pipelines (`tuning_template`).
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from google.protobuf import json_format

from reconciler.emulator import jobs, pipeline_spec, tuning_template
from reconciler.emulator.job_rooms import FILTERED, Room
from reconciler.emulator.store import BUSY, Row
from reconciler.emulator.wire.checks import check_labels, required
from reconciler.emulator.wire.codec import Message, message_class, new, to_json
from reconciler.emulator.wire.errors import Json, invalid, taken
from reconciler.emulator.wire.names import canonical, last, new_id, project_number, project_of
from reconciler.emulator.world import Method, World, stamp

KIND = "pipeline"
PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED = 2, 3, 4, 5, 6, 7
ENDED = (SUCCEEDED, FAILED, CANCELLED)
_ID = re.compile(r"[a-z][-a-z0-9]{0,127}")
_OUTPUTS = ("create_time", "start_time", "end_time", "update_time", "state", "job_detail", "error", "schedule_name")


def _view(job: Message) -> Json:
    slim = message_class("PipelineJob")()
    slim.CopyFrom(job)
    for field in ("pipeline_spec", "job_detail", "runtime_config"):
        slim.ClearField(field)
    return {**to_json(slim), "pipelineName": pipeline_spec.name_of(spec_of(job)), "pipelineJobUserId": last(job.name)}


ROOM = Room(
    KIND,
    "PipelineJob",
    "pipeline_jobs",
    fields=FILTERED | {"pipeline_name", "pipeline_job_user_id", "template_uri", "template_metadata", "schedule_name"},
    orders=frozenset({"create_time", "update_time", "start_time", "end_time"}),
    detail="job_detail",
    owns=jobs.KIND,
    view=_view,
)
read = ROOM.read


def save(world: World, row: Row, job: Message, extra: Json, work: int) -> None:
    """Store a job, and what its run has reached."""
    ROOM.save(world, row, job, work, extra)


def spec_of(job: Message) -> Json:
    """The compiled pipeline as JSON."""
    found: Json = json_format.MessageToDict(job.pipeline_spec)
    return found


def create(world: World, request: Message) -> Message:
    """CreatePipelineJob: parameters are checked and defaults filled in before anything runs."""
    job, parent = request.pipeline_job, canonical(request.parent)
    check_labels(job.labels, "pipeline_job.labels")
    if request.pipeline_job_id and not _ID.fullmatch(request.pipeline_job_id):
        raise invalid(
            "pipeline_job_id",
            f"Invalid pipeline job id {request.pipeline_job_id}: it must match {_ID.pattern}.",
        )
    for field in _OUTPUTS:
        job.ClearField(field)
    template = tuning_template.find(job.template_uri)
    if not job.pipeline_spec.fields:
        if not job.template_uri:
            raise required("pipeline_job.pipeline_spec or template_uri")
        if template is None:
            raise invalid(
                "pipeline_job.template_uri",
                f"The template {job.template_uri} is not one of {', '.join(tuning_template.NAMES)}; the embedded "
                "Vertex AI fetches no templates: give its pipeline_spec inline.",
            )
        job.pipeline_spec.update(tuning_template.spec(template))
        job.template_metadata.version = job.template_uri.rpartition("/")[2]
    spec = spec_of(job)
    root = job.runtime_config.gcs_output_directory or str(spec.get("defaultPipelineRoot", ""))
    if not root.startswith("gs://"):
        raise invalid(
            "pipeline_job.runtime_config.gcs_output_directory",
            f"The output directory must be a Cloud Storage address (gs://BUCKET/FOLDER), not '{root}'.",
        )
    given = {name: json_format.MessageToDict(v) for name, v in job.runtime_config.parameter_values.items()}
    values = pipeline_spec.fill(pipeline_spec.declared(spec), given)
    if template is not None:
        tuning_template.check(values)
    else:
        pipeline_spec.tasks_of(spec)
    for name, value in values.items():
        json_format.ParseDict(value, job.runtime_config.parameter_values[name])
    job.runtime_config.gcs_output_directory = root.rstrip("/")
    number = project_number(project_of(parent))
    job.service_account = job.service_account or f"{number}-compute@developer.gserviceaccount.com"
    name = pipeline_spec.name_of(spec)
    job.display_name = job.display_name or name
    moment = re.sub(r"\D", "", new("google.protobuf.Timestamp", seconds=int(world.clock())).ToJsonString())
    job.name = f"{parent}/pipelineJobs/{request.pipeline_job_id or f'{name}-{moment}{new_id()[:6]}'}"
    job.labels["vertex-ai-pipelines-run-billing-id"] = new_id()
    job.state = PENDING
    stamp(job.create_time, world.clock())
    job.update_time.CopyFrom(job.create_time)
    extra: Json = {"template": template or "", "tasks": {}}
    try:
        world.store.add(Row(KIND, job.name, parent, job.SerializeToString(), extra, BUSY))
    except KeyError:
        raise taken(job.name) from None
    return job


METHODS: Mapping[str, Method] = {
    "PipelineService.CreatePipelineJob": create,
    **ROOM.methods("PipelineService"),
}
