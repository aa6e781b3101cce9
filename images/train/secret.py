"""Reads one secret version from Secret Manager, inside the container, with the container's own identity.

The value is returned to the caller and nowhere else: it is never logged, written or put into an environment variable.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from images.train.failures import NotPermitted, SpecInvalid

if TYPE_CHECKING:
    import requests

ENDPOINT = "https://secretmanager.googleapis.com"
_NAME = re.compile(r"projects/[^/]+/secrets/[^/]+/versions/[^/]+")


def read_secret(name: str, env: Mapping[str, str]) -> str:
    """The text of `projects/P/secrets/S/versions/V`. `LORAFORM_API_ENDPOINT` names an embedded API without sign-in."""
    if not _NAME.fullmatch(name):
        raise SpecInvalid(f"{name!r} is not a secret version", "Write projects/P/secrets/S/versions/V.")
    import requests

    embedded = env.get("LORAFORM_API_ENDPOINT")
    url = f"{(embedded or ENDPOINT).rstrip('/')}/v1/{name}:access"
    try:
        session = requests.Session() if embedded else _signed_in()
        answer = session.get(url, timeout=30)
    except NotPermitted:
        raise
    except requests.RequestException as error:
        raise NotPermitted(f"{name} cannot be read ({type(error).__name__})", "Check the network.") from error
    if answer.status_code != 200:
        raise NotPermitted(
            f"{name} cannot be read (HTTP {answer.status_code})",
            "Check the name, and grant the run's service account roles/secretmanager.secretAccessor.",
        )
    return base64.b64decode(answer.json()["payload"]["data"]).decode().strip()


def _signed_in() -> requests.Session:
    import google.auth
    from google.auth.exceptions import GoogleAuthError
    from google.auth.transport.requests import AuthorizedSession

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    except GoogleAuthError as error:
        raise NotPermitted("No Google credentials are at hand", "Give the job a service account.") from error
    session: requests.Session = AuthorizedSession(credentials)
    return session
