"""Why a job or an operation of Vertex AI did not succeed: its error, and its log where it was read, become a `Failure`.

The words are those that Google's services, CUDA, torch, NCCL, the hub and vLLM are known to print. The error speaks
first; a log only tells apart what the error leaves open, and never makes a failure one that is tried again by itself.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from reconciler.core.resources import Cause, Failure, Json

CANCELLED, DEADLINE_EXCEEDED, PERMISSION_DENIED, RESOURCE_EXHAUSTED = 1, 4, 7, 8
CODES: Mapping[str, int] = MappingProxyType(
    {
        "CANCELLED": CANCELLED,
        "DEADLINE_EXCEEDED": DEADLINE_EXCEEDED,
        "PERMISSION_DENIED": PERMISSION_DENIED,
        "RESOURCE_EXHAUSTED": RESOURCE_EXHAUSTED,
    }
)
"""Those of `google.rpc.Code` that say something by themselves."""

EXITS: Mapping[int, Cause] = MappingProxyType(
    {
        2: Cause.SETTINGS,
        10: Cause.DATA,
        11: Cause.MODEL,
        12: Cause.PERMISSION,
        13: Cause.GPU_MEMORY,
        14: Cause.DUPLICATE,
        15: Cause.STORAGE,
        16: Cause.DISK,
        17: Cause.DIVERGED,
        143: Cause.PREEMPTED,
    }
)
"""What the training image's exit codes mean (`images/train/failures.py`)."""

_SYSTEM_EXITS: Mapping[int, Cause] = MappingProxyType(
    {126: Cause.CONTAINER, 127: Cause.CONTAINER, 128: Cause.CONTAINER, 137: Cause.MEMORY}
)
"""What any image's exit codes mean: not to be executed, not found, not started, killed by the system."""

_EXIT = re.compile(r"(?:non-zero status(?: of)?|exit(?:ed with)?(?: code| status)?)[: ]+(\d+)", re.IGNORECASE)
_QUOTED = re.compile(r"The last lines(?: of the log)?:\n")
"""The embedded Vertex AI quotes the end of the log in the error."""

_Rules = tuple[tuple[Cause, re.Pattern[str]], ...]


def _rules(*rows: tuple[Cause, *tuple[str, ...]]) -> _Rules:
    return tuple((cause, re.compile("|".join(words), re.IGNORECASE)) for cause, *words in rows)


_STORE = r"aiplatform\.metadataStores\.\w+' denied"
_API = r"API has not been used in project|SERVICE_DISABLED"
_RIGHT = r"IAM[ _]permission|permission '[\w.]+' denied|does not have [\w.]+ access"

_SAYS: _Rules = _rules(
    (Cause.METADATA, _STORE),
    (Cause.PROPAGATION, r"permission to access Artifact Registry repository projects/vertex-ai-restricted/"),
    (
        Cause.IMAGE_DENIED,
        r"permission to access Artifact Registry",
        r"artifactregistry\.repositories\.downloadArtifacts",
    ),
    (
        Cause.IMAGE_MISSING,
        r"manifest[ _]unknown",
        r"ErrImagePull|ImagePullBackOff|failed to pull image",
        r"\bimage\b.{0,200}(?:not found|does not exist|maps to no program)",
    ),
    (Cause.ACCOUNT_DENIED, r"permission to act as service[ _]account", r"iam\.serviceAccounts\.actAs"),
    (Cause.ACCOUNT_MISSING, r"service[ _]account\b.{0,200}(?:does not exist|not found)"),
    (
        Cause.BUCKET_REGION,
        r"in the same regional location",
        r"bucket.{0,200}is in location",
        r"same region as the bucket",
    ),
    (Cause.PREEMPTED, r"preempt(?!ible)"),
    (
        Cause.STOCKOUT,
        r"resources are insufficient|insufficient (?:resources|capacity)|not have enough resources",
        r"resource_pool_exhausted|stock-?out|out of capacity|temporarily unavailable",
    ),
    (Cause.QUOTA, r"quota", r"exceeds the allowed maximum"),
    (
        Cause.TIMEOUT,
        r"longer than its timeout",
        r"exceeded (?:its|the) (?:timeout|maximum run ?time)",
        r"job (?:has )?timed out",
    ),
    (
        Cause.MACHINE,
        r"not supported for machine type",
        r"machine[ _]type.{0,80}(?:not supported|is invalid|not available)",
        r"accelerator_count` should be specified",
    ),
    (Cause.API_DISABLED, _API),
    (Cause.PERMISSION, _RIGHT, r"PERMISSION_DENIED", r"permission denied (?:on|for) "),
    (Cause.STORAGE, r"specified bucket does not exist", r"no such object"),
    (Cause.CONTAINER, r"failed to create containerd task", r"reason: StartError"),
    (Cause.UNHEALTHY, r"never became (?:ready|healthy)"),
    (Cause.SERVER, r"model server (?:exited|crashed|terminated)"),
    (Cause.INTERNAL, r"internal error (?:encountered|occurred)"),
    (Cause.CANCELLED, r"\bcancel(?:l?ed)\b"),
)
"""What the message of an error says, the most telling first."""

