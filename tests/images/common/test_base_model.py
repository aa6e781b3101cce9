from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from images.common.base_model import MARKER, Way, fetch_base, is_hub_id, mirror_uri
from images.common.storage import storage_client
from schemas.training_spec import ModelSource

REVISION = "0" * 40


@pytest.mark.parametrize(
    ("name", "hub"),
    [("meta-llama/Llama-3.1-8B", True), ("gpt2", True), ("gs://b/m", False), ("/models/m", False), ("./m", False)],
)
def test_only_a_plain_name_is_a_hub_id(name: str, hub: bool) -> None:
    assert is_hub_id(name) is hub


def test_a_mirror_keeps_every_revision_apart() -> None:
    source = ModelSource(base="acme/m", revision=REVISION, mirror="gs://b/mirror/")

    assert mirror_uri("acme/m", source) == f"gs://b/mirror/acme/m/{REVISION}"
    assert mirror_uri("acme/tokenizer", source) == "gs://b/mirror/acme/tokenizer/main"


def test_a_complete_mirror_answers_without_the_hub(cloud: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STORAGE_EMULATOR_HOST", cloud)
    client: Any = storage_client()
    bucket = client.create_bucket("mirror-of-models")
    for name in ("config.json", MARKER):
        bucket.blob(f"acme/m/{REVISION}/{name}").upload_from_string("{}")
    source = ModelSource(base="acme/m", revision=REVISION, mirror="gs://mirror-of-models")

    folder = fetch_base(source, Way(tmp_path, lambda: client))

    assert (folder / "config.json").is_file()
