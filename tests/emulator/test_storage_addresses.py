"""Cloud Storage beside the other services, on their port."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage
from google.cloud.storage import transfer_manager

from tests.emulator.clients import Cloud


@pytest.fixture
def client(url: str) -> storage.Client:
    return storage.Client(project="p", credentials=AnonymousCredentials(), client_options={"api_endpoint": url})


def test_an_upload_in_parts_reaches_the_objects_own_address(client: storage.Client, tmp_path: Path) -> None:
    bucket = client.create_bucket("for-the-parts")
    (tmp_path / "large").write_bytes(bytes(range(256)) * 1024)

    transfer_manager.upload_chunks_concurrently(
        str(tmp_path / "large"), bucket.blob("a/large"), chunk_size=100_000, worker_type=transfer_manager.THREAD
    )

    assert bucket.blob("a/large").download_as_bytes() == (tmp_path / "large").read_bytes()


def test_a_bucket_named_as_a_path_of_vertex_hides_nothing(client: storage.Client, cloud: Cloud) -> None:
    for name in ("v1beta1", "emulator"):
        client.create_bucket(name)
    endpoint = cloud.endpoint()

    health = requests.get(f"{cloud.url}/emulator/health", timeout=10)
    found = requests.get(f"{cloud.url}/v1beta1/{endpoint.name}", timeout=10)

    assert (health.status_code, found.status_code) == (200, 200)
