"""The one place where exceptions of Google's libraries become `core.errors`.

Over REST, Google's clients choose the exception by HTTP code alone (409 is always `Conflict`), so the canonical
word is read from the body's `error.status`. Whether a call is tried again is decided by `retry`, not here.
"""

from __future__ import annotations

import re
from typing import Any

from reconciler.core.errors import CloudError, Conflict, NotFound, Retryable, Terminal

_STATUS_OF_CODE = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 499: "CANCELLED", 500: "INTERNAL", 501: "UNIMPLEMENTED",
    502: "UNAVAILABLE", 503: "UNAVAILABLE", 504: "DEADLINE_EXCEEDED",
}  # fmt: skip
_CODE_OF_STATUS = {
    "INVALID_ARGUMENT": 400, "FAILED_PRECONDITION": 400, "OUT_OF_RANGE": 400, "UNAUTHENTICATED": 401,
    "PERMISSION_DENIED": 403, "NOT_FOUND": 404, "ALREADY_EXISTS": 409, "ABORTED": 409, "RESOURCE_EXHAUSTED": 429,
    "CANCELLED": 499, "INTERNAL": 500, "UNKNOWN": 500, "DATA_LOSS": 500, "UNIMPLEMENTED": 501, "UNAVAILABLE": 503,
    "DEADLINE_EXCEEDED": 504,
}  # fmt: skip
_CANONICAL = (
    "OK", "CANCELLED", "UNKNOWN", "INVALID_ARGUMENT", "DEADLINE_EXCEEDED", "NOT_FOUND", "ALREADY_EXISTS",
    "PERMISSION_DENIED", "RESOURCE_EXHAUSTED", "FAILED_PRECONDITION", "ABORTED", "OUT_OF_RANGE", "UNIMPLEMENTED",
    "INTERNAL", "UNAVAILABLE", "DATA_LOSS", "UNAUTHENTICATED",
)  # fmt: skip


class LostAnswer(Retryable):
    """A call that must not be repeated blindly may have had its effect: look before trying again.

    `answered` is True when a server said so (503, 500) and False when the connection broke after sending.
    """

    def __init__(self, message: str, *, status: str, code: int, answered: bool) -> None:
        super().__init__(message, status=status, code=code)
        self.answered = answered


class Unreachable(Retryable):
    """No connection, or one that broke. `sent` is False when the request surely never left."""

    def __init__(self, message: str, *, sent: bool, remedy: str = "") -> None:
        super().__init__(message, status="UNAVAILABLE", code=503, remedy=remedy)
        self.sent = sent


def translate(error: Exception, doing: str) -> CloudError:
    """The `CloudError` for what Google's clients, google-auth or requests raised while `doing` (`GetEndpoint x`).

    Anything else is not the world's doing: it is raised again as it is.
    """
    import requests
    from google.api_core import exceptions as api
    from google.auth import exceptions as auth

    if isinstance(error, CloudError):
        return error
    if isinstance(error, api.ServiceUnavailable) and not _answered(error):
        return Unreachable(f"{doing}: no connection: {error.message}", sent="failed to connect" not in str(error))
    if isinstance(error, api.GoogleAPICallError):
        status, message = _said(error)
        return from_answer(int(error.code or 0), status, message, doing)
    if isinstance(error, api.RetryError):
        return Retryable(f"{doing}: {error}", status="DEADLINE_EXCEEDED", code=504)
    if isinstance(error, requests.RequestException | auth.TransportError | ConnectionError):
        remedy = "Is `loraform up` running, and is the address right?" if _local(error) else ""
        return Unreachable(f"{doing}: no connection: {_root(error)}", sent=not _refused(error), remedy=remedy)
    if isinstance(error, auth.GoogleAuthError):
        return Terminal(
            f"{doing}: no usable credentials: {error}",
            status="UNAUTHENTICATED",
            code=401,
            remedy="Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS.",
        )
    raise error


def from_answer(code: int, status: str, message: str, doing: str) -> CloudError:
    """The `CloudError` for an HTTP status `code` with Google's canonical `status` (may be empty)."""
    status = status or _STATUS_OF_CODE.get(code, "UNKNOWN")
    code = code or _CODE_OF_STATUS.get(status, 0)
    text = f"{doing}: {message} ({code} {status})"
    if code == 404:
        return NotFound(text, status=status, code=code)
    if code == 412 or (code == 409 and status != "ABORTED"):
        return Conflict(text, status=status, code=code)
    if code in (409, 429) or (code >= 500 and code != 501):
        return Retryable(text, status=status, code=code)
    remedy = ""
    if code == 403:
        remedy = "The account that applies lacks a role for this call, or the API is not enabled in the project."
    elif code == 401:
        remedy = "Run `gcloud auth application-default login`, or set GOOGLE_APPLICATION_CREDENTIALS."
    return Terminal(text, status=status, code=code, remedy=remedy)


def from_operation(code: int, message: str, doing: str) -> CloudError:
    """The `CloudError` for the `error` of a long-running operation or a job; `code` is the gRPC number (8 = quota)."""
    status = _CANONICAL[code] if 0 <= code < len(_CANONICAL) else "UNKNOWN"
    return from_answer(_CODE_OF_STATUS.get(status, 500), status, message, doing)


def _answered(error: Any) -> bool:
    """False for gRPC's UNAVAILABLE: that is also how its own broken connections look."""
    return error.response is not None and hasattr(error.response, "status_code")


def _said(error: Any) -> tuple[str, str]:
    """(canonical status, message), in the server's own words where it sent Google's error body."""
    if not _answered(error):
        return getattr(error.grpc_status_code, "name", ""), error.message or str(error)
    try:
        body = error.response.json()["error"]
        # Cloud Storage has no canonical word in its errors: its status is then read off the HTTP code.
        return str(body.get("status", "")), str(body["message"])
    except (ValueError, KeyError, TypeError, AttributeError):
        # Without such a body the client's message begins with verb and URL, which `doing` has said already.
        return "", re.sub(r"^[A-Z]+ https?://\S+: ", "", error.message or str(error))


def _refused(error: BaseException) -> bool:
    """True when the connection was never made, so that the request cannot have been read by anybody."""
    import requests
    import urllib3

    if isinstance(error, requests.ConnectTimeout):
        return True
    cause: object = error.args[0] if error.args else None
    reason = getattr(cause, "reason", cause)
    return isinstance(reason, urllib3.exceptions.NewConnectionError | ConnectionRefusedError)


def _local(error: BaseException) -> bool:
    return any(host in str(error) for host in ("127.0.0.1", "localhost"))


def _root(error: BaseException) -> str:
    cause: Any = error.args[0] if error.args else error
    return str(getattr(cause, "reason", cause))
