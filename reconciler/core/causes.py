"""Why things fail: every cause has a stable name, one plain sentence, a way out, and whether it passes by itself.

Which texts of Google's services and of the libraries mean which cause is not decided here (`backends/failures.py`),
nor what a manifest has to say instead (`repo/mending.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType


class Cause(StrEnum):
    """The name of a failure. Names are stable: programs may rely on them."""

    STOCKOUT = "stock-out"
    PREEMPTED = "preempted"
    QUOTA = "quota"
    DUPLICATE = "duplicate"
    INTERNAL = "internal-error"
    PROPAGATION = "permission-propagating"
    CANCELLED = "cancelled"
    GPU_MEMORY = "out-of-gpu-memory"
    CONTEXT = "context-too-long"
    MEMORY = "out-of-memory"
    SHARED_MEMORY = "out-of-shared-memory"
    DISK = "disk-full"
    TIMEOUT = "timeout"
    DATA = "data-error"
    SETTINGS = "settings-refused"
    MODEL = "model-missing"
    GATED = "model-gated"
    DIVERGED = "loss-diverged"
    STORAGE = "object-missing"
    BUCKET_REGION = "wrong-bucket-region"
    PERMISSION = "permission-denied"
    METADATA = "metadata-store-denied"
    ACCOUNT_MISSING = "service-account-missing"
    ACCOUNT_DENIED = "service-account-denied"
    API_DISABLED = "api-disabled"
    IMAGE_MISSING = "image-missing"
    IMAGE_DENIED = "image-denied"
    CONTAINER = "container-not-started"
    MACHINE = "machine-refused"
    COMMUNICATION = "workers-lost-touch"
    GPU = "gpu-unusable"
    UNHEALTHY = "server-never-healthy"
    SERVER = "server-exited"
    CODE = "code-error"
    ERROR = "error"

    @property
    def meaning(self) -> Meaning:
        """What it means and what helps."""
        return MEANINGS[self]

    @property
    def transient(self) -> bool:
        """True when the same request may succeed later without any change in git."""
        return self.meaning.again is not None

    @property
    def climbs(self) -> bool:
        """True when another rung of the ladder may have what this one lacks: machines, or quota for them."""
        return self in (Cause.STOCKOUT, Cause.PREEMPTED, Cause.QUOTA)


@dataclass(frozen=True, slots=True)
class Again:
    """How a passing failure is tried again: at most `tries` times, after the usual wait times `slower`."""

    tries: int = 5
    slower: float = 1.0


@dataclass(frozen=True, slots=True)
class Meaning:
    """A cause for people: what happened, what helps, and how it is tried again (None: not without a person)."""

    sentence: str
    remedy: str
    again: Again | None = None


_SELF = "Nothing has to be done: it is tried again by itself."

MEANINGS: Mapping[Cause, Meaning] = MappingProxyType(
    {
        Cause.STOCKOUT: Meaning(
            "the region has no free machine of this kind",
            "It is tried again by itself, on the next rung of `run.scheduling.strategy` or `run.regions` where given.",
            Again(),
        ),
        Cause.PREEMPTED: Meaning(
            "its machine was taken back before it had finished",
            "It is tried again by itself, on the next rung of `run.scheduling.strategy` where there is one.",
            Again(),
        ),
        Cause.QUOTA: Meaning(
            "the project's quota in this region does not cover the machines",
            "It is tried again by itself; if it never fits, ask for more quota, or take another machine or region.",
            Again(),
        ),
        Cause.DUPLICATE: Meaning("another job is training the same identity", _SELF, Again()),
        Cause.INTERNAL: Meaning(
            "Vertex AI itself failed and does not say why",
            "It is tried again by itself. If it stays and the project is new to Vertex AI: create any empty dataset in "
            "the region once, which sets the service up, wait five minutes, and raise `run.attempt`.",
            Again(tries=3, slower=5.0),
        ),
        Cause.PROPAGATION: Meaning(
            "a right that Google grants to its own service agent has not arrived everywhere yet",
            _SELF,
            Again(slower=2.0),
        ),
        Cause.CANCELLED: Meaning("somebody cancelled it", "Raise `run.attempt` to start it again."),
        Cause.GPU_MEMORY: Meaning(
            "the memory of the GPU is too small for these settings",
            "Take fewer rows at a time and accumulate more steps: the effective batch, and so the identity, stays.",
        ),
        Cause.CONTEXT: Meaning(
            "the GPU has no room for one answer of this length",
            "Lower `serving.engine.max_model_len` to what fits, or take a larger machine.",
        ),
        Cause.MEMORY: Meaning(
            "the memory of the machine is too small, and the system killed the program",
            "Take the next larger machine, or fewer `training.dataloader_num_workers`.",
        ),
        Cause.SHARED_MEMORY: Meaning(
            "the workers that load rows have too little shared memory",
            "Load rows in the training process itself: `training.dataloader_num_workers: 0`.",
        ),
        Cause.DISK: Meaning(
            "the disk of the machine is full", "Take a larger boot disk: `run.machine.boot_disk_size_gb`."
        ),
        Cause.TIMEOUT: Meaning(
            "it ran longer than `run.scheduling.timeout` allows", "Give it more time, or a faster machine."
        ),
        Cause.DATA: Meaning(
            "there are rows that cannot be trained on",
            "Mend the rows that the log names; `data.on_bad_row: skip` leaves them out, and is another identity.",
        ),
        Cause.SETTINGS: Meaning(
            "the trainer cannot obey a setting of the manifest", "Mend the setting that the log names."
        ),
        Cause.MODEL: Meaning(
            "the base model, its revision or a file of it is not there",
            "Mend `model.base` and `model.revision`: `loraform pin NAME` writes the present revision.",
        ),
        Cause.GATED: Meaning(
            "the base model is gated, and no token that may read it was given",
            "Accept the model's terms on the hub, and name a secret with that account's token in `model.token_secret`.",
        ),
        Cause.DIVERGED: Meaning(
            "the loss is no longer a number",
            "Train with a lower `training.learning_rate` (another identity), and with bf16 rather than fp16.",
        ),
        Cause.STORAGE: Meaning(
            "a bucket or an object that it reads is not there",
            "Upload it or mend its address in the manifest, then raise `run.attempt` if the address stays the same.",
        ),
        Cause.BUCKET_REGION: Meaning(
            "the bucket is not in the region in which Vertex AI works",
            "Name a bucket of that region in loraform.yaml: `bucket` of the target, or `buckets` for further regions.",
        ),
        Cause.PERMISSION: Meaning(
            "the account that it runs as may not do what it needs to",
            "Grant the right that the message names to `run.service_account`, then raise `run.attempt`.",
        ),
        Cause.METADATA: Meaning(
            "the default service account of Compute Engine may not read the metadata store",
            "Enable the Compute Engine API, grant PROJECT_NUMBER-compute@developer.gserviceaccount.com the roles "
            "roles/aiplatform.admin and roles/storage.objectAdmin, then raise `run.attempt`.",
        ),
        Cause.ACCOUNT_MISSING: Meaning(
            "the service account does not exist",
            "Create it, or name another in `run.service_account` (`serving.service_account` for a server).",
        ),
        Cause.ACCOUNT_DENIED: Meaning(
            "whoever applied may not act as the service account, or it does not exist",
            "Grant the one who applies roles/iam.serviceAccountUser on it, then raise `run.attempt`.",
        ),
        Cause.API_DISABLED: Meaning(
            "an API of the project is not enabled",
            "Enable the API that the message names (`gcloud services enable`), then raise `run.attempt`.",
        ),
        Cause.IMAGE_MISSING: Meaning(
            "the container image is not in its repository",
            "Push it, or name one that is there under `images` in loraform.yaml.",
        ),
        Cause.IMAGE_DENIED: Meaning(
            "Vertex AI may not pull the container image",
            "Grant the service agent that the message names roles/artifactregistry.reader on the repository, then "
            "raise `run.attempt`.",
        ),
        Cause.CONTAINER: Meaning(
            "the program in the container could not be started",
            "Look at the image: its architecture, its entry point and the user that may run it.",
        ),
        Cause.MACHINE: Meaning(
            "Vertex AI has no such machine: the type and the accelerators do not go together",
            "Mend `run.machine` (`serving.machine` for a server).",
        ),
        Cause.COMMUNICATION: Meaning(
            "the processes that train together lost touch with each other",
            "Look in the log for the one that died first. If none did, raise `training.ddp_timeout` or `run.attempt`.",
        ),
        Cause.GPU: Meaning(
            "the GPU cannot be used: its driver, its kind or the card itself does not fit",
            "Raise `run.attempt` for another machine; if it comes back, take another GPU or another image.",
        ),
        Cause.UNHEALTHY: Meaning(
            "the server did not answer its health route in time",
            "Look in its log for how far it came. A large base model may need a larger machine to load in time.",
        ),
        Cause.SERVER: Meaning(
            "the server ended while it was starting", "Look in its log, mend the manifest, or raise `run.attempt`."
        ),
        Cause.CODE: Meaning(
            "the program failed with an error of its own",
            "Read the last lines of its log. Report it, mend the image, or raise `run.attempt` to try once more.",
        ),
        Cause.ERROR: Meaning(
            "it failed for a reason that has no name here",
            "Read its message and its log. Raise `run.attempt` to try once more.",
        ),
    }
)
