"""The same experiment with a base that is quantised to four bits while the adapter learns."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import Repository

pytestmark = pytest.mark.heavy


def test_qlora_learns_what_lora_learns(repository: Repository) -> None:
    repository.edit("  method: lora  ", "  method: qlora ", "support: quantise the base")
    repository.loraform("up", "--detach")

    repository.loraform("apply", "--wait")

    assert repository.right_answers("acme-support") >= 0.9
