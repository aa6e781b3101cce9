from __future__ import annotations

import pytest

from images.serve.container import Container, read_container
from images.serve.settings import Settings, read_settings, to_environment


def test_vertex_tells_port_routes_and_artifact() -> None:
    container = read_container(
        {"AIP_HTTP_PORT": "7080", "AIP_HEALTH_ROUTE": "/h", "AIP_PREDICT_ROUTE": "/p", "AIP_STORAGE_URI": "gs://b/a"}
    )

    assert container == Container(7080, "/h", "/p", "gs://b/a")


def test_routes_default_to_vertexs_own_where_it_names_the_deployment() -> None:
    container = read_container({"AIP_STORAGE_URI": "/a", "AIP_ENDPOINT_ID": "1", "AIP_DEPLOYED_MODEL_ID": "2"})

    assert container.health_route == "/v1/endpoints/1/deployedModels/2"
    assert container.predict_route == "/v1/endpoints/1/deployedModels/2:predict"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"AIP_STORAGE_URI": ""}, "AIP_STORAGE_URI is not set"),
        ({"AIP_HTTP_PORT": "http"}, "AIP_HTTP_PORT is not a port"),
        ({"AIP_HTTP_PORT": "70000"}, "AIP_HTTP_PORT is not a port"),
        ({"AIP_HEALTH_ROUTE": "health"}, "AIP_HEALTH_ROUTE is not a path"),
        ({"AIP_PREDICT_ROUTE": "/p/{x}"}, "AIP_PREDICT_ROUTE is not a path"),
    ],
)
def test_a_wrong_variable_is_named(changes: dict[str, str], reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        read_container({"AIP_STORAGE_URI": "/a", **changes})


def test_settings_reach_the_plugin_through_the_environment(settings: Settings) -> None:
    assert read_settings(to_environment(settings)) == settings


def test_the_plugin_refuses_to_be_made_outside_of_its_program() -> None:
    with pytest.raises(RuntimeError, match=r"python -m images\.serve"):
        read_settings({})
