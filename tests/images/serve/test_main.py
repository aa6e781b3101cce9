from __future__ import annotations

import json
from pathlib import Path

import pytest

from images.serve.container import Container
from images.serve.main import fetch_all, main, process_environment, settings_of
from schemas.serving_spec import ServingSpec


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "Invalid JSON"),
        ('{"experiment": "facts"}', "model: Field required"),
        ('{"experiment": "a", "model": {"base": "b"}, "colour": 1}', "colour: Extra inputs"),
        ('{"experiment": "a", "model": {"base": "b"}, "generation": {"top_kk": 1}}', "did you mean 'top_k'"),
        ('{"experiment": "a", "model": {"base": "b"}}', "AIP_STORAGE_URI is not set"),
    ],
)
def test_a_wrong_spec_ends_with_2_and_one_line(
    text: str, reason: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIP_STORAGE_URI", raising=False)

    code = main(["--spec", text])

    line = json.loads(capsys.readouterr().err)
    assert code == 2
    assert line["severity"] == "ERROR"
    assert reason in line["message"]


def test_the_plugin_joins_those_that_the_operator_named() -> None:
    spec = ServingSpec.model_validate({"experiment": "a", "model": {"base": "b"}})

    wanted = process_environment(spec, {"VLLM_PLUGINS": "other,loraform", "VLLM_NO_USAGE_STATS": "0"}, cpu=False)

    assert wanted["VLLM_PLUGINS"] == "other,loraform"
    assert "VLLM_NO_USAGE_STATS" not in wanted
    assert "VLLM_ENABLE_V1_MULTIPROCESSING" not in wanted


def test_local_folders_are_used_where_they_lie(tmp_path: Path) -> None:
    for name, file in (("base", "config.json"), ("artifact", "adapter_config.json")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).write_text("{}", encoding="utf-8")
    spec = ServingSpec.model_validate({"experiment": "a", "model": {"base": str(tmp_path / "base")}})
    container = Container(8080, "/health", "/predict", str(tmp_path / "artifact"))

    folders = fetch_all(spec, container, tmp_path / "cache")

    assert (folders.base, folders.artifact.folder) == (tmp_path / "base", tmp_path / "artifact")
    assert not (tmp_path / "cache").exists()
    assert settings_of(spec, folders, container).chat is False
