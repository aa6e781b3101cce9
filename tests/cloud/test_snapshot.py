from __future__ import annotations

from collections import Counter
from dataclasses import replace

from reconciler.cloud.site import Site
from reconciler.cloud.snapshot import take_snapshot
from reconciler.core.resources import Phase, Role, Snapshot
from tests.cloud.story import already_trained, apply, live, settle, trainer_finishes
from tests.cloud.wishes import address, training, whole
from tests.emulator_fixture import emulator_calls, forget_calls


def test_an_empty_target_is_an_empty_snapshot(site: Site) -> None:
    assert take_snapshot(site.vertex, site.storage, site.target, ()) == Snapshot()


def test_a_started_run_shows_with_its_stamp_and_its_claim(site: Site) -> None:
    run = training(site.target)
    apply(site, [run])

    snapshot = take_snapshot(site.vertex, site.storage, site.target, [run])

    (job,) = snapshot.live
    assert (job.address, job.stamp, job.attempt_key) == (run.address, run.stamp, run.attempt_key)
    assert snapshot.claims[run.stamp].at <= job.created


def test_a_run_record_is_read_from_the_listing(site: Site) -> None:
    run = training(site.target)
    trainer_finishes(site, run, {"eval_loss": 0.25})

    record = take_snapshot(site.vertex, site.storage, site.target, [run]).records[run.stamp]

    assert record.metrics == {"eval_loss": 0.25}
    assert record.outputs["artifact_uri"] == f"{site.target.artifact_uri(run.identity, 1)}/model"
    assert not record.pruned


def test_a_trainers_lock_is_not_a_run_record(site: Site) -> None:
    run = training(site.target)
    site.storage.write(f"loraform/{site.target.fleet}/runs/{run.identity}.lock", b"{}")

    assert take_snapshot(site.vertex, site.storage, site.target, [run]).records == {}


def test_another_fleet_in_the_same_project_is_invisible(site: Site) -> None:
    apply(site, [training(site.target)])
    other = replace(site.target, fleet="somebody-else")

    assert take_snapshot(site.vertex, site.storage, other, ()).live == ()


def test_a_snapshot_of_many_experiments_costs_as_many_calls_as_of_one(site: Site, url: str) -> None:
    desired = [training(site.target, f"bot-{number}") for number in range(5)]
    apply(site, desired)
    forget_calls(url)

    take_snapshot(site.vertex, site.storage, site.target, desired)

    methods = Counter(call["method"].rsplit(".", 1)[-1] for call in emulator_calls(url) if "Service" in call["method"])
    assert methods == {
        "ListCustomJobs": 1,
        "ListHyperparameterTuningJobs": 1,
        "ListModels": 1,
        "ListEndpoints": 1,
    }


def test_an_older_version_of_a_model_is_found_when_git_wants_it_again(site: Site) -> None:
    old, new = whole(site.target, r=8), whole(site.target, r=16)
    for desired in (old, new):
        already_trained(site, desired[0])
        settle(site, desired[:3])

    stamps = {item.stamp for item in live(site, Role.MODEL, old)}

    assert stamps == {old[1].stamp, new[1].stamp}


def test_what_is_as_desired_needs_no_look_at_its_claim(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    settle(site, desired)

    (deployment,) = live(site, Role.DEPLOYMENT, desired)

    assert (deployment.phase, deployment.declared) == (Phase.READY, {})


def test_what_differs_from_desired_tells_what_was_declared_for_it(site: Site) -> None:
    desired = whole(site.target, replicas=1)
    already_trained(site, desired[0])
    settle(site, desired)

    (deployment,) = live(site, Role.DEPLOYMENT, whole(site.target, replicas=3))

    assert deployment.declared == {"serving.max_replica_count": 1}


def test_a_deployment_knows_the_training_that_its_model_came_from(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    settle(site, desired)

    (deployment,) = live(site, Role.DEPLOYMENT, desired)

    assert deployment.address == address(Role.DEPLOYMENT)
    assert deployment.outputs["trained_by"] == desired[0].stamp
