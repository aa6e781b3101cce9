"""A real server on a free loopback port for these tests, and Google's own clients pointed at it."""

from __future__ import annotations

import socket
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime

import gcsfs
import httpx
import pytest
import uvicorn
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from reconciler.emulator.gcs.app import storage_app
from reconciler.emulator.gcs.buckets import Buckets


@dataclass(frozen=True)
class Served:
    """A store and the address at which it is served."""

    buckets: Buckets
    url: str


@pytest.fixture(scope="session")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    buckets = Buckets(tmp_path_factory.mktemp("storage"), lambda: datetime.now(UTC))
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(
            storage_app(buckets), access_log=False, log_level="warning", lifespan="off", timeout_graceful_shutdown=2
        )
        server = uvicorn.Server(config)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield Served(buckets, url)
        server.should_exit = True
        thread.join()
    buckets.close()


@pytest.fixture
def client(served: Served) -> Iterator[storage.Client]:
    found = storage.Client(
        project="test-project", credentials=AnonymousCredentials(), client_options={"api_endpoint": served.url}
    )
    yield found
    found.close()


@pytest.fixture
def bucket(client: storage.Client) -> storage.Bucket:
    """A fresh bucket for this test alone."""
    return client.create_bucket(f"bucket-{uuid.uuid4().hex}")


@pytest.fixture
def raw(served: Served) -> Iterator[httpx.Client]:
    """HTTP without a Google client, for what they cannot send."""
    with httpx.Client(base_url=served.url) as found:
        yield found


@pytest.fixture
def files(served: Served, monkeypatch: pytest.MonkeyPatch) -> gcsfs.GCSFileSystem:
    """gcsfs, told of the server by the environment alone.

    The class is the one that `GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT=false` chooses. The other one first asks for a bucket's
    layout over gRPC with TLS, which no emulator on plain HTTP can answer, and waits a minute for it at every turn.
    """
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", served.url)
    return gcsfs.core.GCSFileSystem(
        token="anon", project="test-project", skip_instance_cache=True, use_listings_cache=False
    )
