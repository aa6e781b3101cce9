"""Resource names. Decides that every returned name carries the project *number*, as on the real service; requests may
carry the id or the number.
"""

from __future__ import annotations

import hashlib
import re
import secrets

_PROJECT = re.compile(r"^projects/([^/]+)")


def project_number(project: str) -> str:
    """A stable 12-digit number for a project id; a number stays as it is."""
    if project.isdecimal():
        return project
    digest = hashlib.sha256(project.encode()).digest()
    return str(100_000_000_000 + int.from_bytes(digest[:8], "big") % 900_000_000_000)


def canonical(name: str) -> str:
    """The same resource name with the project number in it."""
    return _PROJECT.sub(lambda found: f"projects/{project_number(found[1])}", name, count=1)


def project_of(name: str) -> str:
    """The project in a resource name, as written there."""
    found = _PROJECT.match(name)
    return found[1] if found else ""


def location_of(name: str) -> str:
    """`us-central1`, or empty when the name has no location."""
    parts = name.split("/")
    return parts[3] if len(parts) > 3 and parts[2] == "locations" else ""


def parent_of(name: str) -> str:
    """`projects/P/locations/L` of `projects/P/locations/L/customJobs/1`."""
    return name.rsplit("/", 2)[0]


def last(name: str) -> str:
    """The id at the end."""
    return name.rsplit("/", 1)[-1]


def new_id() -> str:
    """A 19-digit id, as the service generates them."""
    return str(secrets.choice(range(1, 9))) + "".join(secrets.choice("0123456789") for _ in range(18))
