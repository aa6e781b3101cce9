"""PipelineService, training pipelines: create, get, list, cancel, delete. `training_pipeline_runs` makes them run.

Only the task that runs containers of one's own is served (`custom_task`), which is what Google's `CustomJob`-like
training classes send. AutoML and Vertex AI's datasets do not exist here and are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import json_format

from reconciler.emulator import jobs, operations
from reconciler.emulator.listing import page
from reconciler.emulator.store import BUSY, DONE, Row
from reconciler.emulator.wire.checks import check_display_name, check_labels, required
from reconciler.emulator.wire.codec import Message, message_class, new, parse, to_json
from reconciler.emulator.wire.errors import ApiError, Json, invalid, not_found, precondition
from reconciler.emulator.wire.names import canonical, new_id
from reconciler.emulator.world import Method, World, stamp

KIND = "training"
PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED = 2, 3, 4, 5, 6, 7
ENDED = (SUCCEEDED, FAILED, CANCELLED)
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
_PLACE = "training_pipeline"
_OUTPUTS = ("state", "error", "create_time", "start_time", "end_time", "update_time", "training_task_metadata")
_FIELDS = {"display_name", "state", "training_task_definition", "labels", "create_time", "update_time", "start_time",
           "end_time", "name"}  # fmt: skip


def read(row: Row) -> Message:
    """The TrainingPipeline in a row."""
    return message_class("TrainingPipeline").FromString(row.body)


def save(world: World, row: Row, pipeline: Message, work: int) -> None:
    """Store a pipeline with its update time set."""
    stamp(pipeline.update_time, world.clock())
    world.store.save(Row(KIND, row.name, row.parent, pipeline.SerializeToString(), row.extra, work))


def job_of(pipeline: Message) -> Message:
    """The CustomJob that a pipeline's inputs describe. Raises INVALID_ARGUMENT."""
    inputs = json_format.MessageToDict(pipeline.training_task_inputs)
    if not isinstance(inputs, dict):
        raise invalid(f"{_PLACE}.training_task_inputs", "The inputs of a custom task are an object.")
    job = new("CustomJob", display_name=f"{pipeline.display_name[:117]}-custom-job", labels=dict(pipeline.labels))
    job.job_spec.CopyFrom(parse(_without_nulls(inputs), "CustomJobSpec", f"{_PLACE}.training_task_inputs"))
    return job


def create(world: World, request: Message) -> Message:
    """CreateTrainingPipeline: the custom job begins soon, and once it has succeeded the model is uploaded, if any."""
    pipeline, parent = request.training_pipeline, canonical(request.parent)
    check_display_name(pipeline.display_name, f"{_PLACE}.display_name")
    check_labels(pipeline.labels, f"{_PLACE}.labels")
    if not pipeline.training_task_definition:
        raise required(f"{_PLACE}.training_task_definition")
    if pipeline.training_task_definition != TASK:
        raise ApiError(
            "UNIMPLEMENTED",
            f"The embedded Vertex AI does not run {pipeline.training_task_definition}; of all tasks it runs {TASK}.",
        )
    if pipeline.input_data_config.dataset_id:
        raise not_found(f"The Dataset {parent}/datasets/{pipeline.input_data_config.dataset_id}")
    if not pipeline.HasField("training_task_inputs"):
        raise required(f"{_PLACE}.training_task_inputs")
    jobs.check(job_of(pipeline))
    _check_model(pipeline)
    for field in _OUTPUTS:
        pipeline.ClearField(field)
    pipeline.name = f"{parent}/trainingPipelines/{new_id()}"
    pipeline.state = PENDING
    stamp(pipeline.create_time, world.clock())
    pipeline.update_time.CopyFrom(pipeline.create_time)
    world.store.add(Row(KIND, pipeline.name, parent, pipeline.SerializeToString(), {}, BUSY))
    return pipeline


def get(world: World, request: Message) -> Message:
    """GetTrainingPipeline."""
    return read(find(world, request.name))


def find(world: World, name: str) -> Row:
    """The row of a pipeline by its full name. Raises NOT_FOUND."""
    row = world.store.get(KIND, canonical(name))
    if row is None:
        raise not_found(f"The TrainingPipeline {name}")
    return row


def list_(world: World, request: Message) -> Message:
    """ListTrainingPipelines, newest first; with a read mask only its fields."""
    parent = canonical(request.parent)
    found, token = page(
        lambda before: world.store.children(KIND, parent, before=before),
        read,
        request,
        fields=_FIELDS,
        view=_view,
        shown="TrainingPipeline",
    )
    return new("ListTrainingPipelinesResponse", training_pipelines=found, next_page_token=token)


def cancel(world: World, request: Message) -> Message:
    """CancelTrainingPipeline: asks; what runs is ended soon. Cancelling an ended pipeline changes nothing."""
    row = find(world, request.name)
    pipeline = read(row)
    if pipeline.state not in (*ENDED, CANCELLING):
        pipeline.state = CANCELLING
        save(world, row, pipeline, BUSY)
    return new("google.protobuf.Empty")


def delete(world: World, request: Message) -> Message:
    """DeleteTrainingPipeline: only of an ended one. Its custom job and a model that it has uploaded stay."""
    row = find(world, request.name)
    if row.work != DONE:
        raise precondition(f"The TrainingPipeline {row.name} is still running. Cancel it before deleting it.")
    world.store.drop(KIND, row.name)
    return operations.finished(world, row.parent, new("google.protobuf.Empty"), new("DeleteOperationMetadata"))


METHODS: Mapping[str, Method] = {
    "PipelineService.CreateTrainingPipeline": create,
    "PipelineService.GetTrainingPipeline": get,
    "PipelineService.ListTrainingPipelines": list_,
    "PipelineService.CancelTrainingPipeline": cancel,
    "PipelineService.DeleteTrainingPipeline": delete,
}


def _check_model(pipeline: Message) -> None:
    """A model can be uploaded only from a folder that the job writes into."""
    if not pipeline.HasField("model_to_upload"):
        return
    check_display_name(pipeline.model_to_upload.display_name, f"{_PLACE}.model_to_upload.display_name")
    if not job_of(pipeline).job_spec.base_output_directory.output_uri_prefix:
        raise required(f"{_PLACE}.training_task_inputs.base_output_directory")


def _without_nulls(value: Json) -> Json:
    """Google's SDK sends null for what its caller left out."""
    return {
        key: _without_nulls(inner) if isinstance(inner, dict) else inner
        for key, inner in value.items()
        if inner is not None
    }


def _view(pipeline: Message) -> Json:
    slim = message_class("TrainingPipeline")()
    slim.CopyFrom(pipeline)
    for field in ("training_task_inputs", "model_to_upload"):
        slim.ClearField(field)
    return to_json(slim)
