"""Bases from folders, buckets and a hub (a small server that speaks the hub's wire)."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests

from images.common.base_model import MARKER
from images.train.base import locate
from images.train.failures import ModelNotFound, NotPermitted, SpecInvalid
from images.train.progress import Progress
from images.train.storage import Storage
from schemas.training_spec import ModelSource
from tests.images.train.hub_server import FILES, REVISION, Hub

Heard = tuple[Progress, Callable[[], list[dict[str, Any]]]]


@pytest.fixture
def env(tmp_path: Path, hub: Hub) -> dict[str, str]:
    return {"LORAFORM_CACHE": str(tmp_path / "cache"), "HF_ENDPOINT": hub.url}


def test_a_folder_is_used_where_it_lies(tmp_path: Path, heard: Heard) -> None:
    (tmp_path / "config.json").write_text("{}")

    assert locate(ModelSource(base=str(tmp_path)), Storage(), heard[0], {}) == tmp_path


def test_a_folder_without_a_config_is_no_model(tmp_path: Path, heard: Heard) -> None:
    with pytest.raises(ModelNotFound, match="is not a model folder") as refused:
        locate(ModelSource(base=str(tmp_path)), Storage(), heard[0], {})

    assert refused.value.exit_code == 11


def test_a_bucket_folder_is_downloaded_once(bucket: str, storage: Storage, heard: Heard, tmp_path: Path) -> None:
    for name in ("config.json", "deep/model.safetensors"):
        storage.write(f"{bucket}/base/{name}", name.encode())
    env = {"LORAFORM_CACHE": str(tmp_path / "cache")}

    first = locate(ModelSource(base=f"{bucket}/base"), storage, heard[0], env)
    second = locate(ModelSource(base=f"{bucket}/base/"), storage, heard[0], env)

    assert (first / "deep" / "model.safetensors").read_bytes() == b"deep/model.safetensors"
    assert sorted(path.name for path in first.iterdir()) == ["config.json", "deep"]
    assert second.parent == first.parent


def test_a_changed_bucket_folder_is_downloaded_again(
    bucket: str, storage: Storage, heard: Heard, tmp_path: Path
) -> None:
    env = {"LORAFORM_CACHE": str(tmp_path / "cache")}
    storage.write(f"{bucket}/base/config.json", b"one")
    first = locate(ModelSource(base=f"{bucket}/base"), storage, heard[0], env)
    storage.write(f"{bucket}/base/config.json", b"two")

    second = locate(ModelSource(base=f"{bucket}/base"), storage, heard[0], env)

    assert ((first / "config.json").read_bytes(), (second / "config.json").read_bytes()) == (b"one", b"two")


def test_an_empty_bucket_folder_is_no_model(bucket: str, storage: Storage, heard: Heard) -> None:
    with pytest.raises(ModelNotFound, match="holds no model"):
        locate(ModelSource(base=f"{bucket}/absent"), storage, heard[0], {})


def test_a_hub_id_is_downloaded_at_its_revision_without_pickles(hub: Hub, env: dict[str, str], heard: Heard) -> None:
    folder = locate(ModelSource(base="acme/tiny", revision=REVISION), Storage(), heard[0], env)

    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]


def test_a_gated_model_says_what_is_missing(hub: Hub, env: dict[str, str], heard: Heard) -> None:
    hub.token = "secret-token"

    with pytest.raises(NotPermitted, match="acme/tiny is gated"):
        locate(ModelSource(base="acme/tiny", revision=REVISION), Storage(), heard[0], env)


@pytest.mark.parametrize(
    ("base", "revision", "said"),
    [("acme/absent", REVISION, "not a model on the hub"), ("acme/tiny", "f" * 40, "has no revision")],
)
def test_a_model_that_is_not_there_is_named(
    hub: Hub, env: dict[str, str], heard: Heard, base: str, revision: str, said: str
) -> None:
    with pytest.raises(ModelNotFound, match=said):
        locate(ModelSource(base=base, revision=revision), Storage(), heard[0], env)


def test_an_unreachable_hub_is_told(env: dict[str, str], heard: Heard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)

    with pytest.raises(ModelNotFound, match="cannot be downloaded from the hub"):
        locate(ModelSource(base="acme/tiny", revision=REVISION), Storage(), heard[0], env)


def test_a_gated_model_is_read_with_the_token_that_secret_manager_keeps(
    hub: Hub, env: dict[str, str], heard: Heard, emulator: str
) -> None:
    hub.token = "secret-token"
    name = keep_secret(emulator, "hub", "secret-token\n")
    source = ModelSource(base="acme/tiny", revision=REVISION, token_secret=name)

    folder = locate(source, Storage(), heard[0], {**env, "LORAFORM_API_ENDPOINT": emulator})

    assert (folder / "config.json").is_file()
    assert "secret-token" not in json.dumps(heard[1]())


def test_a_mirror_is_written_once_and_read_from_then_on(
    hub: Hub, env: dict[str, str], heard: Heard, bucket: str, storage: Storage
) -> None:
    source = ModelSource(base="acme/tiny", revision=REVISION, mirror=f"{bucket}/mirror")
    locate(source, storage, heard[0], env)
    asked = len(hub.asked)

    folder = locate(source, storage, heard[0], env)

    assert len(hub.asked) == asked
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "model.safetensors"]
    assert storage.read(f"{bucket}/mirror/acme/tiny/{REVISION}/{MARKER}") is not None


def test_a_mirror_that_was_left_half_written_is_not_read(
    hub: Hub, env: dict[str, str], heard: Heard, bucket: str, storage: Storage
) -> None:
    storage.write(f"{bucket}/mirror/acme/tiny/{REVISION}/config.json", b"half")

    folder = locate(ModelSource(base="acme/tiny", revision=REVISION, mirror=f"{bucket}/mirror"), storage, heard[0], env)

    assert (folder / "config.json").read_bytes() == FILES["config.json"]


def test_a_secret_that_is_not_there_names_the_role(env: dict[str, str], heard: Heard, emulator: str) -> None:
    source = ModelSource(base="acme/tiny", revision=REVISION, token_secret="projects/p/secrets/absent/versions/1")

    with pytest.raises(NotPermitted, match=r"HTTP 404.*secretmanager\.secretAccessor") as refused:
        locate(source, Storage(), heard[0], {**env, "LORAFORM_API_ENDPOINT": emulator})

    assert refused.value.exit_code == 12


def test_what_is_no_secret_version_is_refused(env: dict[str, str], heard: Heard) -> None:
    with pytest.raises(SpecInvalid, match="is not a secret version"):
        locate(ModelSource(base="acme/tiny", revision=REVISION, token_secret="hf_token"), Storage(), heard[0], env)


def keep_secret(emulator: str, name: str, value: str) -> str:
    """Create a secret with one version and return the version's name."""
    payload = base64.b64encode(value.encode()).decode()
    parent = "v1/projects/test-project/secrets"
    requests.post(f"{emulator}/{parent}?secretId={name}", json={"replication": {"automatic": {}}}, timeout=9)
    added = requests.post(f"{emulator}/{parent}/{name}:addVersion", json={"payload": {"data": payload}}, timeout=9)
    added.raise_for_status()
    return str(added.json()["name"])
