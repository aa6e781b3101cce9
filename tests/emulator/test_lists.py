"""Lists of every kind, asked with the documented filters, orders and pages, through Google's clients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from google.api_core import exceptions
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud, client, until

PARENT = "projects/lists/locations/us-central1"
NAMES = {"a1": {"team": "x"}, "a2": {"team": "y", "stage": "new"}, "b1": {}}
POOLS = [{"container_spec": {"image_uri": "test/hold"}, "machine_spec": {"machine_type": "n1-standard-4"}}]
STUDY = {
    "metrics": [{"metric_id": "loss", "goal": "MINIMIZE"}],
    "parameters": [{"parameter_id": "r", "double_value_spec": {"min_value": 1, "max_value": 2}}],
}
PIPELINE = {
    "pipelineInfo": {"name": "one-step"},
    "root": {"dag": {"tasks": {"step": {"componentRef": {"name": "step"}}}}},
    "components": {"step": {"executorLabel": "step"}},
    "deploymentSpec": {"executors": {"step": {"container": {"image": "test/hold"}}}},
}
TASK = "gs://google-cloud-aiplatform/schema/trainingjob/definition/custom_task_1.0.0.yaml"


@dataclass(frozen=True)
class Kind:
    """How one kind is made and listed; `shown` is its display name's field."""

    make: Callable[[Cloud, str, Mapping[str, str]], Any]
    listed: Callable[[Cloud, Mapping[str, Any]], Any]
    shown: str = "display_name"
    orders: tuple[str, ...] = ()


def pipelines(cloud: Cloud) -> Any:
    return client(cloud.url, v1.PipelineServiceClient)


def tunings(cloud: Cloud) -> Any:
    return client(cloud.url, v1.GenAiTuningServiceClient)


def study(cloud: Cloud, name: str, labels: Mapping[str, str]) -> Any:
    job = {"display_name": name, "labels": labels, "study_spec": STUDY, "trial_job_spec": {"worker_pool_specs": POOLS}}
    job |= {"max_trial_count": 1, "parallel_trial_count": 1}
    return cloud.jobs.create_hyperparameter_tuning_job(parent=PARENT, hyperparameter_tuning_job=job)


def pipeline(cloud: Cloud, name: str, labels: Mapping[str, str]) -> Any:
    job = {"display_name": name, "labels": labels, "runtime_config": {"gcs_output_directory": "gs://b/out"}}
    return pipelines(cloud).create_pipeline_job(parent=PARENT, pipeline_job={**job, "pipeline_spec": PIPELINE})


def training(cloud: Cloud, name: str, labels: Mapping[str, str]) -> Any:
    one = {"display_name": name, "labels": labels, "training_task_definition": TASK}
    inputs = {"workerPoolSpecs": [{"containerSpec": {"imageUri": "test/hold"}}]}
    return pipelines(cloud).create_training_pipeline(
        parent=PARENT, training_pipeline=v1.TrainingPipeline({**one, "training_task_inputs": inputs})
    )


def tuning(cloud: Cloud, name: str, labels: Mapping[str, str]) -> Any:
    spec = {"training_dataset_uri": "gs://no-such-bucket/rows.jsonl"}
    job = {"base_model": "gemini-2.5-flash", "tuned_model_display_name": name, "labels": labels}
    return tunings(cloud).create_tuning_job(parent=PARENT, tuning_job={**job, "supervised_tuning_spec": spec})


def model(cloud: Cloud, name: str, labels: Mapping[str, str]) -> Any:
    return cloud.model(image="test/stub", name=name, labels=dict(labels), model_id=name)


def endpoint(cloud: Cloud, name: str, labels: Mapping[str, str]) -> Any:
    return cloud.endpoint(name, display_name=name, labels=dict(labels))


def job(cloud: Cloud, name: str, labels: Mapping[str, str]) -> Any:
    return cloud.job(image="test/hold", name=name, labels=dict(labels))


TIMES = ("create_time", "update_time")
KINDS = {
    "jobs": Kind(job, lambda cloud, asked: cloud.jobs.list_custom_jobs(asked)),
    "studies": Kind(study, lambda cloud, asked: cloud.jobs.list_hyperparameter_tuning_jobs(asked)),
    "pipelines": Kind(pipeline, lambda cloud, asked: pipelines(cloud).list_pipeline_jobs(asked), orders=TIMES),
    "trainings": Kind(training, lambda cloud, asked: pipelines(cloud).list_training_pipelines(asked)),
    "tunings": Kind(tuning, lambda cloud, asked: tunings(cloud).list_tuning_jobs(asked), "tuned_model_display_name"),
    "models": Kind(model, lambda cloud, asked: cloud.models.list_models(asked), orders=(*TIMES, "display_name")),
    "endpoints": Kind(
        endpoint, lambda cloud, asked: cloud.endpoints.list_endpoints(asked), orders=(*TIMES, "display_name")
    ),
}
RUN = ("jobs", "studies", "pipelines", "trainings", "tunings")


@pytest.fixture(scope="module")
def made(url: str) -> Iterator[tuple[Cloud, Mapping[str, list[Any]]]]:
    """Three of every kind; what runs of them is cancelled at the end."""
    cloud = Cloud(url, PARENT)
    found = {kind: [KINDS[kind].make(cloud, name, labels) for name, labels in NAMES.items()] for kind in KINDS}
    yield cloud, found
    for one in found["jobs"]:
        cloud.jobs.cancel_custom_job(name=one.name)
    for one in found["studies"]:
        cloud.jobs.cancel_hyperparameter_tuning_job(name=one.name)
    for one in found["pipelines"]:
        pipelines(cloud).cancel_pipeline_job(name=one.name)
    for one in found["trainings"]:
        pipelines(cloud).cancel_training_pipeline(name=one.name)


