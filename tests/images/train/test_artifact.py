from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from images.train.artifact import digest_of


def an_adapter(folder: Path, value: float = 1.0, **config: Any) -> Path:
    import torch
    from safetensors.torch import save_file

    folder.mkdir(exist_ok=True)
    save_file({"b": torch.full((2, 2), value), "a": torch.zeros(3)}, folder / "adapter_model.safetensors")
    (folder / "adapter_config.json").write_text(json.dumps({"r": 4, "target_modules": ["k", "q"], **config}))
    return folder


def test_equal_adapters_have_equal_digests(tmp_path: Path) -> None:
    assert digest_of(an_adapter(tmp_path / "one")) == digest_of(an_adapter(tmp_path / "two"))


def test_the_digest_does_not_depend_on_the_layout_of_the_config(tmp_path: Path) -> None:
    one, two = an_adapter(tmp_path / "one"), an_adapter(tmp_path / "two")
    (two / "adapter_config.json").write_text('{"target_modules":   ["k", "q"],\n "r": 4}')

    assert digest_of(one) == digest_of(two)


@pytest.mark.parametrize("change", [{"value": 2.0}, {"r": 8}], ids=["tensor", "config"])
def test_another_tensor_or_setting_is_another_digest(tmp_path: Path, change: dict[str, Any]) -> None:
    assert digest_of(an_adapter(tmp_path / "one")) != digest_of(an_adapter(tmp_path / "two", **change))


def test_what_is_not_the_result_is_not_in_the_digest(tmp_path: Path) -> None:
    one = an_adapter(tmp_path / "one")
    before = digest_of(one)

    (one / "metrics.json").write_text("{}")

    assert digest_of(one) == before
