"""Where a plan is carried out: one project and region of Vertex AI, or the embedded one, and one bucket.

The values come from `loraform.yaml` and the command line; this module only says what every address in that target
is called (`ARCHITECTURE.md`, "What lies in the bucket").
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Target:
    """One place that Loraform makes equal to git."""

    name: str
    fleet: str
    project: str
    """Project id (or number) as requests name it. Answers name the number: compare by location and id."""
    region: str
    bucket: str
    """Bucket name, without `gs://`."""
    api_endpoint: str | None = None
    """Base URL of the API (`http://127.0.0.1:8600`), None for Google's regional default."""
    local: bool = False
    """The embedded Vertex AI: the working tree is taken as it is, endpoints are not dedicated ones."""
    images: Mapping[str, str] = field(default_factory=dict)
    """Container images by their use, `train` and `serve`; pinned by digest on cloud targets."""
    buckets: Mapping[str, str] = field(default_factory=dict)
    """A bucket for each further region that trainings may run in; what must be remembered stays in `bucket`."""

    @property
    def parent(self) -> str:
        """The parent of every Vertex AI resource of this target, but for trainings in another region."""
        return self.parent_in(self.region)

    @property
    def regions(self) -> tuple[str, ...]:
        """Where trainings of this target may be: its own region first."""
        return (self.region, *sorted(set(self.buckets) - {self.region}))

    def parent_in(self, region: str) -> str:
        """The parent of trainings in a region."""
        return f"projects/{self.project}/locations/{region}"

    @property
    def folder(self) -> str:
        """The folder of this fleet in the bucket; nothing is written outside it."""
        return f"gs://{self.bucket}/loraform/{self.fleet}"

    def record_uri(self, identity: str) -> str:
        """The run record of a training: it exists when the training is finished."""
        return f"{self.folder}/runs/{identity}.json"

    def evaluation_uri(self, identity: str) -> str:
        """The record of an evaluation by itself; of one in the training job the run record tells."""
        return f"{self.folder}/evaluations/{identity}.json"

    def evaluation_lock_uri(self, identity: str) -> str:
        """The lock that such an evaluation holds while it works."""
        return f"{self.folder}/evaluations/{identity}.lock"

    def lock_uri(self, identity: str) -> str:
        """The lock that a trainer holds while it works."""
        return f"{self.folder}/runs/{identity}.lock"

    def claim_uri(self, name: str) -> str:
        """The claim that apply writes before a create call; `name` is `Resource.claim_name`."""
        return f"{self.folder}/claims/{name}.json"

    def served_uri(self, stamp: str) -> str:
        """What a deployment was given of the traffic, and when; `stamp` is its identity as labels carry it."""
        return f"{self.folder}/served/{stamp}.json"

    def artifact_uri(self, identity: str, attempt: int, region: str = "", kind: str = "artifacts") -> str:
        """The `baseOutputDirectory` of one attempt at a run; for another region in that region's bucket.

        `kind` is the folder: `artifacts` of trainings, `evaluations` of those.
        """
        bucket = self.buckets.get(region, self.bucket) if region != self.region else self.bucket
        return f"gs://{bucket}/loraform/{self.fleet}/{kind}/{identity}/attempt-{attempt}"

    def checkpoints_uri(self, identity: str) -> str:
        """What an interrupted training goes on from, whichever attempt it is."""
        return f"{self.folder}/checkpoints/{identity}"

    def trials_uri(self, identity: str) -> str:
        """The folder of the records that the trials of a sweep leave."""
        return f"{self.folder}/trials/{identity}"

    def content_uri(self, digest: str) -> str:
        """The folder of a file or a tree of the repository, under its content hash."""
        return f"{self.folder}/data/{digest}"


def region_of(name: str) -> str:
    """The region in a resource name, `projects/P/locations/REGION/...`; "" where there is none."""
    parts = name.split("/")
    return parts[3] if len(parts) > 3 and parts[2] == "locations" else ""
