"""The small types that all manifests share: names, labels, durations, secrets' names, lists, environments.

Everything is strict: what YAML says is what counts, and a text is never read as a number.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, Strict
from pydantic_core import PydanticCustomError

NAME = r"^[a-z][a-z0-9-]{0,39}$"
FLEET = r"^[a-z][a-z0-9]{0,17}$"
PUBLIC_NAME = r"^[A-Za-z0-9][A-Za-z0-9._@:/-]{0,127}$"
LABEL_KEY = r"^[a-z][a-z0-9_-]{0,62}$"
LABEL_VALUE = r"^[a-z0-9_-]{0,63}$"
ENV_NAME = r"^[A-Za-z_][A-Za-z0-9_]*$"
OWN_LABELS = "loraform-"


SERVICE_ACCOUNT = r"^[^@\s]+@[^@\s]+\.gserviceaccount\.com$"
SECRET_VERSION = r"^projects/[^/\s]+/secrets/[^/\s]+/versions/[^/\s]+$"
NETWORK = r"^projects/[^/\s]+/global/networks/[^/\s]+$"
BUCKET_URI = r"^gs://[a-z0-9][a-z0-9._-]+(/.*)?$"
KMS_KEY = r"^projects/[^/\s]+/locations/[^/\s]+/keyRings/[^/\s]+/cryptoKeys/[^/\s]+$"
TENSORBOARD = r"^projects/[^/\s]+/locations/[^/\s]+/tensorboards/[^/\s]+$"
PROJECT = r"^[a-z][a-z0-9-]{4,28}[a-z0-9]$|^[0-9]+$|^[a-z.-]+:[a-z0-9-]+$"
REGION = r"^[a-z]+-[a-z]+[0-9]+$"
BUCKET = r"^[a-z0-9][a-z0-9._-]{1,220}[a-z0-9]$"
ADOPTED = r"^(projects/[^/\s]+/locations/[^/\s]+/(endpoints|models)/)?[a-z0-9][a-z0-9_-]{0,62}$"
METRIC = r"^[a-z][a-z0-9_]*$"
MACHINE = r"^[a-z][a-z0-9-]*$"
FUNCTION = r"^[A-Za-z0-9_.][A-Za-z0-9_./-]*:[A-Za-z_][A-Za-z0-9_]*$"
TASK = r"^[A-Za-z0-9][A-Za-z0-9_.-]*$"

PATTERNS: Mapping[str, tuple[str, str]] = {
    NAME: ("name", "must have 1 to 40 lower-case letters, digits and -, and starts with a letter"),
    FLEET: ("name", "must have 1 to 18 lower-case letters and digits, and starts with a letter"),
    PUBLIC_NAME: ("name", "must have up to 128 letters, digits and ._@:/-, and starts with a letter or digit"),
    LABEL_KEY: ("label", "must have 1 to 63 lower-case letters, digits, - and _, a letter first"),
    LABEL_VALUE: ("label", "must have at most 63 lower-case letters, digits, - and _"),
    ENV_NAME: ("env-name", "must be a name of letters, digits and _, no digit first"),
    SERVICE_ACCOUNT: ("format", "must look like NAME@PROJECT.iam.gserviceaccount.com"),
    SECRET_VERSION: ("format", "must look like projects/P/secrets/S/versions/V"),
    NETWORK: ("format", "must look like projects/NUMBER/global/networks/NAME"),
    BUCKET_URI: ("format", "must look like gs://BUCKET/FOLDER"),
    KMS_KEY: ("format", "must look like projects/P/locations/L/keyRings/R/cryptoKeys/K"),
    TENSORBOARD: ("format", "must look like projects/P/locations/L/tensorboards/T"),
    PROJECT: ("format", "must be the id or the number of a Google Cloud project"),
    ADOPTED: ("format", "must be an id, or look like projects/P/locations/L/endpoints/ID"),
    REGION: ("format", "must be a region, such as europe-west4"),
    BUCKET: ("format", "must be the name of a bucket, without gs://"),
    METRIC: ("format", "must be a name of lower-case letters, digits and _"),
    FUNCTION: ("format", "must look like metrics/polite.py:score, or package.module:function"),
    TASK: ("format", "must be a name of letters, digits, _, . and -"),
    MACHINE: ("format", "must be a name as Google Cloud writes it, such as g2-standard-12 or pd-ssd"),
}
"""What each pattern means: the rule that is broken, and the words that complete `<key> ...`."""


class Block(BaseModel):
    """A part of a manifest: frozen, strict, and closed to unknown keys."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


