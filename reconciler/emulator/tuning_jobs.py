"""GenAiTuningService, tuning jobs: create, get, list, cancel; neither delete nor update, as in reality.

Supervised tuning and distillation of open and of Google's models. What makes them run is `tuning_runs`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from reconciler.emulator import checkpoints, models, tuning_plan
from reconciler.emulator.listing import page
from reconciler.emulator.store import BUSY, Row
from reconciler.emulator.tuning_plan import Tuning
from reconciler.emulator.wire.checks import check_labels, required
from reconciler.emulator.wire.codec import Message, new, to_json
from reconciler.emulator.wire.errors import Json, invalid, not_found
from reconciler.emulator.wire.names import canonical, new_id
from reconciler.emulator.wire.tuning_types import parse_tuning_job, shown, tuning_job_class
from reconciler.emulator.world import Answer, Method, Plain, World, stamp

KIND = "tuning"
PENDING, RUNNING, SUCCEEDED, FAILED, CANCELLING, CANCELLED = 2, 3, 4, 5, 6, 7
ENDED = (SUCCEEDED, FAILED, CANCELLED)
FULL, PEFT = 1, 2
_MODES = {"TUNING_MODE_FULL": FULL, "TUNING_MODE_PEFT_ADAPTER": PEFT}
_RANKS = {0: 16, 1: 1, 2: 4, 3: 8, 4: 16, 5: 32, 6: 2}
_OUTPUTS = ("name", "state", "create_time", "start_time", "end_time", "update_time", "error", "experiment",
            "tuned_model", "tuning_data_stats", "pipeline_job", "evaluate_dataset_runs")  # fmt: skip
_FIELDS = {"name", "state", "labels", "base_model", "tuned_model_display_name", "create_time", "update_time",
           "start_time", "end_time", "tuned_model", "description"}  # fmt: skip


def read(row: Row) -> Message:
    """The TuningJob in a row."""
    return tuning_job_class().FromString(row.body)


def save(world: World, row: Row, job: Message, extra: Json, work: int) -> None:
    """Store a job with its update time set."""
    stamp(job.update_time, world.clock())
    world.store.save(Row(KIND, row.name, row.parent, job.SerializeToString(), extra, work))


def create(world: World, request: Any) -> Plain:
    """CreateTuningJob. `request` is JSON: `{"parent", "tuningJob"}`, as the types of no one version hold it all."""
    asked: Json = request if isinstance(request, dict) else to_json(request)
    body = asked.get("tuningJob", asked.get("tuning_job", {}))
    if not isinstance(body, dict):
        raise invalid("tuning_job", "Invalid value at 'tuning_job': an object is wanted.")
    job, extra = parse_tuning_job(body)
    for field in _OUTPUTS:
        job.ClearField(field)
    check_labels(job.labels, "tuning_job.labels")
    parent = canonical(str(asked["parent"]))
    job.name = f"{parent}/tuningJobs/{new_id()}"
    tuning = _tuning(world, job, extra, parent)
    job.tuned_model_display_name = tuning.name
    job.state = PENDING
    stamp(job.create_time, world.clock())
    job.update_time.CopyFrom(job.create_time)
    kept = {"wire": extra, "tuning": tuning.kept(), "serve": not job.output_uri, "own": {}}
    world.store.add(Row(KIND, job.name, parent, job.SerializeToString(), kept, BUSY))
    return Plain(shown(job, extra))


def get(world: World, request: Message) -> Plain:
    """GetTuningJob."""
    row = find(world, request.name)
    return Plain(shown(read(row), row.extra["wire"]))


def find(world: World, name: str) -> Row:
    """The row of a job by its full name. Raises NOT_FOUND."""
    row = world.store.get(KIND, canonical(name))
    if row is None:
        raise not_found(f"The TuningJob {name}")
    return row


def list_(world: World, request: Message) -> Plain:
    """ListTuningJobs, newest first."""
    parent = canonical(request.parent)
    extras: dict[str, Json] = {}

    def reading(row: Row) -> Message:
        extras[row.name] = row.extra["wire"]
        return read(row)

    found, token = page(
        lambda before: world.store.children(KIND, parent, before=before), reading, request, fields=_FIELDS
    )
    body: Json = {"tuningJobs": [shown(job, extras[job.name]) for job in found]} if found else {}
    return Plain({**body, "nextPageToken": token} if token else body)


def cancel(world: World, request: Message) -> Answer:
    """CancelTuningJob: asks; the trainer ends soon. Cancelling an ended job changes nothing."""
    row = find(world, request.name)
    job = read(row)
    if job.state not in (*ENDED, CANCELLING):
        job.state = CANCELLING
        save(world, row, job, row.extra, BUSY)
    return new("google.protobuf.Empty")


METHODS: Mapping[str, Method] = {
    "GenAiTuningService.CreateTuningJob": create,
    "GenAiTuningService.GetTuningJob": get,
    "GenAiTuningService.ListTuningJobs": list_,
    "GenAiTuningService.CancelTuningJob": cancel,
}


def _tuning(world: World, job: Message, extra: Json, parent: str) -> Tuning:
    """What a job asks for, with the service's defaults filled in where it shows them."""
    kind = job.WhichOneof("tuning_spec")
    if kind is None and "distillationSpec" in extra:
        kind = "distillation_spec"
        job.distillation_spec.SetInParent()
    if kind is None:
        raise required("tuning_job.supervised_tuning_spec")
    base, start = _base(world, job)
    spec, place = getattr(job, kind), f"tuning_job.{kind}"
    own = extra.get("distillationSpec", {})
    hyper, hyper_extra = spec.hyper_parameters, extra.get("distillationSpec.hyperParameters", {})
    train = own.get("promptDatasetUri") or spec.training_dataset_uri
    _address(train, f"{place}.{'prompt' if 'promptDatasetUri' in own else 'training'}_dataset_uri", wanted=True)
    _address(spec.validation_dataset_uri, f"{place}.validation_dataset_uri")
    _address(job.output_uri, "tuning_job.output_uri")
    _address(job.custom_base_model, "tuning_job.custom_base_model")
    for name in ("epoch_count", "learning_rate_multiplier"):
        if getattr(hyper, name) < 0:
            raise invalid(f"{place}.hyper_parameters.{name}", f"{name} must not be negative.")
    hyper.epoch_count = hyper.epoch_count or 3
    if kind == "supervised_tuning_spec":
        mode, rate, batch = spec.tuning_mode, hyper.learning_rate, hyper.batch_size
        last_only = spec.export_last_checkpoint_only
    else:
        mode = _mode(own.get("tuningMode", PEFT), place)
        last_only = bool(own.get("exportLastCheckpointOnly", False))
        rate = float(hyper_extra.get("learningRate", 0))
        batch = _whole(hyper_extra.get("batchSize", 0), f"{place}.hyper_parameters.batch_size")
    teacher = ""
    if kind == "distillation_spec":
        base = base or spec.student_model
        teacher = spec.base_teacher_model or spec.tuned_teacher_model_source
        if not teacher:
            raise required(f"{place}.base_teacher_model")
    if not base:
        raise required("tuning_job.base_model")
    full = mode == FULL
    rate = rate or (2e-5 if full else 2e-4) * (hyper.learning_rate_multiplier or 1.0)
    return Tuning(
        base=base,
        name=job.tuned_model_display_name or f"tuned-{job.name.rpartition('/')[2]}",
        train=train,
        validation=spec.validation_dataset_uri,
        method="full" if full else "lora",
        rank=_RANKS.get(hyper.adapter_size, 16),
        epochs=hyper.epoch_count,
        steps=0,
        learning_rate=rate,
        batch=batch or 8,
        output=job.output_uri.rstrip("/") or tuning_plan.bucket_of(parent, job.name),
        start=job.custom_base_model.rstrip("/") or start,
        teacher=teacher,
        last_only=last_only,
    )