_LOGGED: _Rules = _rules(
    (Cause.CONTEXT, r"KV cache.{0,120}larger than", r"larger than.{0,120}KV cache"),
    (
        Cause.GPU_MEMORY,
        r"(?:CUDA|HIP) out of memory|torch\S*OutOfMemoryError|CUDA error: out of memory|CUBLAS_STATUS_ALLOC_FAILED",
        r"no available memory for the cache blocks",
        r"less than desired GPU memory utilization",
    ),
    (
        Cause.SHARED_MEMORY,
        r"insufficient shared memory|unable to (?:open|allocate) shared memory",
        r"killed by signal: bus error",
    ),
    (
        Cause.MEMORY,
        r"can(?:'t|not) allocate memory|\bMemoryError\b",
        r"oom-kill|out of memory: killed process",
    ),
    (Cause.DISK, r"no space left on device", r"disk quota exceeded"),
    (Cause.GATED, r"GatedRepoError|gated repo", r"access to model .{0,120} is restricted", r"is gated and this token"),
    (
        Cause.MODEL,
        r"RepositoryNotFoundError|RevisionNotFoundError|is not a valid model identifier",
        r"does not appear to have a file named",
    ),
    (Cause.METADATA, _STORE),
    (Cause.API_DISABLED, _API),
    (Cause.PERMISSION, _RIGHT, r"\b403 (?:GET|POST|PUT|PATCH|Permission|Forbidden)"),
    (Cause.STORAGE, r"specified bucket does not exist|no such object: ", r"\b404 GET https?://\S*storage"),
    (
        Cause.GPU,
        r"CUDA driver version is insufficient|NVIDIA driver on your system is too old",
        r"no kernel image is available|no CUDA GPUs are available",
        r"uncorrectable ECC|NVRM: Xid",
    ),
    (
        Cause.COMMUNICATION,
        r"watchdog caught collective operation timeout|NCCL operations have failed or timed out",
        r"nccl(?:System|Internal|UnhandledCuda|Remote)Error|DistBackendError|NCCL error",
    ),
    (Cause.DIVERGED, r"loss is no longer a number", r"loss\W{1,4}nan\b", r"returned nan values"),
    (Cause.DATA, r"DatasetGenerationError|JSONDecodeError", r"\.jsonl:\d+: "),
    (Cause.CODE, r"^\s*(?:[\w.]+\.)?[A-Z]\w*(?:Error|Exception)\b", r"^Traceback \(most recent call last\)"),
)
"""What a line of a log says. All of these wait for a person."""

_NARROWER: Mapping[Cause, tuple[Cause, ...]] = MappingProxyType(
    {
        Cause.GPU_MEMORY: (Cause.MEMORY,),
        Cause.MODEL: (Cause.GATED,),
        Cause.PERMISSION: (Cause.GATED, Cause.METADATA, Cause.API_DISABLED),
    }
)
"""What an exit code says in general and a log in particular."""
_MACHINES = re.compile(
    r"quota metrics exceed|exceeds the allowed maximum|resources are insufficient|insufficient (?:resources|capacity)|"
    r"not have enough resources|resource_pool_exhausted|stock-?out|out of capacity",
    re.IGNORECASE,
)
LOG_HELPS = frozenset(
    {*EXITS.values(), Cause.MEMORY, Cause.CONTAINER, Cause.CODE, Cause.SERVER, Cause.UNHEALTHY, Cause.ERROR}
) - {Cause.DUPLICATE, Cause.PREEMPTED}
"""The causes of which a log may tell more than the error does."""
_TOLD = re.compile(r"^\s*error: |\"event\": ?\"failed\"", re.IGNORECASE)
"""The line in which the training image itself says why it ends."""
LONGEST = 300
"""Characters of a line that are kept as evidence."""


