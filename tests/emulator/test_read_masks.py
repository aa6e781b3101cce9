"""Read masks: every list that takes one gives the fields that it names, and no others."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from google.api_core import exceptions
from google.auth.credentials import AnonymousCredentials
from google.cloud import aiplatform
from google.cloud import aiplatform_v1 as v1

from tests.emulator.clients import Cloud
from tests.emulator.test_hyperparameters import tune
from tests.emulator.test_pipelines import pipelines, spec, start


def custom_jobs(cloud: Cloud, *paths: str) -> Any:
    cloud.job(image="test/hold", name="mine", labels={"team": "x", "kind": "y"})
    return next(iter(cloud.jobs.list_custom_jobs(request={"parent": cloud.parent, "read_mask": {"paths": paths}})))


def studies(cloud: Cloud, *paths: str) -> Any:
    tune(cloud, display_name="mine", labels={"team": "x", "kind": "y"})
    request = {"parent": cloud.parent, "read_mask": {"paths": paths}}
    return next(iter(cloud.jobs.list_hyperparameter_tuning_jobs(request=request)))


def models(cloud: Cloud, *paths: str) -> Any:
    cloud.model(name="mine", labels={"team": "x", "kind": "y"})
    return next(iter(cloud.models.list_models(request={"parent": cloud.parent, "read_mask": {"paths": paths}})))


def versions(cloud: Cloud, *paths: str) -> Any:
    model = cloud.model(name="mine", labels={"team": "x", "kind": "y"})
    return next(iter(cloud.models.list_model_versions(request={"name": model.name, "read_mask": {"paths": paths}})))


def endpoints(cloud: Cloud, *paths: str) -> Any:
    cloud.endpoint(display_name="mine", labels={"team": "x", "kind": "y"})
    return next(iter(cloud.endpoints.list_endpoints(request={"parent": cloud.parent, "read_mask": {"paths": paths}})))


LISTS = [custom_jobs, studies, models, versions, endpoints]


@pytest.mark.parametrize("listed", LISTS, ids=lambda one: one.__name__)
def test_only_the_fields_of_the_mask_are_given(cloud: Cloud, listed: Callable[..., Any]) -> None:
    found = listed(cloud, "display_name", "labels.team")

    assert type(found)(display_name="mine", labels={"team": "x"}) == found


@pytest.mark.parametrize("listed", LISTS, ids=lambda one: one.__name__)
def test_a_star_asks_for_everything(cloud: Cloud, listed: Callable[..., Any]) -> None:
    found = listed(cloud, "*")

    assert (found.display_name, len(found.labels), bool(found.name)) == ("mine", 2, True)


@pytest.mark.parametrize("path", ["shoe_size", "labels.a.b.c.d", "display_name.x", "job_spec.shoe_size"])
def test_a_path_that_leads_nowhere_is_refused_unless_it_is_a_key(cloud: Cloud, path: str) -> None:
    if path.startswith("labels"):
        assert custom_jobs(cloud, path) == v1.CustomJob()
    else:
        with pytest.raises(exceptions.BadRequest, match=path.replace(".", r"\.")):
            custom_jobs(cloud, path)


def test_a_mask_goes_into_the_compiled_spec_of_a_pipeline(cloud: Cloud) -> None:
    start(cloud, word="x")
    paths = ["display_name", "pipeline_spec.pipeline_info", "pipeline_spec.root.none"]

    request = {"parent": cloud.parent, "read_mask": {"paths": paths}}
    found = next(iter(pipelines(cloud).list_pipeline_jobs(request=request)))

    assert v1.PipelineJob.to_dict(found)["pipeline_spec"] == {"pipelineInfo": spec()["pipelineInfo"], "root": {}}
    assert (found.display_name, found.service_account) == ("a pipeline", "")


@pytest.mark.filterwarnings("ignore:The 'warn' method is deprecated:DeprecationWarning")  # the SDK's own
def test_the_sdks_simple_view_of_pipelines_leaves_out_what_it_does_not_show(cloud: Cloud) -> None:
    start(cloud, word="x")
    aiplatform.init(
        project=cloud.parent.split("/")[1],
        location="us-central1",
        api_endpoint=cloud.url,
        api_transport="rest",
        credentials=AnonymousCredentials(),
    )

    try:
        (simple,) = aiplatform.PipelineJob.list(enable_simple_view=True)
        (whole,) = aiplatform.PipelineJob.list()
    finally:
        aiplatform.initializer.global_pool.shutdown(wait=True)

    assert (simple.display_name, simple.gca_resource.service_account) == ("a pipeline", "")
    assert whole.gca_resource.service_account.endswith("-compute@developer.gserviceaccount.com")
