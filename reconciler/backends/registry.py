"""Which kinds of Vertex AI resource exist for Loraform, and the five functions that each consists of.

The map is explicit: a new kind is one file, one entry here, and payloads in the tests. Nothing is discovered.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from reconciler.backends import custom_job, deployment, endpoint, model, sweep_job
from reconciler.backends.kind import Kind

KINDS: Mapping[str, Kind] = MappingProxyType(
    {kind.name: kind for kind in (custom_job.KIND, sweep_job.KIND, model.KIND, endpoint.KIND, deployment.KIND)}
)
"""By the word that `Resource.kind` and `LiveResource.kind` carry."""
