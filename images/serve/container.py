"""What Vertex AI tells a prediction container through its environment, with the documented defaults.

https://cloud.google.com/vertex-ai/docs/predictions/custom-container-requirements#aip-variables
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Container:
    """Port, routes and artifact of this container. `host` is ours: all interfaces, as Vertex AI wants it."""

    port: int
    health_route: str
    predict_route: str
    storage_uri: str
    host: str = "0.0.0.0"


def read_container(environ: Mapping[str, str]) -> Container:
    """The contract as this process got it. ValueError names the variable that is missing or wrong."""
    text = environ.get("AIP_HTTP_PORT") or "8080"
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise ValueError(f"AIP_HTTP_PORT is not a port: {text!r}")
    storage_uri = environ.get("AIP_STORAGE_URI") or ""
    if not storage_uri:
        raise ValueError("AIP_STORAGE_URI is not set: it names the gs:// or local folder with the trained artifact")
    default_health, default_predict = _default_routes(environ)
    routes = {
        "AIP_HEALTH_ROUTE": environ.get("AIP_HEALTH_ROUTE") or default_health,
        "AIP_PREDICT_ROUTE": environ.get("AIP_PREDICT_ROUTE") or default_predict,
    }
    for name, route in routes.items():
        if not route.startswith("/") or any(character in route for character in "{}?# "):
            raise ValueError(f"{name} is not a path: {route!r}")
    return Container(
        port=int(text),
        health_route=routes["AIP_HEALTH_ROUTE"],
        predict_route=routes["AIP_PREDICT_ROUTE"],
        storage_uri=storage_uri,
        host=environ.get("LORAFORM_HOST") or "0.0.0.0",
    )


def _default_routes(environ: Mapping[str, str]) -> tuple[str, str]:
    endpoint, deployed = environ.get("AIP_ENDPOINT_ID"), environ.get("AIP_DEPLOYED_MODEL_ID")
    if not endpoint or not deployed:
        return "/health", "/predict"
    path = f"/v1/endpoints/{endpoint}/deployedModels/{deployed}"
    return path, f"{path}:predict"