def failure_of(error: Json, fallback: str, log: Sequence[str] = ()) -> Failure:
    """The failure in a `google.rpc.Status` (`{code, message}`); `fallback` speaks where the service is silent.

    `log` holds the last lines of the log, oldest first, where they were read.
    """
    status = error if isinstance(error, Mapping) else {}
    message = str(status.get("message") or fallback)
    return with_log(Failure(_cause(_number(status.get("code")), message), message), log)


def with_log(failure: Failure, log: Sequence[str] = ()) -> Failure:
    """The same failure, its cause found in the log where the error leaves it open, with the line that tells it."""
    lines = [*log, *_quoted(failure.message)]
    found = _logged(lines)
    cause = failure.cause
    if cause in (Cause.CODE, Cause.ERROR):
        cause = next(iter(found), cause)
    elif cause in (Cause.SERVER, Cause.UNHEALTHY):
        cause = next((one for one in found if one is not Cause.CODE), cause)
    else:
        cause = next((one for one in found if one in (cause, *_NARROWER.get(cause, ()))), cause)
    if cause is not failure.cause:
        return Failure(cause, failure.message, _line(found[cause]))
    told = next((line for line in reversed(lines) if _TOLD.search(line)), "")
    evidence = told or found.get(cause) or found.get(Cause.CODE) or failure.evidence
    return Failure(cause, failure.message, _line(evidence))


def refusal_of(status: str, message: str) -> Failure | None:
    """The failure of a create that the API refused with a canonical `status`, where that says something about it.

    None for what has to do with the one who asks (rights, credentials, request quotas) or with the moment: asking
    again costs nothing then, and the next pass does.
    """
    if lacks_machines(message):
        return failure_of({"code": RESOURCE_EXHAUSTED, "message": message}, "")
    cause = _cause(0, message)
    if status == "INVALID_ARGUMENT" or cause is Cause.BUCKET_REGION:
        return Failure(cause if not cause.transient else Cause.ERROR, message)
    return None


def lacks_machines(message: str) -> bool:
    """Whether an answer of 429 is about machines, or the quota for them, rather than about requests a minute."""
    return bool(_MACHINES.search(message))


def exit_code(message: str) -> int:
    """The exit code that an error tells; 0 where it tells none."""
    found = _EXIT.search(message)
    return int(found[1]) if found else 0


def _cause(code: int, message: str) -> Cause:
    if code == CANCELLED:
        return Cause.CANCELLED
    said = _QUOTED.split(message, maxsplit=1)[0]
    # What a program printed before it ended is quoted after its exit code, and may say anything.
    ended = exit_code(said)
    if ended and not re.search(r"model server|StartError", said, re.IGNORECASE):
        return EXITS.get(ended) or _SYSTEM_EXITS.get(ended) or Cause.CODE
    for cause, words in _SAYS:
        if words.search(said):
            return cause
    codes = {
        RESOURCE_EXHAUSTED: Cause.QUOTA,
        DEADLINE_EXCEEDED: Cause.TIMEOUT,
        PERMISSION_DENIED: Cause.PERMISSION,
    }
    return codes.get(code, Cause.ERROR)


def _quoted(message: str) -> list[str]:
    parts = _QUOTED.split(message, maxsplit=1)
    return parts[1].splitlines() if len(parts) > 1 else []


def _logged(lines: Sequence[str]) -> dict[Cause, str]:
    """The causes that a log tells, the most telling first, each with the last line that tells it."""
    found: dict[Cause, str] = {}
    for cause, words in _LOGGED:
        line = next((line for line in reversed(lines) if words.search(line)), None)
        if line is not None:
            found[cause] = line
    return found


def _line(text: str) -> str:
    text = text.strip()
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _number(code: Json) -> int:
    return int(code) if isinstance(code, (int, str)) and str(code).isdigit() else 0