def _base(world: World, job: Message) -> tuple[str, str]:
    """(base model, folder of the tuned model to go on from)."""
    if not job.HasField("pre_tuned_model"):
        return job.base_model, ""
    asked = job.pre_tuned_model
    if not asked.tuned_model_name:
        raise required("tuning_job.pre_tuned_model.tuned_model_name")
    named = asked.tuned_model_name
    if "/tuningJobs/" in named:
        named = find(world, named).extra["own"].get("model") or named
    model = models.find(world, named)
    start = checkpoints.folder(model, asked.checkpoint_id, "tuning_job.pre_tuned_model.checkpoint_id")
    for row in world.store.every(KIND):
        if row.extra["own"].get("model", "").split("@")[0] == model.name.split("@")[0]:
            asked.base_model = asked.base_model or row.extra["tuning"]["base"]
    return asked.base_model or model.display_name, start


def _address(uri: str, place: str, *, wanted: bool = False) -> None:
    if not uri and wanted:
        raise required(place)
    if uri and not (uri.startswith("gs://") and len(uri) > len("gs://")):
        raise invalid(place, f"{place} must be a Cloud Storage address (gs://...), not {uri}.")


def _mode(given: str | int, place: str) -> int:
    mode = _MODES.get(given) if isinstance(given, str) else given
    if mode not in (0, FULL, PEFT):
        raise invalid(f"{place}.tuning_mode", f"Invalid value at '{place}.tuning_mode': {given!r}")
    return mode


def _whole(given: Any, place: str) -> int:
    try:
        found = int(given)
    except ValueError:
        found = -1
    if found < 0:
        raise invalid(place, f"Invalid value at '{place}': {given!r}")
    return found
