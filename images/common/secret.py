"""A secret named in a spec becomes its value, inside the container and with the container's own account.

The value goes to whoever asked and nowhere else: no log, no environment variable, no error message holds it.
"""

from __future__ import annotations

import base64
import os
import re

import requests

SECRET_NAME = re.compile(r"projects/[^/]+(/locations/[^/]+)?/secrets/[^/]+/versions/[^/]+")
TIMEOUT_SECONDS = 30.0


def read_secret(name: str) -> str:
    """The value of `projects/P/secrets/S/versions/V` from Secret Manager, without the line end that editors add.

    `LORAFORM_API_ENDPOINT` (the embedded Vertex AI) replaces Google's address and needs no credentials. ValueError
    for a malformed name; PermissionError or LookupError say what to grant or create; requests' own errors otherwise.
    """
    if not SECRET_NAME.fullmatch(name):
        raise ValueError(f"not a secret version: {name!r}; write projects/PROJECT/secrets/SECRET/versions/VERSION")
    local = os.environ.get("LORAFORM_API_ENDPOINT")
    base = local.rstrip("/") if local else "https://secretmanager.googleapis.com"
    if "://" not in base:
        base = f"http://{base}"
    response = requests.get(
        f"{base}/v1/{name}:access", headers={} if local else _authorization(), timeout=TIMEOUT_SECONDS
    )
    if response.status_code in (401, 403):
        raise PermissionError(f"{name}: this account may not read it; grant it roles/secretmanager.secretAccessor")
    if response.status_code == 404:
        raise LookupError(f"{name}: no such secret version")
    response.raise_for_status()
    return base64.b64decode(response.json()["payload"]["data"]).decode("utf-8").rstrip("\r\n")


def _authorization() -> dict[str, str]:
    import google.auth
    import google.auth.transport.requests

    credentials, _ = google.auth.default(scopes=["https://www.googleapis.com/auth/cloud-platform"])
    credentials.refresh(google.auth.transport.requests.Request())
    return {"Authorization": f"Bearer {credentials.token}"}
