"""Small promises of the values themselves."""

from reconciler.core.calls import Call, Scene
from reconciler.core.changes import Action
from reconciler.core.errors import CloudError, LoraformError, Retryable
from reconciler.core.graph import apply_order
from reconciler.core.report import Outcome, Report, Result
from reconciler.core.resources import Cause, Failure, Phase, Role, Source
from reconciler.core.target import Target, region_of
from tests.core.builders import converged, fleet, live, model, plan, snapshot, the, training
from tests.core.failures_page import PAGE, page


def test_only_some_causes_pass_by_themselves() -> None:
    assert {cause for cause in Cause if cause.transient} == {
        Cause.STOCKOUT,
        Cause.PREEMPTED,
        Cause.QUOTA,
        Cause.DUPLICATE,
        Cause.INTERNAL,
        Cause.PROPAGATION,
    }


def test_every_cause_says_what_happened_and_what_helps() -> None:
    for cause in Cause:
        assert not cause.meaning.sentence.endswith("."), cause
        assert cause.meaning.remedy.endswith("."), cause
        assert cause == str(cause).lower().replace("_", "-")


def test_another_rung_helps_only_where_machines_or_quota_lack() -> None:
    assert {cause for cause in Cause if cause.climbs} == {Cause.STOCKOUT, Cause.PREEMPTED, Cause.QUOTA}


def test_a_source_is_written_as_editors_read_it() -> None:
    assert [str(Source("a.yaml")), str(Source("a.yaml", 3)), str(Source("a.yaml", 3, 7))] == [
        "a.yaml",
        "a.yaml:3",
        "a.yaml:3:7",
    ]


def test_a_stamp_is_the_first_twenty_digits_of_the_identity() -> None:
    assert training().stamp == training().identity[:20]


def test_changes_are_applied_prerequisites_first_and_removals_dependents_first() -> None:
    created = apply_order(plan(fleet()).now)
    removed = apply_order((*plan((), converged()).now, *plan((), converged()).follow))

    assert [change.address.role for change in created] == [Role.TRAINING, Role.ENDPOINT]
    assert [change.address.role for change in removed] == [Role.DEPLOYMENT, Role.ENDPOINT]


def test_only_four_actions_call_the_api() -> None:
    assert [action for action in Action if action.mutates] == ["create", "update", "delete", "cancel"]


def test_a_report_knows_what_the_api_refused() -> None:
    made = plan(fleet())
    done, refused = (
        Result(change, outcome) for change, outcome in zip(made.now, (Outcome.DONE, Outcome.FAILED), strict=True)
    )

    assert Report(made, (done, refused)).failed == (refused,)


def test_an_error_carries_its_way_out_and_the_apis_words() -> None:
    error = Retryable("too many requests", status="RESOURCE_EXHAUSTED", code=429, remedy="wait a minute")

    assert isinstance(error, CloudError)
    assert isinstance(error, LoraformError)
    assert (error.message, error.status, error.code, error.remedy) == (
        "too many requests",
        "RESOURCE_EXHAUSTED",
        429,
        "wait a minute",
    )


def test_a_call_is_plain_data() -> None:
    call = Call("JobService", "CreateCustomJob", {"parent": "projects/p/locations/l"})

    assert call == Call("JobService", "CreateCustomJob", {"parent": "projects/p/locations/l"}, frozenset())
    assert Scene("projects/p/locations/l", "acme", {}, {}).request == {}


def test_a_target_knows_where_everything_of_its_fleet_lies() -> None:
    target = Target("prod", "acme", "acme-ml", "europe-west4", "acme-llm")

    assert target.parent == "projects/acme-ml/locations/europe-west4"
    assert target.record_uri("id") == "gs://acme-llm/loraform/acme/runs/id.json"
    assert target.lock_uri("id") == "gs://acme-llm/loraform/acme/runs/id.lock"
    assert target.evaluation_uri("id") == "gs://acme-llm/loraform/acme/evaluations/id.json"
    assert target.evaluation_lock_uri("id") == "gs://acme-llm/loraform/acme/evaluations/id.lock"
    assert target.claim_uri("id") == "gs://acme-llm/loraform/acme/claims/id.json"
    assert target.served_uri("id") == "gs://acme-llm/loraform/acme/served/id.json"
    assert target.artifact_uri("id", 2) == "gs://acme-llm/loraform/acme/artifacts/id/attempt-2"
    assert target.content_uri("hash") == "gs://acme-llm/loraform/acme/data/hash"
    assert target.trials_uri("id") == "gs://acme-llm/loraform/acme/trials/id"
    assert target.checkpoints_uri("id") == "gs://acme-llm/loraform/acme/checkpoints/id"


def test_the_page_of_failures_is_the_table() -> None:
    assert PAGE.read_text(encoding="utf-8") == page()


def test_a_decision_about_a_failure_carries_it_and_no_other_does() -> None:
    held = the(plan((training(),), snapshot(live(training(), Phase.FAILED))), Role.TRAINING)
    running = the(plan((training(),), snapshot(live(training(), Phase.RUNNING))), Role.TRAINING)

    assert held.failure == Failure(Cause.ERROR, "it broke")
    assert running.failure is None


def test_a_target_knows_its_regions_and_where_each_writes() -> None:
    target = Target("prod", "acme", "p", "europe-west4", "acme-llm", buckets={"us-central1": "acme-us"})

    assert target.regions == ("europe-west4", "us-central1")
    assert target.parent_in("us-central1") == "projects/p/locations/us-central1"
    assert target.artifact_uri("i", 2, "us-central1") == "gs://acme-us/loraform/acme/artifacts/i/attempt-2"
    assert target.artifact_uri("i", 2, "europe-west4") == target.artifact_uri("i", 2)
    assert target.artifact_uri("i", 2, "asia-east1") == target.artifact_uri("i", 2)
    assert [region_of(name) for name in ("projects/1/locations/r/customJobs/2", "projects/1", "")] == ["r", "", ""]


def test_a_claim_is_of_a_run_for_all_and_of_anything_else_for_one_experiment() -> None:
    run, thing = training("bot"), model("bot")

    assert (run.claim_key, run.claim_name) == (run.stamp, run.identity)
    assert (thing.claim_key, thing.claim_name) == (f"{thing.stamp}-bot", f"{thing.identity}-bot")
