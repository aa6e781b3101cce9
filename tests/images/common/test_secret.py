from __future__ import annotations

import base64

import pytest

from images.common.failures import Denied
from images.common.secret import read_secret
from tests.emulator_fixture import post


def test_a_secret_is_read_from_the_embedded_vertex_ai(cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORAFORM_API_ENDPOINT", cloud)
    post(f"{cloud}/v1/projects/p/secrets?secretId=token", {"replication": {"automatic": {}}})
    payload = {"payload": {"data": base64.b64encode(b"hf_abc\n").decode()}}
    post(f"{cloud}/v1/projects/p/secrets/token:addVersion", payload)

    assert read_secret("projects/p/secrets/token/versions/1") == "hf_abc"


def test_a_missing_secret_is_named(cloud: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LORAFORM_API_ENDPOINT", cloud)

    with pytest.raises(Denied, match=r"projects/p/secrets/none/versions/1.*HTTP 404.*secretmanager\.secretAccessor"):
        read_secret("projects/p/secrets/none/versions/1")


@pytest.mark.parametrize(
    "name", ["token", "hf_token", "projects/p/secrets/s", "projects/p/secrets/s/versions/1/../../x"]
)
def test_a_malformed_name_is_refused_before_any_call(name: str) -> None:
    with pytest.raises(ValueError, match="is not a secret version"):
        read_secret(name)
