from __future__ import annotations

from reconciler.core.between import plan_between
from reconciler.render.difference import difference_text
from tests.core.builders import fleet
from tests.render.golden import same_as_golden


def test_a_difference_is_a_plan_without_a_command_to_apply_it() -> None:
    before = (*fleet("gone"), *fleet("sql-writer"), *fleet("calm"))
    after = (*fleet("sql-writer", 2), *fleet("calm"), *fleet("fresh", 3))

    text = difference_text(plan_between(before, after, target="prod"), where="4be21d0..7f3a9c1")

    same_as_golden("difference.txt", text.plain)


def test_no_difference_is_said_in_one_line() -> None:
    text = difference_text(plan_between(fleet(), fleet(), target="prod"), where="a..b")

    assert text.plain == "no difference   a..b: nothing of 1 experiment would change on prod.\n"
