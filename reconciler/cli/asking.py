"""Questions to a served experiment through the prediction API of its endpoint, and the answers as text."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence

from reconciler.cloud.vertex import Vertex
from reconciler.core.errors import CloudError, LoraformError
from reconciler.core.resources import Json, LiveResource, Role, Snapshot
from reconciler.render.words import clean

BATCH = 40
"""Questions in one call: small enough for the 1.5 MB and 60 s of a shared endpoint."""

BASE = "base"
"""The name under which the base model answers beside the experiment."""


def serving_endpoint(snapshot: Snapshot, experiment: str) -> LiveResource:
    """The endpoint of an experiment. Raises LoraformError when it has none, or nothing is deployed on it."""
    mine = [item for item in snapshot.live if item.address.experiment == experiment]
    endpoint = next((item for item in mine if item.address.role is Role.ENDPOINT), None)
    served = any(item.address.role is Role.DEPLOYMENT and item.phase.value == "ready" for item in mine)
    if endpoint is not None and endpoint.suspended:
        raise LoraformError(f"{experiment} is suspended.", f"Deploy it again with `loraform resume {experiment}`.")
    if endpoint is None or not served:
        raise LoraformError(
            f"{experiment} serves nowhere yet.", "See `loraform status`, or run `loraform apply --wait`."
        )
    return endpoint


def instance(question: str, *, base: bool = False, max_tokens: int | None = None) -> Mapping[str, Json]:
    """One question as an instance of the prediction API, as a chat of one turn."""
    return {
        "messages": [{"role": "user", "content": question}],
        **({"model": BASE} if base else {}),
        **({"max_tokens": max_tokens} if max_tokens else {}),
    }


def ask(
    vertex: Vertex,
    endpoint: LiveResource,
    instances: Iterable[Mapping[str, Json]],
    *,
    patience: float = 0.0,
    waiting: Callable[[float], None] = lambda _: None,
) -> list[str]:
    """The answers in order. A replica that is not there yet is waited for, up to `patience` seconds."""
    asked = list(instances)
    begun = time.monotonic()
    answers: list[str] = []
    while len(answers) < len(asked):
        batch = asked[len(answers) : len(answers) + BATCH]
        try:
            answers += _batch(vertex, endpoint, batch)
        except CloudError as error:
            spent = time.monotonic() - begun
            if error.code not in (429, 502, 503, 504) or spent > patience:
                raise
            waiting(spent)
            time.sleep(0.5)
    return answers


def _batch(vertex: Vertex, endpoint: LiveResource, batch: Sequence[Json]) -> list[str]:
    dedicated = endpoint.outputs.get("dedicated_dns", "")
    answer = vertex.predict(endpoint.name, batch, dedicated=str(dedicated or ""))
    predictions = answer.get("predictions", ())
    if not isinstance(predictions, Sequence) or len(predictions) != len(batch):
        raise LoraformError(f"{endpoint.name} answered {len(batch)} questions otherwise than with as many predictions.")
    return [_text(prediction) for prediction in predictions]


def _text(prediction: Json) -> str:
    if isinstance(prediction, Mapping):
        error = prediction.get("error")
        if error:
            reason = error.get("message") if isinstance(error, Mapping) else error
            raise LoraformError(f"The server could not answer: {clean(str(reason))}")
        return str(prediction.get("generated_text", prediction)).strip()
    return str(prediction).strip()
