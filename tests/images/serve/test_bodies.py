from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from images.serve.bodies import BadBody, Batch, OpenAIBody, read_body


def test_instances_and_parameters_are_a_batch() -> None:
    body = read_body(b'{"instances": ["a", 3], "parameters": {"top_k": 1}}')

    assert body == Batch(["a", 3], {"top_k": 1})


def test_instances_win_over_openai_keys() -> None:
    body = read_body(b'{"instances": ["a"], "messages": []}')

    assert isinstance(body, Batch)


@pytest.mark.parametrize(("body", "chat"), [(b'{"messages": []}', True), (b'{"prompt": "a"}', False)])
def test_messages_or_prompt_at_the_top_are_an_openai_body(body: bytes, chat: bool) -> None:
    read = read_body(body)

    assert isinstance(read, OpenAIBody)
    assert read.chat is chat


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "not JSON"),
        (b"{nope", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'{"instances": [NaN]}', "NaN is not a JSON number"),
        (b"\xff\xfe\xfa", "not Unicode"),
        (b'{"instances": ["\\ud800"]}', "not Unicode"),
        (b"[1]", "must be an object"),
        (b"null", "not null"),
        (b"{}", "neither"),
        (b'{"instances": {}}', "must be a list, not an object"),
        (b'{"instances": []}', "empty"),
        (b'{"instances": ["a"], "parameters": [1]}', "must be an object, not a list"),
    ],
)
def test_a_body_of_neither_contract_is_refused_with_its_reason(body: bytes, reason: str) -> None:
    with pytest.raises(BadBody, match=reason):
        read_body(body)


@given(st.binary() | st.recursive(st.none() | st.floats() | st.text(), st.lists).map(lambda v: json.dumps(v).encode()))
def test_junk_is_never_anything_but_a_bad_body(body: bytes) -> None:
    with pytest.raises(BadBody):
        read_body(body)
