from __future__ import annotations

import io
import unicodedata

from rich.console import Console

from reconciler.core.resources import Phase
from reconciler.render.terminal import plan_text
from tests.core.builders import converged, fleet, live, model, plan, record, snapshot, training
from tests.render.golden import same_as_golden
from tests.render.stories import everything, hostile, new, retrained, scaled


def test_a_plan_of_many_experiments_puts_the_destructive_and_the_costly_first() -> None:
    same_as_golden("everything.txt", plan_text(everything(), where="main@4be21d").plain)


def test_a_new_experiment_says_what_is_made_now_and_what_follows() -> None:
    same_as_golden("new.txt", plan_text(plan(new("support-bot")), where="main@4be21d").plain)


def test_a_retraining_names_the_fields_and_says_that_the_old_one_keeps_serving() -> None:
    desired, seen = retrained("sql-writer")

    same_as_golden("retrain.txt", plan_text(plan(desired, seen)).plain)


def test_an_update_in_place_says_that_nothing_is_interrupted() -> None:
    desired, seen = scaled("faq")

    same_as_golden("in-place.txt", plan_text(plan(desired, seen)).plain)


def test_an_experiment_that_left_git_is_shown_as_removed() -> None:
    same_as_golden("removed.txt", plan_text(plan((), converged("legacy-bot"))).plain)


def test_a_running_training_is_waited_for() -> None:
    seen = snapshot(live(training("a"), Phase.RUNNING))

    same_as_golden("in-progress.txt", plan_text(plan(fleet("a"), seen)).plain)


def test_a_trained_run_is_reused() -> None:
    seen = snapshot(live(training("a")), records=(record(training("a")),))

    same_as_golden("reused.txt", plan_text(plan(fleet("a"), seen)).plain)


def test_nothing_to_do_reads_in_sync() -> None:
    made = plan((*fleet("a"), *fleet("b")), snapshot(*converged("a").live, *converged("b").live, records=_records()))

    assert plan_text(made).plain == "in sync   test: 2 experiments as git says.\n"


def test_a_held_experiment_is_not_in_sync() -> None:
    made = plan((training("a"), model("a")), snapshot(live(training("a"), Phase.FAILED)))

    shown = plan_text(made).plain

    assert "in sync" not in shown
    assert "it broke" in shown


def test_text_of_a_manifest_cannot_leave_its_line() -> None:
    shown = plan_text(hostile(), where="main\x1b[31m").plain

    assert {unicodedata.category(character) for character in shown.replace("\n", "")} & {"Cc", "Cf", "Cs"} == set()
    same_as_golden("hostile.txt", shown)


def test_colour_changes_no_character() -> None:
    text, out = plan_text(everything()), io.StringIO()

    Console(file=out, force_terminal=True, color_system="standard", width=200).print(text, end="", soft_wrap=True)

    same_as_golden("everything.ansi", out.getvalue())
    assert text.plain == plan_text(everything()).plain


def _records() -> tuple:
    return (record(training()),)


def test_shares_are_of_what_the_models_of_others_leave_on_an_adopted_endpoint() -> None:
    wanted = fleet("bot")
    taken = live(wanted[2], outputs={"split": {"7": 60, "8": 10}}, adopted_from="theirs")
    made = plan_text(plan(wanted, snapshot(taken, records=(record(wanted[0]),)))).plain
    alone = plan_text(plan(wanted, snapshot(live(wanted[2]), records=(record(wanted[0]),)))).plain

    assert "0 % -> probe -> 100 % of the 30 % that others leave" in made
    assert "others leave" not in alone
