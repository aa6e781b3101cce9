"""Managed tuning on this machine: what is tuned, as the trainer's program is told it, and what comes of it.

Managed services tune models that only Google has; here a stand-in, a small model on this machine that a table names,
takes the place of each. All else is as documented: data, hyperparameters, where the artifact goes, what is registered.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from reconciler.emulator import children, deployments, endpoints, models
from reconciler.emulator.settings import Settings
from reconciler.emulator.wire.codec import Message, new
from reconciler.emulator.wire.errors import Json
from reconciler.emulator.wire.names import last
from reconciler.emulator.work.containers import CannotRunError
from reconciler.emulator.world import World

TRAINER, SERVER = "loraform/train", "loraform/serve"
FINAL = "postprocess/node-0/checkpoints/final"


@dataclass(frozen=True, slots=True)
class Tuning:
    """One tuning. `epochs` or `steps` is 0; `output` is a `gs://` folder; `start` a folder that replaces the stand-in.

    `teacher` names the model that answers the prompts of a distillation.
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

    @property
    def final(self) -> str:
        """Where the tuned model lies."""
        return f"{self.output.rstrip('/')}/{FINAL}"

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


def register(world: World, parent: str, tuning: Tuning, labels: Mapping[str, str]) -> str:
    """Put the tuned model into the registry; gives `NAME@VERSION`."""
    base = tuning.start or _found(world.settings, tuning.base)
    form = "full" if tuning.method == "full" else "adapter"
    told = {"experiment": tuning.name, "form": form, "model": {"base": base}, "rank": max(tuning.rank, 1), "version": 1}
    model = new("Model", display_name=tuning.name[:128], artifact_uri=tuning.final, labels=dict(labels))
    model.container_spec.image_uri = SERVER
    model.container_spec.args.extend(["--spec", json.dumps(told, sort_keys=True)])
    model.container_spec.health_route, model.container_spec.predict_route = "/health", "/predict"
    model.model_source_info.source_type = 4  # MODEL_GARDEN
    operation = models.upload(world, new("UploadModelRequest", parent=parent, model=model))
    response = new("UploadModelResponse")
    operation.response.Unpack(response)
    return f"{response.model}@{response.model_version_id}"


def serve(world: World, parent: str, tuning: Tuning, model: str, labels: Mapping[str, str]) -> tuple[str, str]:
    """Begin to serve a tuned model at an endpoint of its own name; (endpoint, operation: empty when nothing serves)."""
    endpoint = new("Endpoint", display_name=tuning.name[:128], labels=dict(labels))
    made = endpoints.create(world, new("CreateEndpointRequest", parent=parent, endpoint=endpoint))
    found = new("Endpoint")
    made.response.Unpack(found)
    if world.settings.program(SERVER) is None:
        return found.name, ""
    request = new("DeployModelRequest", endpoint=found.name, traffic_split={"0": 100})
    request.deployed_model.model = model
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
    return {
        "version": 1,
        "fleet": "managed",
        "experiment": "tuning",
        "identity": identity,
        "method": tuning.method,
        "model": {"base": base},
        "adapter": {} if tuning.method == "full" else {"r": tuning.rank, "lora_alpha": 2 * tuning.rank},
        "training": training,
        "output": {
            "record": f"{tuning.output.rstrip('/')}/postprocess/node-0/runs/{identity[:20]}.json",
            "lock": f"{tuning.output.rstrip('/')}/postprocess/node-0/runs/{identity[:20]}.lock",
        },
    }


def _found(settings: Settings, base: str) -> str:
    try:
        return stand_in(settings, base)
    except CannotRunError:
        return base
