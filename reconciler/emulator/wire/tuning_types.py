"""TuningJob on the wire. v1beta1 is the larger of the two versions, so both are read and printed as it.

Its types are loaded at the first use: at rest nobody pays for them. `EXTRA` is what clients send and the types lack.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from google.protobuf import json_format

from reconciler.emulator.wire.codec import BETA_NAMESPACE, Message, camel, fill, message_class, snake
from reconciler.emulator.wire.errors import ApiError, Json, invalid

# google-genai 2.34, `tunings.tune(method="DISTILLATION")`, as recorded from the client.
EXTRA: Mapping[str, Mapping[str, tuple[type, ...]]] = {
    "distillationSpec": {
        "promptDatasetUri": (str,),
        "tuningMode": (str, int),
        "exportLastCheckpointOnly": (bool,),
        "evaluationConfig": (dict,),
    },
    "distillationSpec.hyperParameters": {
        "batchSize": (int, str),
        "learningRate": (int, float),
        "sftLossWeightMultiplier": (int, float),
    },
}
# The other ways of tuning that google-genai 2.34 and the v1beta1 types name.
NOT_RUN = frozenset(
    {
        "fullFineTuningSpec", "partnerModelTuningSpec", "preferenceOptimizationSpec", "reinforcementTuningSpec",
        "veoLoraTuningSpec", "veoTuningSpec",
    }
)  # fmt: skip


def tuning_job_class() -> Any:
    """The class of a v1beta1 TuningJob."""
    return message_class(f"{BETA_NAMESPACE}.TuningJob")


def parse_tuning_job(body: Json) -> tuple[Message, Json]:
    """(the message, what only `EXTRA` knows as `{path: {name: value}}`).

    Raises INVALID_ARGUMENT, and UNIMPLEMENTED for a way of tuning that is not run here.
    """
    for name in body:
        if camel(name) in NOT_RUN:
            raise ApiError(
                "UNIMPLEMENTED",
                f"The embedded Vertex AI does not run a tuning_job.{snake(name)}; it runs supervised_tuning_spec and "
                "distillation_spec.",
            )
    rest, extra = _split(body, "", {})
    return fill(tuning_job_class()(), rest, "tuning_job"), extra


def shown(message: Message, extra: Json) -> Json:
    """A TuningJob as JSON, with what the types lack put back."""
    found: Json = json_format.MessageToDict(message)
    for path, values in extra.items():
        target = found
        for part in path.split("."):
            target = target.setdefault(part, {})
        target.update(values)
    return found


def _split(body: Json, path: str, extra: Json) -> tuple[Json, Json]:
    rest: Json = {}
    for key, value in body.items():
        name = camel(key)
        known = EXTRA.get(path, {}).get(name)
        place = f"{path}.{name}" if path else name
        if known is not None:
            if not isinstance(value, known) or (isinstance(value, bool) and bool not in known):
                raise invalid(f"tuning_job.{place}", f"Invalid value at 'tuning_job.{place}': {value!r}")
            extra.setdefault(path, {})[name] = value
        elif isinstance(value, dict) and any(one == place or one.startswith(f"{place}.") for one in EXTRA):
            rest[name] = _split(value, place, extra)[0]
        else:
            rest[key] = value
    return rest, extra
