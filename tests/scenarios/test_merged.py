"""An adapter that is merged into its base to serve: trained once, merged once, served as a whole model."""

from __future__ import annotations

import pytest

from tests.scenarios.conftest import Repository

pytestmark = pytest.mark.heavy


def test_a_merged_model_answers_what_its_adapter_learnt_and_the_way_back_costs_no_run(repository: Repository) -> None:
    repository.edit("serving:\n", "serving:\n  form: merged\n", "support: serve it merged")
    repository.loraform("up", "--detach")

    repository.loraform("apply", "--wait")

    assert repository.calls("CreateCustomJob") == 2
    assert repository.right_answers("acme-support") >= 0.9

    repository.edit("  form: merged\n", "", "support: serve the adapter beside its base")
    created = {step["role"] for step in repository.plan()["changes"] if step["action"] == "create"}
    assert created == {"evaluation", "model"}
