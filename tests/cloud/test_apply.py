from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from reconciler.cloud import claims
from reconciler.cloud.apply import apply_plan
from reconciler.cloud.lease import acquire
from reconciler.cloud.reconcile import Wish, converge, look, one_pass
from reconciler.cloud.site import Site
from reconciler.cloud.verbs import cancel, destroy, resume, suspend
from reconciler.core.changes import Action, Reason
from reconciler.core.errors import LoraformError, Refused, Stale
from reconciler.core.report import Outcome
from reconciler.core.resources import Role, Upload
from tests.cloud.story import (
    actions,
    already_trained,
    apply,
    calm,
    endpoints,
    jobs,
    live,
    messages,
    models,
    outcomes,
    settle,
    trainer_finishes,
)
from tests.cloud.wishes import training, whole
from tests.emulator_fixture import emulator_calls, finish_job, forget_calls
from tests.soak.actors import OneByOne


def test_an_experiment_comes_to_life_pass_by_pass(site: Site) -> None:
    desired = whole(site.target)

    first = apply(site, desired)
    trainer_finishes(site, desired[0])
    last = settle(site, desired)

    assert outcomes(first) == {"training create": "done", "endpoint create": "done"}
    assert set(actions(last).values()) == {Action.NOOP}, messages(last)
    (endpoint,) = endpoints(site)
    assert list(endpoint["traffic_split"].values()) == [100]
    assert [model["version_id"] for model in models(site)] == ["1"]


def test_a_plan_right_after_a_converged_apply_has_nothing_to_do(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    settle(site, desired)

    again = look(site, Wish(desired))

    assert set(actions(again).values()) == {Action.NOOP}


def test_a_finished_run_is_reused_and_no_job_is_started(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])

    settle(site, desired)

    assert jobs(site) == []


def test_everything_carries_the_labels_that_make_it_ours(site: Site) -> None:
    run = training(site.target)
    one_pass(site, Wish((run,), commit="a" * 40))

    (job,) = jobs(site)

    assert job["labels"] == {
        "loraform-fleet": site.target.fleet,
        "loraform-experiment": "bot",
        "loraform-role": "training",
        "loraform-identity": run.stamp,
        "loraform-attempt": run.attempt_key,
        "loraform-commit": "a" * 40,
        "loraform-plan": job["labels"]["loraform-plan"],
    }


def test_a_job_that_is_running_is_waited_for_and_not_started_twice(site: Site) -> None:
    run = training(site.target)
    apply(site, [run])

    again = apply(site, [run])

    assert actions(again) == {"training": Action.WAIT}
    assert len(jobs(site)) == 1


def test_a_plan_from_an_old_snapshot_does_not_start_a_second_job(site: Site) -> None:
    """Two applies looked at the same moment, and one was faster."""
    run = training(site.target)
    stale = look(site, Wish((run,)))
    apply(site, [run])
    claims.drop(site.storage, site.target, run)

    report = apply_plan(stale.plan, stale.snapshot, site, by="latecomer")

    assert [(result.outcome, result.message) for result in report.results] == [
        (Outcome.WAITING, "somebody else started it just now")
    ]
    assert len(jobs(site)) == 1


