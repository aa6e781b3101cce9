"""PipelineService, training pipelines: create, get, list, cancel, delete. `training_pipeline_runs` makes them run.

Only the task that runs containers of one's own is served (`custom_task`), which is what Google's `CustomJob`-like
training classes send. AutoML and Vertex AI's datasets do not exist here and are refused by name.
"""

from __future__ import annotations

from collections.abc import Mapping

from google.protobuf import json_format

from reconciler.emulator import jobs
from reconciler.emulator.job_rooms import FILTERED, Room
from reconciler.emulator.store import BUSY, Row
from reconciler.emulator.wire.checks import check_display_name, check_labels, required
from reconciler.emulator.wire.codec import Message, new, parse
from reconciler.emulator.wire.errors import ApiError, Json, invalid, not_found
from reconciler.emulator.wire.names import canonical, new_id
from reconciler.emulator.world import Method, World, stamp

KIND = "training"
PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED = 2, 3, 4, 5, 6, 7
ENDED = (SUCCEEDED, FAILED, CANCELLED)
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"
_PLACE = "training_pipeline"
_OUTPUTS = ("state", "error", "create_time", "start_time", "end_time", "update_time", "training_task_metadata")

ROOM = Room(
    KIND,
    "TrainingPipeline",
    "training_pipelines",
    fields=FILTERED | {"training_task_definition"},
    large=("training_task_inputs", "model_to_upload"),
)
read, save = ROOM.read, ROOM.save


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


METHODS: Mapping[str, Method] = {
    "PipelineService.CreateTrainingPipeline": create,
    **ROOM.methods("PipelineService"),
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
