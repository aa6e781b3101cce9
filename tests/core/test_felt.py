"""What a person will feel of a plan: every kind of change of one experiment, and what it costs and interrupts."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from reconciler.core.impact import Answers, Home, Impact
from reconciler.core.resources import Declared, LiveResource, Phase, Resource, Role, Rollout, Snapshot
from tests.core.builders import converged, deployment, endpoint, fleet, live, model, plan, record, snapshot, training


def felt(desired: tuple[Resource, ...], seen: Snapshot) -> Impact:
    (impact,) = plan(desired, seen).impacts
    return impact


def retrained(**run: Any) -> tuple[Resource, ...]:
    return (training(version=2, **run), model(version=2), endpoint(), deployment(version=2, accelerators=2))


def with_job(**outputs: Any) -> Snapshot:
    """All in sync, and the job of the run before is still there."""
    seen = converged()
    return replace(seen, live=tuple(replace(item, outputs=outputs) if is_job(item) else item for item in seen.live))


def is_job(item: LiveResource) -> bool:
    return item.address.role is Role.TRAINING


def test_an_experiment_of_which_nothing_changes_has_no_impact() -> None:
    made = plan(fleet(), converged())

    assert made.impacts == ()


def test_a_first_run_costs_what_nobody_knows_yet_and_brings_a_new_address() -> None:
    first, *rest = fleet()

    impact = felt((replace(first, accelerators=4, timeout=3600.0), *rest), Snapshot())

    assert impact == Impact("bot", runs=1, accelerators=4, longest=3600.0, answers=Answers.BEGIN, home=Home.NEW)


def test_another_run_is_told_by_what_the_last_one_took() -> None:
    impact = felt(retrained(accelerators=1), with_job(run_seconds=2520.0, accelerators=2))

    assert (impact.runs, impact.accelerators, impact.lasted, impact.lasted_on) == (1, 1, 2520.0, 2)
    assert impact.lasted_as == training().stamp


def test_a_job_that_does_not_tell_how_long_it_ran_tells_nothing() -> None:
    impact = felt(retrained(), converged())

    assert impact.lasted is None


def test_the_newest_finished_run_counts_and_no_failed_one() -> None:
    run = training()
    old = live(run, name="old", created=1.0, outputs={"run_seconds": 10.0, "accelerators": 1})
    new = live(run, name="new", created=2.0, outputs={"run_seconds": 20.0, "accelerators": 1})
    failed = live(run, Phase.FAILED, name="failed", created=3.0, outputs={"run_seconds": 30.0})

    impact = felt((training(version=2),), snapshot(old, new, failed, records=(record(run),)))

    assert impact.lasted == 20.0


def test_a_duration_that_is_no_number_is_none() -> None:
    impact = felt(retrained(), with_job(run_seconds="long", accelerators=1))

    assert impact.lasted == 0.0


def test_a_new_deployment_beside_the_old_one_interrupts_nothing_and_takes_its_machines_meanwhile() -> None:
    impact = felt(retrained(), converged())

    assert (impact.answers, impact.home, impact.beside) == (Answers.GO_ON, Home.KEPT, 2)


def test_a_deployment_that_makes_room_first_leaves_a_gap() -> None:
    served = deployment(version=2, rollout=Rollout(recreate=True), accelerators=2)

    impact = felt((*fleet()[:3], served), converged())

    assert (impact.answers, impact.beside) == (Answers.GAP, 0)


def test_what_git_removed_stops_answering_and_its_address_goes() -> None:
    impact = felt((), converged())

    assert (impact.answers, impact.home, impact.runs) == (Answers.END, Home.GONE, 0)


def test_a_change_in_place_goes_on_answering() -> None:
    impact = felt((*fleet()[:3], deployment(spec={"max_replica_count": 3, "traffic": 100})), converged())

    assert (impact.answers, impact.home, impact.beside) == (Answers.GO_ON, Home.KEPT, 0)


def test_a_training_alone_answers_nothing() -> None:
    impact = felt((training(),), Snapshot())

    assert (impact.answers, impact.home) == (Answers.NONE, Home.NONE)


def test_the_effective_batch_is_told_where_it_changes() -> None:
    declared = {"training.effective_batch": Declared(64, "retrain", 8)}
    job = live(training(), declared={"training.effective_batch": 16})

    impact = felt((training(version=2, fields=declared),), snapshot(job, records=(record(training()),)))

    assert impact.batch == (16, 64)


def test_impacts_are_sorted_by_experiment() -> None:
    made = plan((*fleet("b"), *fleet("a")), converged("c"))

    assert [impact.experiment for impact in made.impacts] == ["a", "b", "c"]
