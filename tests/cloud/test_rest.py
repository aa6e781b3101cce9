from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest
from google.cloud import aiplatform_v1
from google.cloud.aiplatform_v1.services.endpoint_service.transports import rest_base as endpoint_rest
from google.cloud.aiplatform_v1.services.job_service.transports import rest_base as job_rest
from google.cloud.aiplatform_v1.services.model_service.transports import rest_base as model_rest

from reconciler.cloud.rest import MAPS, PAGED, camel, snake, with_proto_names
from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import take_snapshot
from reconciler.cloud.vertex import _plain
from tests.cloud.story import already_trained, settle
from tests.cloud.wishes import whole
from tests.emulator_fixture import emulator_calls, forget_calls

BASES = (
    job_rest._BaseJobServiceRestTransport,
    model_rest._BaseModelServiceRestTransport,
    endpoint_rest._BaseEndpointServiceRestTransport,
)

FREE = ("Struct", "Value", "ListValue", "Any")


def bindings(method: str) -> Iterator[str]:
    for base in BASES:
        found = getattr(base, f"_Base{method}", None)
        if found is not None:
            yield from (option["uri"] for option in found._get_http_options() if option["method"] == "get")


@pytest.mark.parametrize("method", sorted(PAGED))
def test_a_list_is_where_googles_own_client_looks_for_it(method: str) -> None:
    ours = PAGED[method].format(parent="{parent=projects/*/locations/*}", name="{name=projects/*/locations/*/models/*}")

    assert f"/v1/{ours}" in set(bindings(method))


@pytest.mark.parametrize("name", ["CustomJob", "Model", "Endpoint"])
def test_the_fields_with_keys_of_somebodys_own_are_known(name: str) -> None:
    assert set(free_fields(getattr(aiplatform_v1, name).pb().DESCRIPTOR, set())) <= MAPS


def free_fields(kind: Any, seen: set[str]) -> Iterator[str]:
    """The names of the fields in whose JSON the keys are not the proto's, anywhere below."""
    if kind.full_name in seen:
        return
    seen.add(kind.full_name)
    for field in kind.fields:
        nested = field.message_type
        if nested is None:
            continue
        if nested.GetOptions().map_entry or nested.full_name.removeprefix("google.protobuf.") in FREE:
            yield field.json_name
        else:
            yield from free_fields(nested, seen)


def test_names_go_from_one_spelling_to_the_other_and_back() -> None:
    assert (camel("custom_jobs"), camel("models"), snake("customJobs")) == ("customJobs", "models", "custom_jobs")


def test_a_users_own_keys_are_left_alone() -> None:
    wire = {"displayName": "x", "labels": {"myKey": "a"}, "deployedModels": [{"createTime": "t"}]}

    found = with_proto_names(wire)

    assert found == {"display_name": "x", "labels": {"myKey": "a"}, "deployed_models": [{"create_time": "t"}]}


def test_lists_read_as_json_say_what_googles_own_types_say(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    settle(site, desired)
    request = {"parent": site.target.parent, "filter": f"labels.loraform-fleet={site.target.fleet}"}
    lists = (
        ("ModelService", "ListModels", "models", aiplatform_v1.ListModelsRequest),
        ("EndpointService", "ListEndpoints", "endpoints", aiplatform_v1.ListEndpointsRequest),
    )

    for service, method, items, make in lists:
        client = site.vertex._google_client(service, "")
        pages = getattr(client, snake(method))(make(request)).pages
        theirs = [_plain(item) for page in pages for item in getattr(page, items)]

        assert list(site.vertex.list(service, method, request, items)) == theirs != []


def test_a_snapshot_of_a_fleet_in_sync_is_seven_listings_and_nothing_else(site: Site, url: str) -> None:
    desired = [resource for number in range(3) for resource in whole(site.target, f"bot-{number}")]
    for resource in desired:
        if resource.once:
            already_trained(site, resource)
    settle(site, desired)
    forget_calls(url)

    take_snapshot(site.vertex, site.storage, site.target, desired)

    assert Counter(call["method"].rsplit(".", 1)[-1] for call in emulator_calls(url)) == {
        "ListCustomJobs": 1,
        "ListHyperparameterTuningJobs": 1,
        "ListModels": 1,
        "ListEndpoints": 1,
        "GET": 3,
    }