def test_of_two_applies_at_once_without_a_lease_one_starts_the_job(site: Site) -> None:
    run = training(site.target)
    seen = look(site, Wish((run,)))
    barrier = threading.Barrier(2)

    def race(name: str) -> None:
        barrier.wait()
        apply_plan(seen.plan, seen.snapshot, site, by=name)

    threads = [threading.Thread(target=race, args=(name,)) for name in ("one", "two")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert len(jobs(site)) == 1


def test_a_claim_of_somebody_who_died_before_the_call_is_waited_for_then_taken_over(
    site: Site, later: Callable[[float], Site]
) -> None:
    run = training(site.target)
    claims.take(site.storage, site.target, run, "the dead", now=time.time())

    at_once = apply(site, [run])
    afterwards = apply(later(claims.LOCAL_TTL + 1), [run])

    assert [change.reason for change in at_once.plan.changes] == [Reason.CLAIMED]
    assert outcomes(afterwards) == {"training create": "done"}
    assert len(jobs(site)) == 1


def test_a_failed_run_is_held_until_its_attempt_changes(site: Site, url: str) -> None:
    run = training(site.target)
    apply(site, [run])
    finish_job(url, str(jobs(site)[0]["name"]), "JOB_STATE_FAILED", "the data is rubbish")

    held = apply(site, [run])
    raised = apply(site, [training(site.target, attempt=2)])

    assert actions(held) == {"training": Action.HOLD}
    assert outcomes(raised) == {"training create": "done"}
    assert len(jobs(site)) == 2


def test_a_preempted_run_is_tried_again_after_its_backoff(site: Site, url: str, later: Callable[[float], Site]) -> None:
    run = training(site.target)
    apply(site, [run])
    finish_job(url, str(jobs(site)[0]["name"]), "JOB_STATE_FAILED", "The worker was preempted.")

    at_once = apply(site, [run])
    afterwards = apply(later(60), [run])

    assert [change.reason for change in at_once.plan.changes] == [Reason.BACKOFF]
    assert outcomes(afterwards) == {"training create": "done"}


def test_a_superseded_run_is_cancelled_and_a_revert_starts_it_again(site: Site, url: str) -> None:
    old, new = training(site.target, r=8), training(site.target, r=16)
    apply(site, [old])
    superseding = calm(site, [new])

    reverted = calm(site, [old])

    states = [(job["labels"]["loraform-identity"], job["state"]) for job in jobs(site)]
    assert actions(superseding)["training"] is Action.WAIT
    assert actions(reverted)["training"] is Action.WAIT
    assert states.count((old.stamp, "JOB_STATE_CANCELLED")) == 1
    assert sum(stamp == old.stamp for stamp, _ in states) == 2


def test_a_run_that_a_person_cancelled_is_held(site: Site) -> None:
    run = training(site.target)
    apply(site, [run])

    names = cancel(site, "bot")
    held = calm(site, [run])

    assert names == (jobs(site)[0]["name"],)
    assert actions(held) == {"training": Action.HOLD}


def test_replica_counts_change_in_place(site: Site, url: str) -> None:
    already_trained(site, whole(site.target)[0])
    settle(site, whole(site.target, replicas=1))
    forget_calls(url)

    changed = settle(site, whole(site.target, replicas=3))

    assert set(actions(changed).values()) == {Action.NOOP}
    called = {call["method"].rsplit(".", 1)[-1] for call in emulator_calls(url)}
    assert "MutateDeployedModel" in called
    assert "DeployModel" not in called
    (deployment,) = live(site, Role.DEPLOYMENT)
    assert deployment.spec["max_replica_count"] == 3


def test_another_rank_trains_anew_and_the_old_model_serves_until_the_new_one_is_ready(site: Site) -> None:
    old, new = whole(site.target, r=8), whole(site.target, r=16)
    already_trained(site, old[0])
    settle(site, old)

    training_it = calm(site, new)
    during = [item.stamp for item in live(site, Role.DEPLOYMENT)]
    trainer_finishes(site, new[0])
    done = settle(site, new)

    assert actions(training_it)["training"] is Action.WAIT
    assert during == [old[3].stamp]
    assert set(actions(done).values()) == {Action.NOOP}, messages(done)
    assert [item.stamp for item in live(site, Role.DEPLOYMENT)] == [new[3].stamp]


def test_a_revert_redeploys_the_old_model_and_trains_nothing(site: Site) -> None:
    old, new = whole(site.target, r=8), whole(site.target, r=16)
    for desired in (old, new):
        already_trained(site, desired[0])
        settle(site, desired)

    reverted = settle(site, old)

    assert set(actions(reverted).values()) == {Action.NOOP}, messages(reverted)
    assert jobs(site) == []
    assert [model["version_id"] for model in models(site)] == ["2"]
    assert [item.stamp for item in live(site, Role.DEPLOYMENT)] == [old[3].stamp]


def test_what_git_no_longer_names_is_taken_down_and_history_is_kept(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    settle(site, desired)

    settle(site, ())

    assert endpoints(site) == []
    assert len(models(site)) == 1


def test_a_failed_deployment_is_held_with_its_cause(site: Site) -> None:
    desired = list(whole(site.target))
    desired[1] = replace(
        desired[1],
        body={
            **desired[1].body,
            "container_spec": {"image_uri": "no-such-image", "predict_route": "/p", "health_route": "/h"},
        },
    )
    already_trained(site, desired[0])

    last = settle(site, desired)

    assert actions(last)["deployment"] is Action.HOLD, messages(last)
    (held,) = last.plan.blocked
    assert (held.reason, "no-such-image" in held.detail) == (Reason.FAILED, True)


def test_files_of_the_repository_stand_in_the_bucket_before_the_job_is_created(site: Site) -> None:
    (site.root / "train.jsonl").write_text("{}\n")
    uri = f"{site.target.content_uri('abc')}/train.jsonl"
    run = training(site.target, uploads=(Upload("train.jsonl", uri),))

    apply(site, [run])

    assert site.storage.read(uri.removeprefix(f"gs://{site.target.bucket}/"))[0] == b"{}\n"


def test_a_file_that_is_missing_fails_its_change_and_starts_no_job(site: Site) -> None:
    uri = f"{site.target.content_uri('abc')}/gone.jsonl"
    desired = [training(site.target, "a", uploads=(Upload("gone.jsonl", uri),)), training(site.target, "b")]

    seen = apply(site, desired)

    assert [(result.change.address.experiment, result.outcome) for result in seen.results] == [
        ("a", Outcome.FAILED),
        ("b", Outcome.DONE),
    ]
    assert "gone.jsonl: cannot be read" in messages(seen)
    assert [job["labels"]["loraform-experiment"] for job in jobs(site)] == ["b"]


def test_a_create_that_the_api_refused_is_remembered_and_keeps_nobody_waiting(site: Site) -> None:
    run = training(site.target)
    broken = replace(run, body={**run.body, "display_name": "x" * 500})

    seen = apply(site, [broken])

    (claim,) = look(site, Wish((run,))).snapshot.claims.values()
    assert outcomes(seen) == {"training create": "failed"}
    assert len(claim.refusals) == 1
    assert actions(look(site, Wish((replace(run, attempt_key="another"),)))) == {"training": Action.CREATE}


def test_another_plan_than_the_accepted_one_is_not_carried_out(site: Site) -> None:
    run = training(site.target)

    with pytest.raises(Stale, match="not 000000000000"):
        one_pass(site, Wish((run,)), expect="000000000000")

    assert jobs(site) == []


def test_the_accepted_plan_is_carried_out(site: Site) -> None:
    run = training(site.target)
    plan = look(site, Wish((run,))).plan

    one_pass(site, Wish((run,)), expect=plan.id)

    assert len(jobs(site)) == 1


def test_an_interrupted_apply_reports_what_it_did_not_begin(site: Site) -> None:
    desired = [training(site.target, name) for name in ("a", "b", "c")]
    stop = threading.Event()
    in_order = replace(site, appliers=OneByOne)

    seen = one_pass(in_order, Wish(tuple(desired)), stop=stop, on_result=lambda result: stop.set())

    assert [result.outcome for result in seen.results] == [Outcome.DONE, Outcome.SKIPPED, Outcome.SKIPPED]
    assert seen.report is not None
    assert seen.report.interrupted
    assert len(jobs(site)) == 1
    acquire(site.storage, site.target, patience=0.0).release()


def test_an_apply_that_loses_its_lease_stops_before_the_next_call(site: Site) -> None:
    seen = look(site, Wish(tuple(training(site.target, name) for name in ("a", "b"))))
    lease = acquire(site.storage, site.target, ttl=60.0)

    def steal(_: object) -> None:
        site.storage.write(f"loraform/{site.target.fleet}/lease.json", b'{"holder": "thief", "since": 1}')
        lease.renew()

    in_order = replace(site, appliers=OneByOne)
    report = apply_plan(seen.plan, seen.snapshot, in_order, by="me", lease=lease, on_result=steal)

    assert [result.outcome for result in report.results] == [Outcome.DONE, Outcome.SKIPPED]
    assert "the lease was lost" in report.results[1].message
    assert len(jobs(site)) == 1
    lease.release()


def test_an_apply_beside_another_is_refused(site: Site) -> None:
    with acquire(site.storage, site.target, ttl=60.0), pytest.raises(Refused):
        one_pass(replace(site, target=replace(site.target, local=False)), Wish(()), stop=set_event())


def test_a_suspended_experiment_keeps_its_address_and_is_not_redeployed(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    settle(site, desired)

    suspend(site, "bot")
    during = settle(site, desired)
    (endpoint,) = endpoints(site)
    resume(site, "bot")
    after = settle(site, desired)

    assert "deployed_models" not in endpoint
    assert actions(during)["deployment"] is Action.HOLD
    assert set(actions(after).values()) == {Action.NOOP}, messages(after)


def test_a_destroyed_experiment_leaves_its_model_and_its_record(site: Site) -> None:
    desired = whole(site.target)
    already_trained(site, desired[0])
    settle(site, desired)

    destroy(site, "bot")
    rest = look(site, Wish(()))

    assert endpoints(site) == []
    assert {item.address.role for item in rest.snapshot.live} == {Role.MODEL}
    assert list(rest.snapshot.records) == [desired[0].stamp]


def test_doing_something_to_an_experiment_that_is_not_there_says_so(site: Site) -> None:
    with pytest.raises(LoraformError, match="nothing of ghost is live on local"):
        destroy(site, "ghost")


def test_waiting_ends_at_its_deadline(site: Site) -> None:
    looks: list[int] = []

    seen, done = converge(
        site, Wish((training(site.target),)), deadline=3.0, interval=1.0, on_progress=lambda at: looks.append(1)
    )

    assert actions(seen) == {"training": Action.WAIT}
    assert [result.outcome for result in done] == [Outcome.DONE]
    assert 2 <= len(looks) <= 4


def set_event() -> threading.Event:
    event = threading.Event()
    event.set()
    return event
