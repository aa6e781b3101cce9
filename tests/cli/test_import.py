"""`loraform import live` on things that Google's plain SDK made, and their adoption by the next apply."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform, aiplatform_v1

from reconciler.cli.main import run
from reconciler.cli.target import LOCAL_PROJECT, LOCAL_REGION
from tests.cli.commits import commit
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import PROGRAMS
from tests.emulator_fixture import emulator_calls, forget_calls, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
PARENT = f"projects/{LOCAL_PROJECT}/locations/{LOCAL_REGION}"
MACHINE = {"machine_type": "g2-standard-12", "accelerator_type": "NVIDIA_L4", "accelerator_count": 1}


class Made:
    """What somebody made with the SDK: resource names."""

    def __init__(self, url: str) -> None:
        options = {"client_options": {"api_endpoint": url}, "credentials": AnonymousCredentials(), "transport": "rest"}
        self.url = url
        self.jobs = aiplatform_v1.JobServiceClient(**options)
        self.models = aiplatform_v1.ModelServiceClient(**options)
        self.endpoints = aiplatform_v1.EndpointServiceClient(**options)
        aiplatform.init(
            project=LOCAL_PROJECT, location=LOCAL_REGION, api_endpoint=url, api_transport="rest",
            credentials=AnonymousCredentials(), staging_bucket="gs://theirs",
        )  # fmt: skip

    def job(self) -> str:
        made = aiplatform.CustomJob(
            display_name="Tune Old Bot",
            labels={"team": "research"},
            worker_pool_specs=[
                {
                    "machine_spec": MACHINE,
                    "replica_count": 1,
                    "container_spec": {
                        "image_uri": "theirs/train",
                        "args": ["--lr", "1e-4", "--data=gs://theirs/rows"],
                        "env": [{"name": "HF_TOKEN", "value": "hush"}, {"name": "MODE", "value": "fast"}],
                    },
                }
            ],
        )
        made.submit(service_account="tuner@acme.iam.gserviceaccount.com", timeout=7200)
        return str(made.resource_name)

    def model(self, **labels: str) -> str:
        model = {
            "display_name": "old-bot",
            "labels": {"team": "research", **labels},
            "artifact_uri": "gs://theirs/weights",
            "container_spec": {
                "image_uri": "theirs/vllm",
                "args": [
                    "--model=gs://theirs/weights",
                    "--max-model-len=2048",
                    "--enforce-eager",
                    "--swap-space",
                    "16",
                ],
                "shared_memory_size_mb": 4096,
                "predict_route": "/p",
                "health_route": "/h",
            },
        }
        operation = self.models.upload_model(parent=PARENT, model=model)
        return str(operation.result(timeout=20).model)

    def endpoint(self, model: str = "", **labels: str) -> str:
        endpoint = {"display_name": "old-bot-prod", "labels": {"team": "research", **labels}}
        name = str(self.endpoints.create_endpoint(parent=PARENT, endpoint=endpoint).result(timeout=20).name)
        if model:
            resources = {"machine_spec": MACHINE, "min_replica_count": 1, "max_replica_count": 3}
            deployed = {"model": model, "display_name": "by hand", "dedicated_resources": resources}
            self.endpoints.deploy_model(endpoint=name, deployed_model=deployed, traffic_split={"0": 100}).result(
                timeout=30
            )
        return name


@pytest.fixture
def made(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Made]:
    monkeypatch.chdir(repository)
    programs = {**PROGRAMS, "theirs/train": "hold", "theirs/vllm": "stub"}
    write_experiment(repository, "other", adapter={"r": 2})
    with running_emulator(repository / ".loraform/vertex", programs) as url:
        yield Made(url)


def manifest(repository: Path, name: str) -> Any:
    return yaml.safe_load((repository / f"experiments/{name}.yaml").read_text())


def written(url: str) -> Counter[str]:
    calls = [call["method"].partition(".")[2] for call in emulator_calls(url)]
    forget_calls(url)
    words = ("Create", "Update", "Delete", "Deploy", "Undeploy", "Mutate", "Upload", "Cancel")
    return Counter(method for method in calls if method.startswith(words))


def test_an_endpoint_with_a_model_of_others_becomes_the_address_and_loses_nothing(
    made: Made, repository: Path, capsys: Captured
) -> None:
    name = made.endpoint(made.model())
    assert run(["apply", "other", "--wait"]) == 0
    written(made.url)
    capsys.readouterr()

    imported = run(["import", "live", "old-bot-prod", "--base", "./base", "--train", "rows.jsonl", "--name", "bot"])
    said, changed = capsys.readouterr().out, written(made.url)
    content = manifest(repository, "bot")
    valid = run(["validate"])
    capsys.readouterr()
    planned, plan = run(["plan", "--format", "json"]), json.loads(capsys.readouterr().out)
    applied = run(["apply", "--wait"])
    done = written(made.url)
    live = made.endpoints.get_endpoint(name=name)
    text = (repository / "experiments/bot.yaml").read_text()
    (repository / "experiments/bot.yaml").write_text(re.sub(r"adopt:\n  .*\n", "", text))
    calm = [run(["plan"]), run(["drift"]), run(["predict", "bot", "hello"])]
    capsys.readouterr()
    run(["status"])
    status = capsys.readouterr().out

    assert imported == 0, said
    assert changed == Counter()
    assert content["adopt"] == {"endpoint": name.rsplit("/", 1)[-1]}
    assert content["labels"] == {"team": "research"}
    assert content["serving"]["machine"] == MACHINE
    assert content["serving"]["max_replica_count"] == 3
    assert content["serving"]["engine"] == {"max_model_len": 2048, "enforce_eager": True}
    assert "--swap-space 16" in said
    assert "it stays, and keeps its 100 % of the traffic until somebody takes it off" in said
    assert valid == 0
    assert planned == 2
    mine = {(one["role"], one["action"], one["reason"]) for one in plan["changes"] if one["experiment"] == "bot"}
    assert ("endpoint", "update", "adopted") in mine
    assert not {action for _, action, _ in mine} & {"delete", "cancel"}
    assert applied == 0
    assert done["CreateEndpoint"] == done["UndeployModel"] == 0
    assert live.labels["loraform-experiment"] == "bot"
    assert live.labels["team"] == "research"
    assert {item.display_name.split("-")[0] for item in live.deployed_models} == {"by hand", "lf"}
    (theirs,) = [item.id for item in live.deployed_models if item.display_name == "by hand"]
    assert dict(live.traffic_split)[theirs] == 100
    assert calm == [0, 0, 0]
    assert re.search(r"bot +trained +version 1 +ready \w{6} +0 % +\d+ +in sync", status)


def test_a_model_of_others_gets_the_next_version(made: Made, repository: Path, capsys: Captured) -> None:
    name = made.model()

    imported = run(["import", "live", name, "--base", "./base", "--train", "rows.jsonl"])
    said = capsys.readouterr().out
    applied = run(["apply", "--wait"])
    versions = list(made.models.list_model_versions(name=name))
    again = run(["plan"])

    assert imported == 0
    assert "artifact_uri: gs://theirs/weights" in said
    assert "its weights were learnt elsewhere" in said
    assert manifest(repository, "old-bot")["adopt"] == {"model": name.rsplit("/", 1)[-1]}
    assert applied == 0, capsys.readouterr().err
    assert [dict(item.labels).get("loraform-experiment") for item in versions] in (["old-bot", None], [None, "old-bot"])
    assert again == 0


def test_of_a_job_of_others_the_machine_is_kept_and_what_it_learnt_is_listed(
    made: Made, repository: Path, capsys: Captured
) -> None:
    made.job()

    imported, said = run(["import", "live", "Tune Old Bot"]), capsys.readouterr().out
    content = manifest(repository, "tune-old-bot")
    broken = run(["validate"])

    assert imported == 0
    assert content["run"] == {
        "machine": MACHINE,
        "scheduling": {"timeout": "7200s"},
        "service_account": "tuner@acme.iam.gserviceaccount.com",
        "env": {"MODE": "fast"},
    }
    assert "adopt" not in content
    assert "hush" not in said + (repository / "experiments/tune-old-bot.yaml").read_text()
    for path in (
        "container_spec.image_uri: theirs/train",
        "container_spec.args: [--lr, 1e-4, --data=gs://theirs/rows]",
    ):
        assert path in said
    assert "HF_TOKEN: ..." in said
    assert "A job of others is no training of this experiment's" in said
    assert broken == 1


def test_what_another_fleet_owns_is_neither_imported_nor_taken(made: Made, repository: Path, capsys: Captured) -> None:
    name = made.endpoint(**{"loraform-fleet": "others", "loraform-experiment": "x", "loraform-role": "endpoint"})
    refused, why = run(["import", "live", name]), capsys.readouterr().err
    path = write_experiment(repository, "bot")
    path.write_text(path.read_text() + f"adopt: {{endpoint: '{name}'}}\n")
    written(made.url)

    code, said = run(["apply", "bot"]), capsys.readouterr().out
    changed = written(made.url)

    assert refused == 1
    assert "belongs to the fleet others" in why
    assert code == 3
    assert "the endpoint to adopt belongs to the fleet others" in said
    assert changed["UpdateEndpoint"] == changed["CreateEndpoint"] == 0
    assert dict(made.endpoints.get_endpoint(name=name).labels)["loraform-fleet"] == "others"


def test_an_experiment_that_has_an_endpoint_adopts_no_second_one(
    made: Made, repository: Path, capsys: Captured
) -> None:
    path = write_experiment(repository, "bot")
    commit(repository, "one")
    assert run(["apply", "--wait"]) == 0
    path.write_text(path.read_text() + f"adopt: {{endpoint: '{made.endpoint()}'}}\n")
    capsys.readouterr()

    code = run(["plan"])

    assert code == 3
    assert "bot has its own endpoint, lf-acme-bot: take `adopt` out" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["nothing-of-that-name"], "Nothing on local is called"),
        (["endpoints/4711"], "There is no endpoints/4711 on local."),
        (["datasets/1"], "datasets/1 is no custom job, model or endpoint."),
        (["projects/p/locations/europe-west1/endpoints/1"], "is not in us-central1"),
        (["twice"], "2 things are called `twice`."),
        (["old-bot-prod", "--name", "other"], "There is an experiment `other`"),
        (["old-bot-prod", "--name", "9 lives"], "cannot be the name of an experiment"),
    ],
)
def test_what_cannot_be_imported_says_why(made: Made, capsys: Captured, arguments: list[str], words: str) -> None:
    made.endpoint()
    for _ in range(2):
        made.endpoints.create_endpoint(parent=PARENT, endpoint={"display_name": "twice"}).result(timeout=20)

    code = run(["import", "live", *arguments])

    assert code == 1
    assert words in capsys.readouterr().err
