"""Managed tuning on this machine: what is tuned, as the trainer's program is told it, and what comes of it.

Managed services tune models that only Google has; here a stand-in, a small model on this machine that a table names,
takes the place of each. All else is as documented: data, hyperparameters, where the artifact goes, what is registered.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.emulator import checkpoints, children, deployments, endpoints, models
from reconciler.emulator.settings import Settings
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import Json
from reconciler.emulator.wire.names import last
from reconciler.emulator.work.containers import CannotRunError
from reconciler.emulator.world import World

TRAINER, SERVER = "loraform/train", "loraform/serve"
CHECKPOINTS = "postprocess/node-0/checkpoints"


@dataclass(frozen=True, slots=True)
class Tuning:
    """One tuning. `epochs` or `steps` is 0; `output` is a `gs://` folder; `start` a folder that replaces the stand-in.

    `teacher` names the model that answers the prompts of a distillation. Without `last_only` a checkpoint is kept after
    every epoch, at most ten with the last.
    """

    base: str
    name: str
    train: str
    validation: str
    method: str
    rank: int
    epochs: int
    steps: int
    learning_rate: float
    batch: int
    output: str
    evaluate_every: int = 0
    context: str = ""
    start: str = ""
    teacher: str = ""
    last_only: bool = True

    @property
    def final(self) -> str:
        """Where the tuned model lies."""
        return f"{self.output.rstrip('/')}/{CHECKPOINTS}/{checkpoints.FINAL}"

    def kept(self) -> Json:
        """As JSON, for a row."""
        return asdict(self)


def stand_in(settings: Settings, base: str) -> str:
    """The model on this machine that stands for `base`. Raises `CannotRunError` with the way to name one."""
    bare = base.removeprefix("publishers/").replace("/models/", "/")
    for name in (base, bare, bare.rpartition("/")[2], "*"):
        if name in settings.stand_ins:
            return settings.stand_ins[name]
    raise CannotRunError(
        f"Nothing on this machine stands for the base model {base}. Name a folder with a small model for it: "
        f"--stand-ins '{json.dumps({base: '/path/to/a/small/model'})}' ('*' stands for every model), or give a "
        "customBaseModel."
    )


def job(world: World, tuning: Tuning, owner: str) -> Message:
    """The custom job that trains. Raises `CannotRunError`."""
    program = world.settings.program(TRAINER)
    if program is None:
        raise CannotRunError(
            f'No program tunes models on this machine. Start the server with --programs \'{{"{TRAINER}": ["python", '
            '"-m", "your.trainer"]}\'.'
        )
    base = tuning.start or stand_in(world.settings, tuning.base)
    teacher = stand_in(world.settings, tuning.teacher) if tuning.teacher else ""
    identity = hashlib.sha256(owner.encode()).hexdigest()
    told = {
        "train": tuning.train,
        "validation": tuning.validation,
        "context": tuning.context,
        "teacher": teacher,
        "output": tuning.output.rstrip("/"),
        "final": tuning.final,
        "spec": _spec(tuning, base, identity),
        "project": world.settings.project,
    }
    command: tuple[str, ...] = ()
    if not isinstance(program, str):
        command = (sys.executable, "-m", "reconciler.emulator.work.tuning_program", json.dumps(told), *program)
    return children.container(TRAINER, command, (), {}, {}, f"tuning of {tuning.name}")


def register(
    world: World, parent: str, tuning: Tuning, labels: Mapping[str, str], kept: Sequence[tuple[int, int]] = ()
) -> str:
    """Put the tuned model into the registry; gives `NAME@VERSION`. `kept` are (epoch, step) of its checkpoints."""
    form = "full" if tuning.method == "full" else "adapter"
    base = _beneath(world, tuning)
    told = {"experiment": tuning.name, "form": form, "model": {"base": base}, "rank": max(tuning.rank, 1), "version": 1}
    model = new("Model", display_name=tuning.name[:128], artifact_uri=tuning.final, labels=dict(labels))
    model.container_spec.image_uri = SERVER
    model.container_spec.args.extend(["--spec", json.dumps(told, sort_keys=True)])
    model.container_spec.health_route, model.container_spec.predict_route = "/health", "/predict"
    model.model_source_info.source_type = 4  # MODEL_GARDEN
    for number, (epoch, step) in enumerate(kept, 1):
        model.default_checkpoint_id = str(number)
        model.checkpoints.add(checkpoint_id=str(number), epoch=epoch, step=step)
    operation = models.upload(world, new("UploadModelRequest", parent=parent, model=model))
    response = new("UploadModelResponse")
    operation.response.Unpack(response)
    return f"{response.model}@{response.model_version_id}"


def serve(
    world: World, parent: str, tuning: Tuning, model: str, labels: Mapping[str, str], checkpoint: str = ""
) -> tuple[str, str]:
    """Begin to serve a tuned model, or a checkpoint of it, at an endpoint of its name.

    Gives (endpoint, operation: empty when nothing serves).
    """
    name = f"{tuning.name[:100]} checkpoint {checkpoint}" if checkpoint else tuning.name[:128]
    endpoint = new("Endpoint", display_name=name, labels=dict(labels))
    made = endpoints.create(world, new("CreateEndpointRequest", parent=parent, endpoint=endpoint))
    found = new("Endpoint")
    made.response.Unpack(found)
    if world.settings.program(SERVER) is None:
        return found.name, ""
    request = new("DeployModelRequest", endpoint=found.name, traffic_split={"0": 100})
    request.deployed_model.model, request.deployed_model.checkpoint_id = model, checkpoint
    request.deployed_model.automatic_resources.min_replica_count = 1
    return found.name, deployments.deploy(world, request).name


def bucket_of(parent: str, job: str) -> str:
    """The folder for a tuning whose caller named none, in a bucket of the embedded services' own."""
    return f"gs://loraform-tuning-{parent.split('/')[1]}/{last(job)}"


