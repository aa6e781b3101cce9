"""A secret named in a spec becomes its value, inside the container and with the container's own account.

The value goes to whoever asked and nowhere else: no log, no environment variable, no error message holds it.
"""

from __future__ import annotations

import base64
import os
import re
from collections.abc import Mapping

from images.common.failures import Denied

SECRET_NAME = re.compile(r"projects/[^/]+(/locations/[^/]+)?/secrets/[^/]+/versions/[^/]+")
TIMEOUT_SECONDS = 30.0
REMEDY = "Check the name, and grant the run's service account roles/secretmanager.secretAccessor."


def read_secret(name: str, environ: Mapping[str, str] = os.environ) -> str:
    """The value of `projects/P/secrets/S/versions/V` from Secret Manager, without the line end that editors add.

    `LORAFORM_API_ENDPOINT` (the embedded Vertex AI) replaces Google's address and needs no credentials. ValueError
    for a malformed name; `Denied` says what to grant, create or mend.
    """
    if not SECRET_NAME.fullmatch(name):
        raise ValueError(f"{name!r} is not a secret version: write projects/P/secrets/S/versions/V")
    import requests

    local = environ.get("LORAFORM_API_ENDPOINT")
    base = local.rstrip("/") if local else "https://secretmanager.googleapis.com"
    if "://" not in base:
        base = f"http://{base}"
    headers = {} if local else _authorization()
    try:
        response = requests.get(f"{base}/v1/{name}:access", headers=headers, timeout=TIMEOUT_SECONDS)
    except requests.RequestException as error:
        raise Denied(f"{name} cannot be read ({type(error).__name__})", "Check the network.") from error
    if response.status_code != 200:
        raise Denied(f"{name} cannot be read (HTTP {response.status_code})", REMEDY)
    return base64.b64decode(response.json()["payload"]["data"]).decode("utf-8").rstrip("\r\n")


def _authorization() -> dict[str, str]:
    import google.auth
    import google.auth.transport.requests
    from google.auth.exceptions import GoogleAuthError

    try:
        credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
        credentials.refresh(google.auth.transport.requests.Request())
    except GoogleAuthError as error:
        raise Denied("No Google credentials are at hand", "Give the job a service account.") from error
    return {"Authorization": f"Bearer {credentials.token}"}
