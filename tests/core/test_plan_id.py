"""What a plan's id tells of."""

from __future__ import annotations

from dataclasses import replace

from tests.core.builders import converged, fleet, live, plan, snapshot, training


def test_what_becomes_of_other_experiments_does_not_move_the_id() -> None:
    wanted = (*fleet("ape", 1), *fleet("bee", 2))
    under_way = snapshot(live(training("bee", 2), name="job"))

    before, after = plan(wanted, about={"ape"}), plan(wanted, under_way, about={"ape"})

    assert before.now != after.now
    assert before.id == after.id


def test_an_id_that_is_about_all_moves_with_each() -> None:
    wanted = (*fleet("ape", 1), *fleet("bee", 2))

    assert plan(wanted).id != plan(wanted, converged("bee", 2)).id


def test_the_experiments_that_an_id_is_about_move_it() -> None:
    ape, other = fleet("ape", 1), fleet("ape", 3)

    assert plan(ape, about={"ape"}).id != plan(other, about={"ape"}).id


def test_what_is_done_about_others_is_in_the_plan_all_the_same() -> None:
    made = plan(fleet("bee"), about={"ape"})

    assert replace(made, id="") == replace(plan(fleet("bee")), id="")
