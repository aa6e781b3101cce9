"""The quickstart, and what git changes bring about afterwards: one story, told in the order of this file."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.scenarios.conftest import Repository

pytestmark = pytest.mark.heavy

NAME = "acme-support"


@pytest.fixture(scope="module")
def started(repository: Repository) -> str:
    """The output of the first quickstart, which leaves the embedded Vertex AI running."""
    return repository.loraform("quickstart", "--keep")


def changes(plan: dict[str, Any]) -> dict[str, str]:
    """What the plan does now, by role."""
    acting = ("create", "update", "delete", "cancel")
    return {item["role"]: item["action"] for item in plan["changes"] if item["action"] in acting}


def test_the_tuned_model_knows_what_the_base_does_not(started: str) -> None:
    scores = {line.split()[0]: int(line.split()[1]) for line in started.splitlines() if "exactly right" in line}

    assert scores["tuned"] >= 108
    assert scores["base"] < 24


def test_after_a_converged_apply_the_plan_is_in_sync(repository: Repository, started: str) -> None:
    text = repository.loraform("plan", expect=0)

    assert "in sync" in text


def test_googles_sdk_shows_the_same_truth(repository: Repository, started: str) -> None:
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import aiplatform

    aiplatform.init(
        project="loraform-local",
        location="us-central1",
        api_endpoint=repository.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )

    (job,) = aiplatform.CustomJob.list(filter="labels.loraform-fleet=acme")
    (model,) = aiplatform.Model.list()
    (endpoint,) = aiplatform.Endpoint.list()

    assert job.state.name == "JOB_STATE_SUCCEEDED"
    assert model.name == endpoint.name == f"lf-acme-{NAME}"
    (deployed,) = endpoint.list_models()
    assert endpoint.traffic_split == {deployed.id: 100}
    assert deployed.display_name.removeprefix("lf-") in {*model.version_aliases, deployed.display_name[3:]}


def test_a_question_on_the_command_line_is_answered(repository: Repository, started: str) -> None:
    question, answer = repository.first_row()

    assert repository.loraform("predict", NAME, question).strip() == answer
    assert repository.loraform("predict", NAME, question, "--base").strip() != answer


def test_status_says_that_all_is_well(repository: Repository, started: str) -> None:
    assert NAME in repository.loraform("status")


def test_a_second_quickstart_reuses_the_trained_adapter(repository: Repository, started: str) -> None:
    repository.loraform("down")

    again = repository.loraform("quickstart", "--keep")

    assert "exactly right" in again
    assert repository.calls("CreateCustomJob") == 0
    assert repository.calls("DeployModel") == 0


def test_another_owner_changes_nothing(repository: Repository, started: str) -> None:
    repository.edit("owner: team-support", "owner: team-sales", "support: hand over to sales")

    assert "in sync" in repository.loraform("plan", expect=0)


def test_more_replicas_are_planned_as_an_update_in_place(repository: Repository, started: str) -> None:
    repository.edit("max_replica_count: 1", "max_replica_count: 2", "support: allow two replicas")

    plan = repository.plan()

    assert changes(plan) == {"deployment": "update"}
    repository.loraform("apply", "--wait")
    assert "in sync" in repository.loraform("plan", expect=0)


def test_an_engine_setting_registers_and_rolls_without_training(repository: Repository, started: str) -> None:
    repository.edit("max_model_len: 512", "max_model_len: 384", "support: shorter context")

    plan = repository.plan()

    assert changes(plan)["model"] == "create"
    assert "training" not in changes(plan)
    assert [item["role"] for item in plan["follow"]].count("deployment") >= 2
    repository.loraform("apply", "--wait")
    assert "in sync" in repository.loraform("plan", expect=0)
    assert repository.calls("CreateCustomJob") == 0
    assert repository.right_answers(NAME) >= 0.9


def test_another_rank_is_a_new_run_that_names_the_field(repository: Repository, started: str) -> None:
    repository.edit("  r: 32", "  r: 16", "support: try a smaller rank")

    plan = repository.plan()
    text = repository.loraform("plan", expect=2)

    assert changes(plan) == {"training": "create"}
    (training,) = [item for item in plan["changes"] if item["role"] == "training"]
    assert {"path": "adapter.r", "before": 32, "after": 16, "effect": "retrain"} in training["fields"]
    assert "adapter.r" in text
    repository.loraform("apply", "--wait")
    assert repository.calls("CreateCustomJob") == 1


def test_a_revert_redeploys_the_old_model_and_trains_nothing(repository: Repository, started: str) -> None:
    repository.git("revert", "--no-edit", "HEAD")

    plan = repository.plan()

    assert "training" not in changes(plan)
    assert "deployment" in changes(plan)
    repository.loraform("apply", "--wait")
    assert "in sync" in repository.loraform("plan", expect=0)
    assert repository.calls("CreateCustomJob") == 1
    assert repository.right_answers(NAME) >= 0.9


def test_suspending_frees_the_machine_and_resuming_brings_it_back(repository: Repository, started: str) -> None:
    repository.loraform("suspend", NAME)

    assert "suspended" in repository.loraform("plan", expect=0)
    repository.loraform("resume", NAME)
    assert changes(repository.plan()) == {"deployment": "create"}


def test_the_log_of_the_training_is_kept(repository: Repository, started: str) -> None:
    log = repository.loraform("logs", NAME)

    assert "420 rows" in log
    assert re.search(r"step \d+ of 324, loss 0\.", log)


def test_destroying_leaves_nothing_that_costs(repository: Repository, started: str) -> None:
    repository.loraform("destroy", NAME, "--yes")

    assert changes(repository.plan()) == {"endpoint": "create"}
