"""Reading over REST as plain JSON: Google's session with its credentials, without Google's types and clients.

A look at a large fleet is tens of thousands of objects: parsing them into messages and printing these again costs more
than all else, and importing the clients costs a small plan half a second. Calls that change something go through
`vertex` and Google's types. What is tried again is decided by whoever asks.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Mapping
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from reconciler.core.resources import Json
from reconciler.core.target import Target, region_of

if TYPE_CHECKING:
    from google.auth.transport.requests import AuthorizedSession

PAGED: Mapping[str, str] = MappingProxyType(
    {
        "ListCustomJobs": "{parent}/customJobs",
        "ListHyperparameterTuningJobs": "{parent}/hyperparameterTuningJobs",
        "ListModels": "{parent}/models",
        "ListModelVersions": "{name}:listVersions",
        "ListEndpoints": "{parent}/endpoints",
    }
)
"""Where the paged lists are, by Google's names of the methods; a test compares them with Google's own bindings."""

PAGE = 1000
"""Objects that are asked for at a time. Google's services give fewer where their own limit is lower (AIP-158)."""

MAPS = frozenset(
    {
        "labels", "trafficSplit", "systemLabels", "webAccessUris", "metadata", "inputs", "outputs", "details",
        "nearestNeighborSearchConfig", "outputIndices",
    }
)  # fmt: skip
"""Fields whose keys are somebody's own words, in jobs, models and endpoints."""

_SCOPE = "https://www.googleapis.com/auth/cloud-platform"


class Rest:
    """Holds the HTTP session of one target. May be used by several threads."""

    def __init__(self, target: Target) -> None:
        self.target = target
        self._session: AuthorizedSession | None = None
        self._lock = threading.Lock()

    def session(self) -> AuthorizedSession:
        """A requests session with the target's credentials; they are looked up at the first use."""
        import google.auth
        from google.auth.credentials import AnonymousCredentials
        from google.auth.transport.requests import AuthorizedSession

        with self._lock:
            if self._session is None:
                credentials = AnonymousCredentials()
                if not self.target.api_endpoint:
                    credentials, _ = google.auth.default(scopes=[_SCOPE])
                self._session = AuthorizedSession(credentials)
            return self._session

    def get(self, url: str, query: Mapping[str, str | int], timeout: float) -> Any:
        """The JSON at a URL. Raises what Google's clients raise over REST: their own exceptions, or requests'."""
        response = self.session().get(url, params=dict(query), timeout=timeout)
        if response.status_code >= 400:
            from google.api_core.exceptions import from_http_response

            raise from_http_response(response)
        return json.loads(response.content)

    def vertex_page(self, method: str, request: Mapping[str, Json], token: str, timeout: float) -> Mapping[str, Any]:
        """One page of a method in `PAGED`, as it comes: camelCase, and `nextPageToken` where there are more."""
        path = PAGED[method].format(**request)
        region = region_of(path) or self.target.region
        base = self.target.api_endpoint or f"https://{region}-aiplatform.googleapis.com"
        query: dict[str, str | int] = {"pageSize": PAGE}
        if request.get("filter"):
            query["filter"] = str(request["filter"])
        if token:
            query["pageToken"] = token
        page: Mapping[str, Any] = self.get(f"{base}/v1/{path}", query, timeout)
        return page

    def objects_page(self, bucket: str, prefix: str, fields: str, token: str, timeout: float) -> Mapping[str, Any]:
        """One page of the objects below a prefix: `items`, and `nextPageToken` where there are more."""
        base = self.target.api_endpoint or "https://storage.googleapis.com"
        query: dict[str, str | int] = {"prefix": prefix, "fields": fields, "maxResults": PAGE}
        if token:
            query["pageToken"] = token
        page: Mapping[str, Any] = self.get(f"{base}/storage/v1/b/{bucket}/o", query, timeout)
        return page


def with_proto_names(value: Any) -> Any:
    """JSON of the wire with the proto's own field names: `displayName` becomes `display_name`, a user's keys stay."""
    if isinstance(value, dict):
        return {snake(key): item if key in MAPS else with_proto_names(item) for key, item in value.items()}
    if isinstance(value, list):
        return [with_proto_names(item) for item in value]
    return value


@cache
def snake(name: str) -> str:
    """`displayName` and `ListModels` as `display_name` and `list_models`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def camel(name: str) -> str:
    """`custom_jobs` as `customJobs`."""
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
