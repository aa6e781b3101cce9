"""Google's error envelope. Decides the HTTP code of a canonical status; the rooms decide which status applies."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

Json: TypeAlias = dict[str, Any]

HTTP_CODES = {
    "CANCELLED": 499,
    "UNKNOWN": 500,
    "INVALID_ARGUMENT": 400,
    "DEADLINE_EXCEEDED": 504,
    "NOT_FOUND": 404,
    "ALREADY_EXISTS": 409,
    "PERMISSION_DENIED": 403,
    "RESOURCE_EXHAUSTED": 429,
    "FAILED_PRECONDITION": 400,
    "ABORTED": 409,
    "OUT_OF_RANGE": 400,
    "UNIMPLEMENTED": 501,
    "INTERNAL": 500,
    "UNAVAILABLE": 503,
    "UNAUTHENTICATED": 401,
}

RPC_CODES = {
    "CANCELLED": 1,
    "UNKNOWN": 2,
    "INVALID_ARGUMENT": 3,
    "DEADLINE_EXCEEDED": 4,
    "NOT_FOUND": 5,
    "ALREADY_EXISTS": 6,
    "PERMISSION_DENIED": 7,
    "RESOURCE_EXHAUSTED": 8,
    "FAILED_PRECONDITION": 9,
    "ABORTED": 10,
    "OUT_OF_RANGE": 11,
    "UNIMPLEMENTED": 12,
    "INTERNAL": 13,
    "UNAVAILABLE": 14,
    "UNAUTHENTICATED": 16,
}


@dataclass(frozen=True, slots=True)
class Violation:
    """One `BadRequest.fieldViolations` entry: a proto path such as `custom_job.display_name`, and what is wrong."""

    field: str
    description: str


class ApiError(Exception):
    """An answer that is an error: canonical `status`, `message`, and Google's `details`.

    `http_code` follows from the status, but for the few answers of the service in which the two do not fit.
    """

    def __init__(
        self, status: str, message: str, violations: tuple[Violation, ...] = (), http_code: int | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.violations = violations
        self.http_code = http_code or HTTP_CODES[status]

    @property
    def rpc_code(self) -> int:
        """The `google.rpc.Code` number, as in an operation's or a job's `error.code`."""
        return RPC_CODES[self.status]

    def envelope(self) -> Json:
        """`{"error": {"code", "message", "status", "details"}}`."""
        error: Json = {"code": self.http_code, "message": self.message, "status": self.status}
        if self.violations:
            error["details"] = [
                {
                    "@type": "type.googleapis.com/google.rpc.BadRequest",
                    "fieldViolations": [{"field": v.field, "description": v.description} for v in self.violations],
                }
            ]
        return {"error": error}


def invalid(field: str, description: str) -> ApiError:
    """400 INVALID_ARGUMENT that names one field."""
    return ApiError("INVALID_ARGUMENT", description, (Violation(field, description),))


def not_found(what: str) -> ApiError:
    """404 for a resource name."""
    return ApiError("NOT_FOUND", f"{what} is not found.")


def precondition(message: str) -> ApiError:
    """400 FAILED_PRECONDITION."""
    return ApiError("FAILED_PRECONDITION", message)


def not_implemented(method: str) -> ApiError:
    """501 that names the method, such as `MetadataService.CreateContext`."""
    return ApiError("UNIMPLEMENTED", f"{method} is not implemented by the embedded Vertex AI.")


def taken(what: str) -> ApiError:
    """409 ALREADY_EXISTS for a resource name."""
    return ApiError("ALREADY_EXISTS", f"Requested entity already exists: {what}")
