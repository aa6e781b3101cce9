from __future__ import annotations

from rich.text import Text

from reconciler.core.changes import Action
from reconciler.core.report import Outcome, Result
from reconciler.render.report import closing_text, result_text
from tests.core.builders import converged, fleet, plan
from tests.render.golden import same_as_golden
from tests.render.stories import everything, hostile, scaled


def test_an_apply_reads_as_its_results_and_what_is_left() -> None:
    made = everything()
    results = [Result(change, Outcome.DONE) for change in made.now]
    results[1] = Result(made.now[1], Outcome.FAILED, "quota exceeded\nAsk for more L4 in europe-west4.")
    results[2] = Result(made.now[2], Outcome.SKIPPED, "model failed")
    results[3] = Result(made.now[3], Outcome.WAITING, "somebody else claimed it just now")

    text = Text().join([*(result_text(result) for result in results), closing_text(made, results)])

    same_as_golden("report.txt", text.plain)


def test_an_interrupted_apply_says_that_it_can_go_on() -> None:
    made = plan(fleet())
    results = [Result(made.now[0], Outcome.DONE), Result(made.now[1], Outcome.SKIPPED, "interrupted")]

    shown = closing_text(made, results, interrupted=True).plain

    assert shown == "Interrupted. 1 done, 1 skipped; `loraform apply` goes on from here.\n"


def test_a_first_pass_says_how_to_see_it_through() -> None:
    made = plan(fleet())

    shown = closing_text(made, [Result(change, Outcome.DONE) for change in made.now]).plain

    assert shown.startswith("2 done; 3 to follow. `loraform apply --wait`")


def test_a_converged_world_closes_in_sync() -> None:
    assert closing_text(plan(fleet(), converged()), []).plain == "in sync   nothing to do.\n"


def test_an_update_names_its_fields() -> None:
    made = plan(*scaled("faq"))
    (change,) = made.now

    assert change.action is Action.UPDATE
    assert "serving.max_replica_count 1 -> 3" in result_text(Result(change, Outcome.DONE)).plain


def test_the_words_of_an_api_cannot_move_the_cursor() -> None:
    (change,) = hostile().now

    assert "\x1b" not in result_text(Result(change, Outcome.FAILED, "\x1b[2J")).plain
