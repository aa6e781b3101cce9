"""Google's client classes and request types, one service at a time. Decides nothing about what they are used for.

`import google.cloud.aiplatform_v1` imports the clients of all its thirty services, half a second for the three that a
plan needs. Its modules are imported from a bare package instead, which goes again, so that an ordinary import works.
"""

from __future__ import annotations

import importlib
import importlib.util
import re
import sys
import threading
import types
from typing import Any

PACKAGE = "google.cloud.aiplatform_v1"

_IMPORTING = threading.Lock()


def client_class(service: str) -> Any:
    """The class `JobServiceClient` for `JobService`. Raises `ModuleNotFoundError` for a service that is none."""
    return getattr(_module(f"services.{_snake(service)}.client"), f"{service}Client")


def request_class(method: str) -> Any:
    """The type `ListCustomJobsRequest` for `ListCustomJobs`; None when there is no such method."""
    return getattr(_module("types"), f"{method}Request", None)


def _module(name: str) -> types.ModuleType:
    with _IMPORTING:
        if PACKAGE in sys.modules:
            return importlib.import_module(f"{PACKAGE}.{name}")
        found = sys.modules.get(f"{PACKAGE}.{name}")
        if found is not None:
            return found
        spec = importlib.util.find_spec(PACKAGE)
        if spec is None or not spec.submodule_search_locations:
            raise ModuleNotFoundError(f"{PACKAGE} is not installed: pip install google-cloud-aiplatform")
        bare = types.ModuleType(PACKAGE)
        bare.__path__ = list(spec.submodule_search_locations)
        sys.modules[PACKAGE] = bare
        try:
            return importlib.import_module(f"{PACKAGE}.{name}")
        finally:
            del sys.modules[PACKAGE]


def _snake(service: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", service).lower()
