"""Google's own clients, pointed at the server, and what the tests make with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform_v1 as v1

ENDED = (v1.JobState.JOB_STATE_SUCCEEDED, v1.JobState.JOB_STATE_FAILED, v1.JobState.JOB_STATE_CANCELLED)


@dataclass(frozen=True, slots=True)
class Cloud:
    """The GAPIC clients over REST, and a project of the test's own."""

    url: str
    parent: str

    @property
    def jobs(self) -> Any:
        return client(self.url, v1.JobServiceClient)

    @property
    def models(self) -> Any:
        return client(self.url, v1.ModelServiceClient)

    @property
    def endpoints(self) -> Any:
        return client(self.url, v1.EndpointServiceClient)

    @property
    def predictions(self) -> Any:
        return client(self.url, v1.PredictionServiceClient)

    def job(self, *args: str, image: str = "test/train", name: str = "a job", **fields: Any) -> v1.CustomJob:
        """Create a custom job; `fields` go into its spec, apart from `labels`, `env` and `command`."""
        container = {
            "image_uri": image,
            "args": args,
            "env": fields.pop("env", []),
            "command": fields.pop("command", []),
        }
        job = {"display_name": name, "labels": fields.pop("labels", {})}
        spec = {"worker_pool_specs": [{"container_spec": container, "machine_spec": {"machine_type": "n1-standard-4"}}]}
        return self.jobs.create_custom_job(parent=self.parent, custom_job={**job, "job_spec": {**spec, **fields}})

    def ended(self, job: v1.CustomJob, within_s: float = 20.0) -> v1.CustomJob:
        """The job once it is over."""
        client = self.jobs
        return until(lambda: client.get_custom_job(name=job.name), lambda found: found.state in ENDED, within_s)

    def model(self, *args: str, image: str = "test/serve", name: str = "a model", **request: Any) -> v1.Model:
        """Upload a model; its version as GetModel gives it. `labels`, `aliases` and `container` belong to the model."""
        container = {"image_uri": image, "args": args, "health_route": "/health", "predict_route": "/predict"}
        model = {
            "display_name": name,
            "artifact_uri": "gs://bucket/model",
            "container_spec": {**container, **request.pop("container", {})},
            "labels": request.pop("labels", {}),
            "version_aliases": request.pop("aliases", []),
        }
        done = self.models.upload_model(request={"parent": self.parent, "model": model, **request}).result()
        return self.models.get_model(name=f"{done.model}@{done.model_version_id}")

    def endpoint(self, endpoint_id: str = "", **fields: Any) -> v1.Endpoint:
        """Create an endpoint."""
        request = {
            "parent": self.parent,
            "endpoint_id": endpoint_id,
            "endpoint": {"display_name": "an endpoint", **fields},
        }
        return self.endpoints.create_endpoint(request=request).result()

    def deploy(self, endpoint: v1.Endpoint, model: v1.Model, split: dict[str, int] | None = None, **fields: Any) -> Any:
        """Begin to deploy; gives the operation."""
        deployed = {
            "model": f"{model.name}@{model.version_id}",
            "dedicated_resources": {"machine_spec": {"machine_type": "n1-standard-4"}, "min_replica_count": 1},
            **fields,
        }
        request = {"endpoint": endpoint.name, "deployed_model": deployed, "traffic_split": split or {}}
        return self.endpoints.deploy_model(request=request)

    def read(self, endpoint: v1.Endpoint) -> v1.Endpoint:
        """The endpoint as it is now."""
        return self.endpoints.get_endpoint(name=endpoint.name)

    def predict(self, endpoint: v1.Endpoint, instances: Sequence[Any]) -> Any:
        """Predict."""
        return self.predictions.predict(endpoint=endpoint.name, instances=instances)


@cache
def client(url: str, kind: Callable[..., Any]) -> Any:
    """One of Google's clients over REST; they are slow to make."""
    return kind(transport="rest", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


def until(look: Callable[[], Any], enough: Callable[[Any], bool], within_s: float = 20.0) -> Any:
    """Look again and again until it is enough; what was seen."""
    deadline = time.monotonic() + within_s
    while True:
        seen = look()
        if enough(seen):
            return seen
        assert time.monotonic() < deadline, f"this did not come: {seen}"
        time.sleep(0.03)
