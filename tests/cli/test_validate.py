from __future__ import annotations

from pathlib import Path

from tests.cli.conftest import Loraform, write_experiment


def test_every_problem_of_every_file_is_told_with_its_place_and_the_way_out(
    loraform: Loraform, repository: Path
) -> None:
    write_experiment(repository, "one", adapter={"lora_r": 8})
    write_experiment(repository, "two", training={"max_seq_length": 512, "learning_rat": 1e-4})

    answer = loraform("validate")

    assert answer.returncode == 1
    places = [line.split(" error: ")[0] for line in answer.stdout.splitlines() if " error: " in line]
    assert len(places) == 3
    assert places[0].startswith("experiments/one.yaml:")
    assert {place.count(":") for place in places} == {3}
    assert "`adapter.r`" in answer.stdout
    assert "`training.max_length`" in answer.stdout
    assert "Did you mean `learning_rate`?" in answer.stdout
    assert answer.stdout.endswith("2 manifests: 3 errors.\n")


def test_a_path_narrows_what_is_told(loraform: Loraform, repository: Path) -> None:
    write_experiment(repository, "one", adapter={"lora_r": 8})
    write_experiment(repository, "two")

    good, bad = loraform("validate", "experiments/two.yaml"), loraform("validate", "experiments/one.yaml")

    assert good.returncode == 0
    assert bad.returncode == 1


def test_a_path_that_is_not_there_is_an_error(loraform: Loraform) -> None:
    answer = loraform("validate", "experiments/nothing.yaml")

    assert answer.returncode == 1
    assert "does not exist" in answer.stderr


def test_a_file_of_the_repository_that_is_missing_is_found(loraform: Loraform, repository: Path) -> None:
    write_experiment(repository, "one", data={"train": "data/nothing.jsonl"})

    answer = loraform("validate")

    assert answer.returncode == 1
    assert "data/nothing.jsonl" in answer.stdout


def test_validation_needs_no_running_server(loraform: Loraform, repository: Path) -> None:
    write_experiment(repository, "one")

    answer = loraform("validate")

    assert answer.returncode == 0, answer.stdout
    assert not (repository / ".loraform/vertex").exists()


def test_a_plan_of_wrong_manifests_tells_them_and_plans_nothing(loraform: Loraform, repository: Path) -> None:
    write_experiment(repository, "one", adapter={"lora_r": 8})
    loraform("up", "--detach")

    answer = loraform("plan")

    assert answer.returncode == 1
    assert "experiments/one.yaml:" in answer.stderr
    assert "1 error in the manifests; nothing was planned." in answer.stderr
    assert answer.stdout == ""


def test_a_wrong_project_file_hides_no_other_problem(loraform: Loraform, repository: Path) -> None:
    (repository / "loraform.yaml").write_text("apiVersion: loraform/v1\nkind: Project\nflet: acme\n")
    write_experiment(repository, "one", adapter={"lora_r": 8})

    answer = loraform("validate")

    assert answer.returncode == 1
    assert "loraform.yaml:3:1: error:" in answer.stdout
    assert "experiments/one.yaml:" in answer.stdout
