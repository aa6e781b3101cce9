"""Templates that make rows of records, and questions of what a request brings."""

from __future__ import annotations

import pytest

from images.common.row_template import BadRecord, BadTemplate, read_template

SQL = """{% block system %}
You write SQL.
{% endblock %}
{% block user %}
{{ schema }}
{{ question }}
{% endblock %}
{% block assistant %}{{ sql }}{% endblock %}
"""
TURNS = (
    '{% block messages %}[{% for m in conversations %}{"role": '
    '{{ ("user" if m.from == "human" else "assistant") | tojson }}, "content": {{ m.value | tojson }} }'
    '{{ "," if not loop.last }}{% endfor %}]{% endblock %}'
)
PLAIN = "{% block prompt %}Q: {{ q }}\nA:\n{% endblock %}{% block completion %} {{ a }}\n{% endblock %}"


def test_blocks_named_after_roles_become_turns() -> None:
    template = read_template(SQL)

    row = template.row({"schema": "t(a)", "question": "How many?", "sql": "SELECT COUNT(*) FROM t"})

    assert row == {
        "messages": [
            {"role": "system", "content": "You write SQL."},
            {"role": "user", "content": "t(a)\nHow many?"},
            {"role": "assistant", "content": "SELECT COUNT(*) FROM t"},
        ]
    }
    assert template.chat


def test_a_question_needs_no_answer() -> None:
    template = read_template(SQL)

    asked = template.question({"schema": "t(a)", "question": "How many?"})

    assert [turn["role"] for turn in asked] == ["system", "user"]
    assert template.asked == ("question", "schema")


def test_a_system_block_that_says_nothing_is_no_turn() -> None:
    template = read_template(
        "{% block system %}{{ tone or '' }}{% endblock %}{% block user %}{{ q }}{% endblock %}"
        "{% block assistant %}{{ a }}{% endblock %}"
    )

    assert template.question({"tone": None, "q": "Hi"}) == [{"role": "user", "content": "Hi"}]


def test_a_plain_prompt_keeps_every_space_but_the_last_line_break() -> None:
    template = read_template(PLAIN)

    assert template.row({"q": "1+1", "a": "2"}) == {"prompt": "Q: 1+1\nA:", "completion": " 2"}
    assert template.question({"q": "1+1"}) == "Q: 1+1\nA:"
    assert not template.chat


def test_turns_of_another_shape_are_translated_by_a_loop() -> None:
    template = read_template(TURNS)
    record = {"conversations": [{"from": "human", "value": 'a "b" <c>'}, {"from": "gpt", "value": "d\ne"}]}

    assert template.row(record)["messages"] == [
        {"role": "user", "content": 'a "b" <c>'},
        {"role": "assistant", "content": "d\ne"},
    ]
    assert template.question(record) == [{"role": "user", "content": 'a "b" <c>'}]


def test_messages_that_ask_nothing_are_refused() -> None:
    with pytest.raises(BadRecord, match="nothing that is asked"):
        read_template(TURNS).question({"conversations": [{"from": "gpt", "value": "d"}]})


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("{% if %}", "line 1: "),
        ("no block", "it has none"),
        ("{% block user %}{% endblock %}", "it has user"),
        ("\n{% include 'a' %}" + PLAIN, "line 2: other files"),
        ("{% extends 'a' %}" + PLAIN, "other files"),
        ("{{ q | nofilter }}" + PLAIN, "nofilter"),
    ],
)
def test_a_template_that_cannot_be_one_is_refused_with_its_line(text: str, said: str) -> None:
    with pytest.raises(BadTemplate, match=said):
        read_template(text)


@pytest.mark.parametrize(
    ("block", "said"),
    [
        ("{{ missing }}", "'missing' is undefined"),
        ("{{ q.__class__ }}", "unsafe"),
        ("{{ q | int / 0 }}", "cannot be rendered"),
        ("{{ q + 1 }}", "cannot be rendered"),
    ],
)
def test_a_record_that_the_template_cannot_take_is_refused(block: str, said: str) -> None:
    template = read_template(f"{{% block prompt %}}{block}{{% endblock %}}{{% block completion %}}x{{% endblock %}}")

    with pytest.raises(BadRecord, match=said):
        template.row({"q": "1"})


@pytest.mark.parametrize("text", ["[", '{"role": "user"}', "[1]"])
def test_messages_must_be_a_list_of_turns_in_json(text: str) -> None:
    template = read_template("{% block messages %}{{ text }}{% endblock %}")

    with pytest.raises(BadRecord, match="JSON"):
        template.row({"text": text})


def test_a_template_cannot_change_the_record() -> None:
    template = read_template("{% block messages %}{{ turns.append(1) }}{% endblock %}")

    with pytest.raises(BadRecord, match="unsafe"):
        template.row({"turns": []})
