from __future__ import annotations

import json

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from reconciler.repo.yaml_nodes import MAX_NODES, scalar
from reconciler.repo.yaml_text import read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2e-4", 2e-4),
        ("1e3", 1000.0),
        (".5", 0.5),
        ("3.", 3.0),
        ("0123", 123),
        ("-7", -7),
        ("0o17", 15),
        ("0xff", 255),
        ("true", True),
        ("False", False),
        ("~", None),
        ("null", None),
        ("no", "no"),
        ("on", "on"),
        ("yes", "yes"),
        ("1:30", "1:30"),
        ("1_000", "1_000"),
        ("2026-11-20", "2026-11-20"),
        ("0b11", "0b11"),
        ("1.2.3", "1.2.3"),
        ("+", "+"),
        ("=", "="),
    ],
)
def test_plain_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    (document,), problems = read(f"key: {text}\n".encode())

    assert problems == []
    assert document.value == {"key": value}
    assert isinstance(document.value, dict)
    assert type(document.value["key"]) is type(value)


@pytest.mark.parametrize("text", ["'1'", '"1"', "!!str 1", "|-\n  1"])
def test_what_is_quoted_is_a_text(text: str) -> None:
    (document,), _ = read(f"key: {text}\n".encode())

    assert document.value == {"key": "1"}


def test_keys_are_texts_whatever_they_look_like() -> None:
    (document,), _ = read(b"1: a\ntrue: b\n~: c\n")

    assert document.value == {"1": "a", "true": "b", "~": "c"}


def test_an_alias_means_what_its_anchor_stands_for() -> None:
    (document,), _ = read(b"a: &x {r: 1}\nb: *x\nc: [*x, *x]\n")

    assert document.value == {"a": {"r": 1}, "b": {"r": 1}, "c": [{"r": 1}, {"r": 1}]}
    assert document.problems == []


def test_aliases_may_not_explode() -> None:
    wide = ", ".join(["*a"] * (MAX_NODES // 10))

    (document,), _ = read(f"a: &a [1, 2, 3, 4, 5, 6, 7, 8, 9]\nb: [{wide}]\n".encode())

    assert [problem.rule for problem in document.problems] == ["exploding-alias"]


@pytest.mark.parametrize("raw", [b"[" * 400_000, b"- " * 400_000, b"{a: " * 200_000, b"? " * 400_000])
def test_nesting_that_would_overflow_the_stack_of_the_parser_is_refused(raw: bytes) -> None:
    documents, problems = read(raw)

    assert documents == []
    assert [problem.rule for problem in problems] == ["too-deep"]


def test_the_documents_before_a_syntax_error_are_kept() -> None:
    documents, problems = read(b"a: 1\n---\nb: [1\n")

    assert [document.value for document in documents] == [{"a": 1}]
    assert [(problem.rule, problem.spot) for problem in problems] == [("yaml-syntax", (3, 4))]


def test_columns_count_characters_and_not_bytes() -> None:
    (document,), _ = read("{name: Zoë, r: 16}\n".encode())

    assert document.locate(("r",)) == (1, 16)


@given(st.binary(max_size=200))
@example(b"\xff\xfe")
@example(b"%YAML 9.9\n---\n")
@example(b"%TAG ! tag:x,2000:\n--- !a\n")
@example(b"--- !!binary aGk=\n")
@example(b"\x85a: 1\xc2\x85b: 2")
def test_no_bytes_make_the_reader_raise(raw: bytes) -> None:
    documents, problems = read(raw)

    assert documents or problems


SNIPPETS = st.sampled_from(
    [
        "a",
        ": ",
        "\n",
        "  ",
        "- ",
        "[",
        "]",
        "{",
        "}",
        "&x ",
        "*x",
        "!t ",
        "'",
        '"',
        "#",
        "|",
        ">",
        "? ",
        "---\n",
        "\t",
        "1",
        "é",
    ]
)


@given(st.lists(SNIPPETS, max_size=30).map("".join))
def test_what_is_almost_yaml_gives_plain_values_and_places_inside_the_text(text: str) -> None:
    documents, problems = read(text.encode())

    lines = text.count("\n") + 2
    for problem in [*problems, *(item for document in documents for item in document.problems)]:
        assert 1 <= problem.spot.line <= lines
        assert problem.spot.column >= 1
    for document in documents:
        json.dumps(document.value, allow_nan=False)


@given(st.text(alphabet="+-.0123456789eExXoOinfINFaNtrue:_", max_size=12))
def test_a_scalar_is_a_json_value_or_refused(text: str) -> None:
    try:
        value = scalar(text)
    except OverflowError:
        return

    assert value is None or isinstance(value, (bool, int, float, str))
    json.dumps(value, allow_nan=False)