def _spec(tuning: Tuning, base: str, identity: str) -> Json:
    training: dict[str, Any] = {
        "learning_rate": tuning.learning_rate,
        "per_device_train_batch_size": tuning.batch,
        "gradient_accumulation_steps": 1,
        "logging_steps": 1,
        "truncation_mode": "keep_start",  # the service cuts rows that are too long
    }
    training |= {"max_steps": tuning.steps} if tuning.steps else {"num_train_epochs": tuning.epochs}
    if tuning.evaluate_every:
        training |= {"eval_strategy": "steps", "eval_steps": tuning.evaluate_every}
    elif tuning.validation and tuning.epochs:
        training |= {"eval_strategy": "epoch"}
    place = f"{tuning.output.rstrip('/')}/postprocess/node-0"
    output = {"record": f"{place}/runs/{identity[:20]}.json", "lock": f"{place}/runs/{identity[:20]}.lock"}
    if not tuning.last_only:
        output["checkpoints"] = f"{tuning.output.rstrip('/')}/{CHECKPOINTS}"
    return {
        "version": 1,
        "fleet": "managed",
        "experiment": "tuning",
        "identity": identity,
        "method": tuning.method,
        "model": {"base": base},
        "adapter": {} if tuning.method == "full" else {"r": tuning.rank, "lora_alpha": 2 * tuning.rank},
        "training": training,
        "output": output,
    }


def _beneath(world: World, tuning: Tuning) -> str:
    """What a tuned adapter lies upon: as it says itself, else as it was asked for."""
    adapter = world.mounts.read(f"{tuning.final}/adapter_config.json")
    try:
        said = json.loads(adapter)["base_model_name_or_path"] if adapter else None
    except (ValueError, KeyError, TypeError):
        said = None
    if said:
        return str(said)
    try:
        return tuning.start or stand_in(world.settings, tuning.base)
    except CannotRunError:
        return tuning.base
