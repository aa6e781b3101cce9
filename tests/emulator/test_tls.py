"""The TLS port: what the SDK asks over `https` and nothing else."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import requests
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform

from reconciler.emulator.tls import certificate
from tests.emulator.clients import Cloud
from tests.emulator_fixture import emulator_card, start_emulator, stop_emulator

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARENT = "projects/tls/locations/us-central1"


@pytest.fixture(scope="module")
def secure(
    tmp_path_factory: pytest.TempPathFactory, programs: Mapping[str, Sequence[str] | str]
) -> Iterator[dict[str, str]]:
    """The card of a server with a TLS port."""
    state = tmp_path_factory.mktemp("tls")
    server = start_emulator(state, programs, "--tls")
    yield emulator_card(state)
    assert stop_emulator(server) == 0


@pytest.fixture
def dedicated(secure: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Iterator[aiplatform.Endpoint]:
    """A dedicated endpoint that serves, through the SDK, by somebody who trusts the server's authority."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", secure["ca"])
    cloud = Cloud(secure["url"], PARENT)
    endpoint = cloud.endpoint(dedicated_endpoint_enabled=True)
    cloud.deploy(endpoint, cloud.model(image="test/stub", name="a stub"), {"0": 100}).result()
    aiplatform.init(
        project="tls",
        location="us-central1",
        api_endpoint=secure["url"],
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )
    yield aiplatform.Endpoint(endpoint.name)
    aiplatform.initializer.global_config.__init__()


def test_a_dedicated_endpoint_answers_at_its_own_address(
    secure: dict[str, str], dedicated: aiplatform.Endpoint
) -> None:
    answer = dedicated.predict(["hello"], use_dedicated_endpoint=True)

    assert f"https://{dedicated.dedicated_endpoint_dns}" == secure["tls_url"]
    assert answer.predictions == ["hello"]


def test_the_raw_predictions_of_the_sdk_go_over_tls(dedicated: aiplatform.Endpoint) -> None:
    answer = dedicated.raw_predict(b"any body", {"content-type": "text/plain"})

    assert (answer.status_code, answer.content) == (200, b"any body")
    assert "/models/" in answer.headers["X-Vertex-AI-Model"]


def test_the_streamed_raw_predictions_of_the_sdk_go_over_tls(dedicated: aiplatform.Endpoint) -> None:
    body = json.dumps({"instances": [1]}).encode()

    pieces = dedicated.stream_raw_predict(body, {"content-type": "application/json"}, use_dedicated_endpoint=True)

    assert b"".join(pieces) == body


def test_nobody_is_trusted_without_the_authority(secure: dict[str, str]) -> None:
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(f"{secure['tls_url']}/emulator/health", timeout=10)


def test_a_certificate_is_kept_until_it_is_about_to_end(tmp_path: Path) -> None:
    first = certificate(tmp_path, "127.0.0.1", NOW)
    trusted, shown = first.authority.read_bytes(), first.chain.read_bytes()

    certificate(tmp_path, "127.0.0.1", NOW + timedelta(days=300))
    kept = (first.authority.read_bytes(), first.chain.read_bytes()) == (trusted, shown)
    certificate(tmp_path, "127.0.0.1", NOW + timedelta(days=360))

    assert kept
    assert first.chain.read_bytes() != shown


def test_a_damaged_certificate_is_made_anew(tmp_path: Path) -> None:
    first = certificate(tmp_path, "127.0.0.1", NOW)
    first.chain.write_text("half")

    certificate(tmp_path, "127.0.0.1", NOW)

    assert b"PRIVATE KEY" in first.chain.read_bytes()


def test_the_servers_key_is_for_its_owner_alone_and_the_authoritys_is_nowhere(tmp_path: Path) -> None:
    made = certificate(tmp_path, "0.0.0.0", NOW)

    assert made.chain.stat().st_mode & 0o077 == 0
    assert b"PRIVATE KEY" not in made.authority.read_bytes()
    assert set(tmp_path.iterdir()) == {made.authority, made.chain}
