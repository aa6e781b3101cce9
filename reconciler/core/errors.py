"""Problems: in what a person wrote (values, collected) and in the world (exceptions, translated in `cloud/`).

LoraformError
|-- Refused          a guard or a person's word forbids it; nothing was done
|-- Stale            the plan is no longer what would happen
`-- CloudError       the API said no; `status` is Google's canonical word
    |-- Retryable    try again later: quota, unavailable, aborted
    |-- NotFound
    |-- Conflict     somebody else was first: taken name, failed precondition of a generation or etag
    `-- Terminal     the request itself is wrong or forbidden
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from reconciler.core.resources import Source


class Severity(StrEnum):
    """How bad a diagnostic is: an error stops a plan, a warning is only shown."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One problem in a manifest or a plan: where it is, which rule it breaks, and the way out."""

    source: Source
    rule: str
    """A stable word in kebab case, such as `unknown-key`; the documentation lists them."""
    message: str
    remedy: str = ""
    severity: Severity = Severity.ERROR

    def __str__(self) -> str:
        text = f"{self.source}: {self.severity}: {self.message} [{self.rule}]"
        return f"{text}\n    {self.remedy}" if self.remedy else text


class LoraformError(Exception):
    """The root of everything that Loraform raises on purpose. The message is fit for a person to read."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy


class Refused(LoraformError):
    """A guard, a lease or a person's word forbids it; nothing was done."""


class Stale(LoraformError):
    """The plan that was accepted is no longer the one that would be carried out."""


class CloudError(LoraformError):
    """An API call failed. `status` is Google's canonical code name, `code` the HTTP status."""

    def __init__(self, message: str, *, status: str = "UNKNOWN", code: int = 0, remedy: str = "") -> None:
        super().__init__(message, remedy)
        self.status = status
        self.code = code


class Retryable(CloudError):
    """The same call may succeed later: 429, 503, an aborted transaction, a lost connection."""


class NotFound(CloudError):
    """The resource does not exist."""


class Conflict(CloudError):
    """Somebody else was first: a taken name, or a precondition on a generation or an etag that failed."""


class Terminal(CloudError):
    """The request is wrong, forbidden or not possible now; repeating it will not help."""
