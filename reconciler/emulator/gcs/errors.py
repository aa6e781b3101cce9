"""What Cloud Storage answers when it refuses, and the envelope that carries it.

One exception for every refusal: the wire turns it into a response, callers in this process catch it by `status`.
The wordings are Google's own, because clients and people match on them.
"""

from __future__ import annotations

Json = dict[str, object]


class StorageError(Exception):
    """A refusal: HTTP `status`, Google's `reason` word, `message`, and the parameter or header it is about, if any."""

    def __init__(self, status: int, reason: str, message: str, location: str = "", location_type: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.message = message
        self.location = location
        self.location_type = location_type

    def envelope(self) -> Json:
        """Return the JSON body of Google's error response."""
        detail: Json = {"message": self.message, "domain": "global", "reason": self.reason}
        if self.location:
            detail |= {"locationType": self.location_type, "location": self.location}
        return {"error": {"code": self.status, "message": self.message, "errors": [detail]}}


def no_such_bucket() -> StorageError:
    """404: the bucket is not there."""
    return StorageError(404, "notFound", "The specified bucket does not exist.")


def no_such_object(bucket: str, name: str) -> StorageError:
    """404: no object of this name, or not in this generation."""
    return StorageError(404, "notFound", f"No such object: {bucket}/{name}")


def condition_not_met() -> StorageError:
    """412: a generation or metageneration precondition did not hold."""
    message = "At least one of the pre-conditions you specified did not hold."
    return StorageError(412, "conditionNotMet", message, "If-Match", "header")


def not_modified() -> StorageError:
    """304: a read asked for the object only if it had changed, and it has not."""
    return StorageError(304, "notModified", "Not Modified", "If-None-Match", "header")


def invalid(message: str, parameter: str = "") -> StorageError:
    """400: the request is malformed; `parameter` names the query parameter at fault."""
    return StorageError(400, "invalid", message, parameter, "parameter" if parameter else "")


def required(message: str, parameter: str = "") -> StorageError:
    """400: something that must be given is missing."""
    return StorageError(400, "required", message, parameter, "parameter" if parameter else "")


def conflict(message: str) -> StorageError:
    """409: the world is not in a shape that allows this."""
    return StorageError(409, "conflict", message)


def not_implemented(what: str) -> StorageError:
    """501: the real service does this and this one does not; `what` names it."""
    return StorageError(501, "notImplemented", f"The embedded Cloud Storage does not implement {what}.")