Made = tuple[Cloud, Mapping[str, list[Any]]]


def listed(made: Made, kind: str, query: str = "", **asked: Any) -> list[str]:
    """The display names of what a list gives, in its order; the trainings' own custom jobs are not ours."""
    cloud, _ = made
    pages = KINDS[kind].listed(cloud, {"parent": PARENT, "filter": query, **asked})
    found = [getattr(one, KINDS[kind].shown) for one in pages]
    return [name for name in found if name in NAMES]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("labels.team=x", "a1"),
        ('labels.team="x"', "a1"),
        ("labels.team:*", "a1 a2"),
        ("labels:team", "a1 a2"),
        ("NOT labels:team", "b1"),
        ("-labels:team", "b1"),
        ("labels.team=x OR labels.team=y", "a1 a2"),
        ("labels.team:* AND labels.stage=new", "a2"),
        ("labels.team:* labels.stage=new", "a2"),
        ("labels.team:* AND NOT labels.stage=new", "a1"),
        ("(labels.team=x OR labels.team=y) AND NAME=a2", "a2"),
        ('NAME="a1"', "a1"),
        ('NAME!="a1" AND NAME:*', "a2 b1"),
        ('NAME:"a*"', "a1 a2"),
        ('NAME="b*"', "b1"),
        ('create_time>"2001-01-01T00:00:00Z" AND labels:team', "a1 a2"),
        ("create_time<2001-01-01T00:00:00Z", ""),
        ('labels.team=z OR NAME="b1"', "b1"),
    ],
)  # fmt: skip
def test_a_filter_finds_what_it_asks_for(made: Made, kind: str, query: str, names: str) -> None:
    found = listed(made, kind, query.replace("NAME", KINDS[kind].shown))

    assert sorted(set(found)) == names.split()


@pytest.mark.parametrize("kind", KINDS)
def test_times_are_compared_to_the_microsecond(made: Made, kind: str) -> None:
    _, found = made
    [_, second, _] = found[kind]
    moment = second.create_time.rfc3339() if hasattr(second.create_time, "rfc3339") else second.create_time.isoformat()

    assert "a2" in listed(made, kind, f'create_time="{moment}"')
    assert "a2" in listed(made, kind, f'create_time>="{moment}"')
    assert "a2" not in listed(made, kind, f'create_time>"{moment}"')
    assert "a2" not in listed(made, kind, f'create_time!="{moment}"')


@pytest.mark.parametrize("kind", RUN)
def test_states_are_filtered_by_name(made: Made, kind: str) -> None:
    asked = "PIPELINE_STATE_" if kind in ("pipelines", "trainings") else "JOB_STATE_"
    want = f"{asked}FAILED" if kind == "tunings" else f"{asked}RUNNING"  # these tunings find no rows

    until(lambda: listed(made, kind, f'state="{want}"'), lambda names: set(names) == set(NAMES), 60)

    assert listed(made, kind, f"state!={want}") == []
    assert listed(made, kind, f'state="{asked}SUCCEEDED"') == []
    for query in ("state=SOMEWHERE", f"state<{want}"):
        with pytest.raises(exceptions.BadRequest, match="Invalid filter"):
            listed(made, kind, query)


@pytest.mark.parametrize("kind", KINDS)
def test_pages_are_followed_and_belong_to_their_filter(made: Made, kind: str) -> None:
    cloud, _ = made
    first = next(iter(KINDS[kind].listed(cloud, {"parent": PARENT, "filter": "labels:team", "page_size": 1}).pages))

    assert sorted(set(listed(made, kind, "labels:team", page_size=1))) == ["a1", "a2"]
    assert first.next_page_token
    with pytest.raises(exceptions.BadRequest, match="page token is invalid"):
        listed(made, kind, "labels.team=x", page_token=first.next_page_token)
    with pytest.raises(exceptions.BadRequest, match="must not be negative"):
        listed(made, kind, page_size=-1)


@pytest.mark.parametrize(("kind", "order"), [(kind, order) for kind, one in KINDS.items() for order in one.orders])
def test_what_can_be_ordered_comes_in_order(made: Made, kind: str, order: str) -> None:
    cloud, _ = made

    def values(asked: str) -> list[Any]:
        return [getattr(one, order) for one in KINDS[kind].listed(cloud, {"parent": PARENT, "order_by": asked})]

    assert values(order) == sorted(values(order))
    assert values(f"{order} desc") == sorted(values(order), reverse=True)
    assert len(values(order)) >= len(NAMES)
    with pytest.raises(exceptions.BadRequest, match="Invalid order_by"):
        values("labels")


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("query", ["nonsense=1", "labels.team=", 'create_time>"yesterday"', "(labels:team"])
def test_a_filter_that_makes_no_sense_is_refused(made: Made, kind: str, query: str) -> None:
    with pytest.raises(exceptions.BadRequest, match="Invalid filter"):
        listed(made, kind, query)


@pytest.mark.parametrize(
    ("kind", "query"),
    [
        ("models", 'model="a1"'),
        ("endpoints", "endpoint=a1"),
        ("pipelines", 'pipeline_name="one-step" AND labels.team=x'),
        ("pipelines", 'pipeline_job_user_id:"one-step*" AND labels.team=x'),
        ("trainings", f'training_task_definition="{TASK}" AND labels.team=x'),
    ],
)
def test_fields_that_only_one_kind_has_are_filtered_by(made: Made, kind: str, query: str) -> None:
    assert listed(made, kind, query) == ["a1"]
    assert "a1" not in listed(made, kind, query.replace("=", "!=", 1) if ":" not in query else f"NOT {query}")
