"""Values and folders that the serving tests share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from images.serve.settings import Settings


@pytest.fixture
def settings() -> Settings:
    return Settings("facts", "/health", "/predict", generation={"max_tokens": 8}, stop_token_ids=(7,))


@pytest.fixture
def write_artifact(tmp_path: Path) -> Callable[..., Path]:
    """An artifact folder with these files; a value that is not text is written as JSON."""

    def write(**files: object) -> Path:
        folder = tmp_path / "artifact"
        folder.mkdir(exist_ok=True)
        for name, content in files.items():
            suffix = ".jinja" if name == "chat_template" else ".json"
            text = content if isinstance(content, str) else json.dumps(content)
            (folder / f"{name}{suffix}").write_text(text, encoding="utf-8")
        return folder

    return write
