from __future__ import annotations

import json

import pytest

from reconciler.emulator.wire.codec import new, to_json
from reconciler.emulator.wire.texts import Texts, text_of
from tests.emulator.test_printing import filled

LISTS = ("ListCustomJobsResponse", "ListModelsResponse", "ListEndpointsResponse", "ListPipelineJobsResponse")


@pytest.mark.parametrize("name", [*LISTS, "CustomJob", "Model", "google.longrunning.ListOperationsResponse"])
@pytest.mark.parametrize("numbers", [False, True])
def test_the_text_of_an_answer_is_its_json_the_first_time_and_from_memory(name: str, numbers: bool) -> None:
    texts, message = Texts(), filled(new(name))

    found = [texts.of(message, numbers=numbers) for _ in range(2)]

    assert [json.loads(text) for text in found] == [to_json(message, numbers=numbers)] * 2


@pytest.mark.parametrize("name", LISTS)
def test_an_empty_list_is_an_empty_object(name: str) -> None:
    assert Texts().of(new(name)) == b"{}"


def test_what_has_changed_is_printed_anew() -> None:
    texts, message = Texts(), new("ListModelsResponse", models=[new("Model", name="a", display_name="one")])
    texts.of(message)

    message.models[0].display_name = "two"

    assert json.loads(texts.of(message)) == {"models": [{"name": "a", "displayName": "two"}]}


def test_equal_bytes_of_another_type_and_enums_as_numbers_are_told_apart() -> None:
    texts, state = Texts(), {"name": "a", "state": "JOB_STATE_RUNNING"}
    jobs = new("ListCustomJobsResponse", custom_jobs=[new("CustomJob", **state)])
    texts.of(new("ListModelsResponse", models=[new("Model", name="a")]))

    assert json.loads(texts.of(jobs)) == {"customJobs": [state]}
    assert json.loads(texts.of(jobs, numbers=True)) == {"customJobs": [{"name": "a", "state": 3}]}
    assert json.loads(texts.of(new("ListEndpointsResponse", endpoints=[new("Endpoint", name="a")]))) == {
        "endpoints": [{"name": "a"}]
    }


def test_memory_that_is_full_is_emptied_and_answers_stay_the_same() -> None:
    models = [new("Model", name=f"model-{number}") for number in range(20)]
    texts = Texts(room=100)

    found = [texts.of(new("ListModelsResponse", models=models)) for _ in range(3)]

    assert found == [text_of({"models": [{"name": f"model-{number}"} for number in range(20)]})] * 3
