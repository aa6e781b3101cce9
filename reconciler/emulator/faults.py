"""Faults that a test orders: which call they strike, how often, and what they do to it.

In process: `fates.order_fault(world, {"match": {...}, "times": 2, "effect": {...}})`, then `answer` as ever. What a
fault does to the work of a job is kept with the job and carried out by `fates`.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from reconciler.emulator.wire.errors import HTTP_CODES, ApiError, Json, invalid

CREATE_JOB = "JobService.CreateCustomJob"
CREATE_JOBS = (
    CREATE_JOB,
    "JobService.CreateHyperparameterTuningJob",
    "PipelineService.CreatePipelineJob",
    "PipelineService.CreateTrainingPipeline",
    "GenAiTuningService.CreateTuningJob",
)
DEPLOY = ("EndpointService.DeployModel", "ModelGardenService.Deploy")
JOB_EFFECTS = ("stock_out", "preempt", "fail")
EFFECTS = ("status", "lost", "delay_s", "stale_s", "crash", *JOB_EFFECTS)
STATUSES = {code: status for status, code in HTTP_CODES.items()}
STATUSES |= {400: "INVALID_ARGUMENT", 409: "ABORTED", 500: "INTERNAL"}
STORAGE = "storage."


class LostResponseError(Exception):
    """The call had its effect, and its answer never arrived. Over HTTP the connection is dropped instead."""


@dataclass(frozen=True, slots=True)
class Fault:
    """An order: what it strikes, how many calls are left (None: all), with what chance, and the effect as given."""

    id: str
    method: str
    resource: str
    left: int | None
    chance: float
    effect: Json

    def shown(self) -> Json:
        """As the control surface shows it."""
        match = {"method": self.method, "resource": self.resource}
        return {"id": self.id, "match": match, "times": self.left, "chance": self.chance, "effect": self.effect}


@dataclass(frozen=True, slots=True)
class Struck:
    """What befalls one call. `fates` are the job effects, for the job or the deployment that it creates."""

    refusal: ApiError | None = None
    lost: bool = False
    delay_s: float = 0.0
    stale_s: float = 0.0
    crash: bool = False
    fates: tuple[Json, ...] = ()


UNSTRUCK = Struck()


@dataclass(slots=True)
class Faults:
    """The orders of one world, oldest first. Chances are drawn from `random`, so that one seed gives one course."""

    random: Random = field(default_factory=lambda: Random(0))
    orders: tuple[Fault, ...] = ()
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def clear(self, fault_id: str = "") -> int:
        """Withdraw one order, or all. Returns how many there were."""
        kept = tuple(one for one in self.orders if fault_id and one.id != fault_id)
        gone = len(self.orders) - len(kept)
        self.orders = kept
        return gone


def order(faults: Faults, asked: Json) -> Fault:
    """Add a fault. Raises `ApiError` INVALID_ARGUMENT for one that makes no sense.

    `match` has `method` and `resource`, patterns with `*`; `times` is 1 when left out, null for ever; `chance` is 1;
    `seed` begins the chances anew; `effect` has one or several of `EFFECTS`.
    """
    _known(asked, ("match", "times", "chance", "seed", "effect"), "a fault")
    match, effect = asked.get("match", {}), asked.get("effect")
    if not isinstance(match, dict) or not isinstance(effect, dict) or not effect:
        raise invalid("effect", 'Give {"match": {"method": "JobService.*"}, "times": 1, "effect": {"status": 503}}.')
    _known(match, ("method", "resource"), "match")
    method, resource = match.get("method", "*"), match.get("resource", "*")
    if not isinstance(method, str) or not isinstance(resource, str):
        raise invalid("match", "method and resource are patterns, such as JobService.* and */customJobs/123.")
    times, chance = asked.get("times", 1), asked.get("chance", 1)
    if times is not None and (type(times) is not int or times < 1):
        raise invalid("times", "times is a number from 1 on, or null for all calls.")
    if type(chance) not in (int, float) or not 0 < chance <= 1:
        raise invalid("chance", "chance is a number above 0 and up to 1.")
    _check_effect(effect, method)
    if "seed" in asked:
        faults.random.seed(str(asked["seed"]))
    fault = Fault(str(next(faults.numbers)), method, resource, times, float(chance), effect)
    faults.orders = (*faults.orders, fault)
    return fault


def strike(faults: Faults, method: str, resource: str) -> Struck:
    """Which faults strike this call; each has one call less to strike from now on."""
    struck = UNSTRUCK
    for fault in faults.orders:
        if not fnmatchcase(method, fault.method) or not fnmatchcase(resource, fault.resource):
            continue
        if not _fits(fault.effect, method) or (fault.chance < 1 and faults.random.random() >= fault.chance):
            continue
        struck = _with(struck, fault.effect)
        left = None if fault.left is None else fault.left - 1
        faults.orders = tuple(
            replace(one, left=left) if one.id == fault.id else one
            for one in faults.orders
            if one.id != fault.id or left != 0
        )
    return struck


def is_list(method: str) -> bool:
    """Whether stale lists concern this method."""
    return ".List" in method


def _fits(effect: Json, method: str) -> bool:
    """An effect strikes only calls that can have it: a pattern such as `*` may match many others."""
    if any(word in effect for word in JOB_EFFECTS) and method not in CREATE_JOBS:
        return method in DEPLOY and "preempt" not in effect
    if "stale_s" in effect and not is_list(method):
        return False
    return "crash" not in effect or method.startswith("PredictionService.")


def _with(struck: Struck, effect: Json) -> Struck:
    if "status" in effect:
        status = effect["status"]
        name = status if isinstance(status, str) else STATUSES.get(status, "INTERNAL")
        code = HTTP_CODES[status] if isinstance(status, str) else status
        struck = replace(struck, refusal=ApiError(name, str(effect.get("message") or _TEXTS[name]), http_code=code))
    fate = {word: effect[word] for word in JOB_EFFECTS if word in effect}
    if fate:
        fate["after_s"] = effect.get("after_s", 0)
    return replace(
        struck,
        lost=struck.lost or bool(effect.get("lost")),
        delay_s=struck.delay_s + effect.get("delay_s", 0.0),
        stale_s=max(struck.stale_s, effect.get("stale_s", 0.0)),
        crash=struck.crash or bool(effect.get("crash")),
        fates=(*struck.fates, fate) if fate else struck.fates,
    )


def _check_effect(effect: Json, method: str) -> None:
    _known(effect, (*EFFECTS, "message", "after_s"), "effect")
    if not set(effect) & set(EFFECTS):
        raise invalid("effect", f"An effect has at least one of {', '.join(EFFECTS)}.")
    status = effect.get("status", 503)
    if not (status in HTTP_CODES if isinstance(status, str) else type(status) is int and 400 <= status <= 599):
        raise invalid("effect.status", f"An HTTP code from 400 to 599, or one of {', '.join(sorted(HTTP_CODES))}.")
    for word in ("delay_s", "stale_s", "after_s"):
        seconds = effect.get(word, 0)
        if type(seconds) not in (int, float) or not 0 <= seconds < 1e9:
            raise invalid(f"effect.{word}", f"{word} is a number of seconds.")
    for word in ("lost", "crash", "preempt"):
        if type(effect.get(word, True)) is not bool:
            raise invalid(f"effect.{word}", f"{word} is true or false.")
    if effect.get("stock_out", "run") not in ("run", "create"):
        raise invalid("effect.stock_out", 'stock_out is "run" (the job fails) or "create" (429 at once).')
    for word in ("fail", "message"):
        if not isinstance(effect.get(word, ""), str):
            raise invalid(f"effect.{word}", f"{word} is a text.")
    if method.startswith(STORAGE) and set(effect) - {"status", "message", "lost", "delay_s"}:
        raise invalid("effect", "Cloud Storage knows status, message, lost and delay_s.")


def _known(given: Json, words: tuple[str, ...], where: str) -> None:
    unknown: list[Any] = sorted(set(given) - set(words))
    if unknown:
        raise invalid(str(unknown[0]), f'"{unknown[0]}" is not known in {where}: {", ".join(words)}.')


_TEXTS = dict.fromkeys(HTTP_CODES, "The request failed, as a test ordered it.") | {
    "UNAVAILABLE": "The service is currently unavailable.",
    "INTERNAL": "Internal error encountered.",
    "DEADLINE_EXCEEDED": "Deadline exceeded.",
    "RESOURCE_EXHAUSTED": "Resource has been exhausted (e.g. check quota).",
    "PERMISSION_DENIED": "The caller does not have permission",
    "UNAUTHENTICATED": "Request had invalid authentication credentials.",
    "NOT_FOUND": "Requested entity was not found.",
    "ABORTED": "The operation was aborted.",
}
