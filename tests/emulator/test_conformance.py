"""The table of methods in the documentation says what is so."""

from __future__ import annotations

import re

import pytest

from tests.emulator.conformance import DOCUMENT, all_tests, calling, served

WRITE = "run `python -m tests.emulator.conformance`"
TESTS = all_tests()


def test_the_documented_table_is_current() -> None:
    service, told = "", {}

    for line in DOCUMENT.read_text(encoding="utf-8").splitlines():
        if head := re.match(r"## (\w+):", line):
            service = head[1]
        elif row := re.match(r"\| (\w+) \| (served|501) \|", line):
            told[f"{service}.{row[1]}"] = row[2] == "served"

    assert told == served(), WRITE


@pytest.mark.parametrize("method", [method for method, is_served in served().items() if is_served])
def test_every_served_method_is_called_by_a_test(method: str) -> None:
    assert calling(method, TESTS), f"no test in tests/emulator calls {method}"


def test_the_tests_that_the_table_names_are_there() -> None:
    places = {test.place for test in TESTS}

    named = set(re.findall(r"`(test_[\w.]+::\w+)`", DOCUMENT.read_text(encoding="utf-8")))

    assert named <= places, WRITE