T = TypeVar("T")
Tuple = Annotated[tuple[T, ...], Strict(False)]
"""A YAML list as a value."""


def listed(value: Any) -> Any:
    """A single text or mapping as a list of one."""
    return [value] if isinstance(value, (str, dict)) else value


_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_UNITS = (86_400, 3_600, 60, 1)


def _seconds_text(text: str) -> str:
    match = _DURATION.fullmatch(text)
    if not text or match is None:
        raise PydanticCustomError("duration", "a duration is a number with a unit, such as 90s, 30m, 6h, 1h30m or 7d")
    return f"{sum(int(part or 0) * unit for part, unit in zip(match.groups(), _UNITS, strict=True))}s"


Duration = Annotated[
    str, AfterValidator(_seconds_text), Field(json_schema_extra={"pattern": r"^(\d+d)?(\d+h)?(\d+m)?(\d+s)?$"})
]
"""`6h`, `90s`, `1h30m`: kept as Vertex AI writes it, in seconds (`21600s`)."""


def seconds(duration: str) -> int:
    """The seconds in a validated duration (`21600s`)."""
    return int(duration.removesuffix("s"))


Name = Annotated[str, Field(pattern=NAME)]
Count = Annotated[int, Field(ge=0)]
Positive = Annotated[int, Field(ge=1)]


def _label_key(key: str) -> str:
    if key.startswith(OWN_LABELS):
        raise PydanticCustomError("own-label", "labels that start with loraform- are Loraform's own")
    return key


def _few(labels: dict[str, str]) -> dict[str, str]:
    if len(labels) > 50:
        raise PydanticCustomError("label", "{count} labels are too many: 50 fit", {"count": len(labels)})
    return labels


Labels = Annotated[
    dict[
        Annotated[str, AfterValidator(_label_key), Field(pattern=LABEL_KEY)],
        Annotated[str, Field(pattern=LABEL_VALUE)],
    ],
    AfterValidator(_few),
]

_SECRETIVE = re.compile(r"(?:^|_)(TOKEN|KEY|SECRET|PASSWORD|PASSWD|CREDENTIALS)$", re.IGNORECASE)


def _env_name(name: str) -> str:
    if _SECRETIVE.search(name):
        raise PydanticCustomError(
            "secret-in-env",
            "{name} looks like a secret: env values stand readable in git, in the job and in the console",
            {"name": name},
        )
    if name.startswith(("AIP_", "LORAFORM_")):
        raise PydanticCustomError("env-name", "{name} is set by Vertex AI or Loraform", {"name": name})
    return name


Env = dict[Annotated[str, AfterValidator(_env_name), Field(pattern=ENV_NAME)], str]
Region = Annotated[str, Field(pattern=REGION)]
ServiceAccount = Annotated[str, Field(pattern=SERVICE_ACCOUNT)]
SecretVersion = Annotated[str, Field(pattern=SECRET_VERSION)]
Network = Annotated[str, Field(pattern=NETWORK)]
BucketUri = Annotated[str, Field(pattern=BUCKET_URI)]


class EncryptionSpec(Block):
    """Vertex AI's `EncryptionSpec`."""

    kms_key_name: str = Field(
        pattern=KMS_KEY,
        description="projects/P/locations/L/keyRings/R/cryptoKeys/K",
    )
