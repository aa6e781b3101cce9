from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from images.serve.instances import SAMPLING, BadInstance, check_generation, pick_model, read_instance
from images.serve.settings import Settings
from schemas.keys import table


def test_a_string_is_one_user_turn_for_the_tuned_model(settings: Settings) -> None:
    question = read_instance("hello", {}, settings)

    assert question.chat
    assert question.fields == {
        "messages": [{"role": "user", "content": "hello"}],
        "model": "facts",
        "max_tokens": 8,
        "stop_token_ids": [7],
    }


SQL = "{% block user %}{{ schema }}: {{ question }}{% endblock %}{% block assistant %}{{ sql }}{% endblock %}"
BARE = "{% block prompt %}{{ q }} = {% endblock %}{% block completion %}{{ a }}{% endblock %}"


def test_a_record_is_rendered_as_the_training_rows_were(settings: Settings) -> None:
    own = {"record": {"schema": "t(a)", "question": "Where?"}, "temperature": 0}

    question = read_instance(own, {}, replace(settings, row_template=SQL))

    assert question.fields["messages"] == [{"role": "user", "content": "t(a): Where?"}]
    assert question.fields["temperature"] == 0


def test_a_prompt_is_the_one_field_of_the_template_even_without_a_chat_template(settings: Settings) -> None:
    question = read_instance("1+1", {}, replace(settings, row_template=BARE, chat=False))

    assert (question.chat, question.fields["prompt"]) == (False, "1+1 = ")


@pytest.mark.parametrize(
    ("instance", "template", "said"),
    [
        ("Where?", SQL, "with the fields question, schema"),
        ({"record": {"schema": "t"}}, SQL, "'question' is undefined"),
        ({"record": ["t"]}, SQL, "must be an object, not a list"),
        ({"record": {}, "raw": True}, SQL, "does not go with"),
        ({"record": {}, "prompt": "a"}, SQL, "has one of"),
        ({"record": {"q": "a"}}, None, "was trained without data.template"),
    ],
)
def test_a_record_that_does_not_fit_is_refused_with_a_reason(
    settings: Settings, instance: Any, template: str | None, said: str
) -> None:
    with pytest.raises(BadInstance, match=said):
        read_instance(instance, {}, replace(settings, row_template=template))


def test_with_a_template_turns_and_raw_prompts_go_as_they_are(settings: Settings) -> None:
    with_template = replace(settings, row_template=SQL)
    turns = [{"role": "user", "content": "a"}]

    chat = read_instance({"messages": turns}, {}, with_template)
    raw = read_instance({"prompt": "a", "raw": True}, {}, with_template)

    assert (chat.fields["messages"], raw.fields["prompt"]) == (turns, "a")


def test_own_keys_win_over_parameters_and_those_over_the_defaults(settings: Settings) -> None:
    question = read_instance({"prompt": "a", "top_k": 3}, {"top_k": 2, "max_tokens": 9}, settings)

    assert (question.fields["top_k"], question.fields["max_tokens"]) == (3, 9)


@pytest.mark.parametrize("alias", ["max_new_tokens", "max_completion_tokens"])
def test_other_names_of_max_tokens_mean_the_same(settings: Settings, alias: str) -> None:
    question = read_instance({"prompt": "a", alias: 3}, {"max_tokens": 9}, settings)

    assert question.fields["max_tokens"] == 3


def test_null_takes_a_default_away(settings: Settings) -> None:
    question = read_instance({"prompt": "a", "max_tokens": None}, {}, settings)

    assert "max_tokens" not in question.fields


@pytest.mark.parametrize("chat", [True, False])
def test_what_is_written_for_googles_container_is_a_chat_where_the_model_has_a_template(
    settings: Settings, chat: bool
) -> None:
    question = read_instance({"prompt": "a", "raw_response": True}, {}, replace(settings, chat=chat))

    assert question.chat is chat
    assert "raw_response" not in question.fields


def test_a_raw_prompt_goes_as_it_is_and_is_not_cut_at_openais_16_tokens(settings: Settings) -> None:
    question = read_instance({"prompt": "a", "raw": True}, {}, replace(settings, generation={}))

    assert not question.chat
    assert question.fields["prompt"] == "a"
    assert question.fields["max_tokens"] is None


def test_the_base_is_asked_by_name_and_without_the_adapters_stop_tokens(settings: Settings) -> None:
    question = read_instance("a", {"model": "base"}, settings)

    assert question.fields["model"] == "base"
    assert "stop_token_ids" not in question.fields


def test_stop_tokens_of_the_artifact_join_those_of_the_request(settings: Settings) -> None:
    question = read_instance({"prompt": "a", "stop_token_ids": [3, 7]}, {}, settings)

    assert question.fields["stop_token_ids"] == [3, 7]


def test_logprobs_are_counted_as_sampling_params_count_them(settings: Settings) -> None:
    chat = read_instance({"prompt": "a", "logprobs": 2}, {}, settings)
    raw = read_instance({"prompt": "a", "logprobs": 2, "raw": True}, {}, settings)

    assert (chat.fields["logprobs"], chat.fields["top_logprobs"]) == (True, 2)
    assert raw.fields["logprobs"] == 2


@pytest.mark.parametrize(
    ("instance", "reason"),
    [
        (5, "a prompt string or an object, not a number"),
        (None, "not null"),
        ({}, "one of"),
        ({"prompt": "a", "messages": [{}]}, "one of"),
        ({"prompt": 5}, "must be a string, not a number"),
        ({"prompt": ["a"]}, "must be a string, not a list"),
        ({"messages": []}, "list of turns"),
        ({"messages": "a"}, "list of turns"),
        ({"messages": [{}], "raw": True}, "does not go with"),
        ({"prompt": "a", "raw": "yes"}, "true or false"),
        ({"prompt": "a", "raw": True, "tools": []}, "tools"),
        ({"prompt": "a", "n": 2}, "one prediction"),
        ({"prompt": "a", "temprature": 1}, "did you mean 'temperature'"),
        ({"prompt": "a", "stream": True}, "unknown key 'stream'"),
        ({"prompt": "a", "model": 3}, "must be a string"),
    ],
)
def test_a_bad_instance_says_what_is_wrong(settings: Settings, instance: Any, reason: str) -> None:
    with pytest.raises(BadInstance, match=reason) as caught:
        read_instance(instance, {}, settings)

    assert caught.value.code == 400


def test_a_name_that_is_not_served_is_not_found_and_the_names_are_told(settings: Settings) -> None:
    with pytest.raises(BadInstance, match="facts, base") as caught:
        pick_model("../../etc/passwd", settings)

    assert caught.value.code == 404


def test_a_full_model_has_no_base_beside_it(settings: Settings) -> None:
    with pytest.raises(BadInstance, match="there is: facts"):
        pick_model("base", replace(settings, base=None))


def test_without_a_chat_template_a_prompt_must_be_raw(settings: Settings) -> None:
    with pytest.raises(BadInstance, match='"raw": true'):
        read_instance("a", {}, replace(settings, chat=False))


def test_a_wrong_default_in_the_spec_names_the_nearest_key() -> None:
    with pytest.raises(ValueError, match=r"'temperatur' in generation; did you mean 'temperature'"):
        check_generation({"temperatur": 1})


def test_every_default_that_a_manifest_may_give_is_known_to_the_server() -> None:
    keys = table()["generation"].keys

    given = {name for name, key in keys.items() if key.effect != "set by Loraform"}

    assert given - SAMPLING == set()
