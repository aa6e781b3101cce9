"""Makes training pipelines run: one custom job each, and once it has succeeded the upload of its model, if any.

One call of `advance` does what can be done now and never blocks. The custom job is named in the pipeline itself
(`trainingTaskMetadata.backingCustomJob`), as on the service, so nothing else has to be remembered.
"""

from __future__ import annotations

from google.protobuf import json_format

from reconciler.emulator import children, fates, jobs, models, training_pipelines
from reconciler.emulator.steps import each
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import RPC_CODES, ApiError
from reconciler.emulator.wire.names import parent_of
from reconciler.emulator.world import World, stamp

_JOB = "backingCustomJob"


def advance(world: World) -> bool:
    """One pass over all unfinished pipelines. True when something has changed."""
    return each(world, training_pipelines.KIND, _step)


def _step(world: World, row: Row) -> bool:
    pipeline = training_pipelines.read(row)
    before = pipeline.SerializeToString()
    try:
        with world.store.together():
            _advanced(world, row, pipeline)
    except ApiError as error:  # what it needs has been taken away, or its model is refused
        _end(world, pipeline, training_pipelines.FAILED, error.rpc_code, error.message)
    if pipeline.SerializeToString() == before:
        return False
    over = pipeline.state in training_pipelines.ENDED
    training_pipelines.save(world, row, pipeline, DONE if over else BUSY)
    return True


def _advanced(world: World, row: Row, pipeline: Message) -> None:
    job = _backing(pipeline)
    verdict = fates.of_owner(world, row, pipeline)
    if verdict is not None:
        if children.cancel(world, [job] if job else []):
            state, status, message = verdict
            if state == training_pipelines.SUCCEEDED:
                _upload(world, pipeline)
            _end(world, pipeline, state, RPC_CODES.get(status, 0), message)
    elif not job:
        name = children.begin(world, training_pipelines.job_of(pipeline), parent_of(pipeline.name))
        fates.hand_down(world, row, name)
        pipeline.training_task_metadata.struct_value[_JOB] = name
    else:
        child = children.look(world, job)
        if child.HasField("start_time") and pipeline.state == training_pipelines.PENDING:
            pipeline.state = training_pipelines.RUNNING
            pipeline.start_time.CopyFrom(child.start_time)
        elif child.state == jobs.SUCCEEDED:
            _upload(world, pipeline)
            _end(world, pipeline, training_pipelines.SUCCEEDED, 0, "")
        elif children.ended(child):
            cancelled = child.state == jobs.CANCELLED
            state = training_pipelines.CANCELLED if cancelled else training_pipelines.FAILED
            _end(world, pipeline, state, child.error.code, child.error.message)


def _upload(world: World, pipeline: Message) -> None:
    """Put what the job has left in its model folder into the registry, when the pipeline has a model."""
    if not pipeline.HasField("model_to_upload"):
        return
    model = pipeline.model_to_upload
    if not model.artifact_uri:
        output = training_pipelines.job_of(pipeline).job_spec.base_output_directory.output_uri_prefix
        model.artifact_uri = f"{output.rstrip('/')}/model"
    request = new("UploadModelRequest", parent=parent_of(pipeline.name), model=model, model_id=pipeline.model_id)
    request.parent_model = pipeline.parent_model
    response = new("UploadModelResponse")
    models.upload(world, request).response.Unpack(response)
    model.name, model.version_id = response.model, response.model_version_id


def _backing(pipeline: Message) -> str:
    if not pipeline.HasField("training_task_metadata"):
        return ""
    return str(json_format.MessageToDict(pipeline.training_task_metadata).get(_JOB, ""))


def _end(world: World, pipeline: Message, state: int, code: int, message: str) -> None:
    pipeline.state = state
    stamp(pipeline.end_time, world.clock())
    if code:
        pipeline.error.code, pipeline.error.message = code, message
