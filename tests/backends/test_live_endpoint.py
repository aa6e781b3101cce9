from __future__ import annotations

import pytest

from reconciler.backends.deployment import linked
from reconciler.backends.deploys import from_operations
from reconciler.backends.registry import KINDS
from reconciler.core.resources import Address, Cause, Claim, LiveResource, Phase, Role
from tests.backends.payload import payload

LIVE = KINDS["endpoint"].live
NEW, OLD = "d1e2f3a4b5c6d7e8f901", "0a9b8c7d6e5f4a3b2c1d"
NAME = "projects/580378083368/locations/europe-west4/endpoints/lf-acme-support-bot"
DEPLOYMENT = Address("support-bot", Role.DEPLOYMENT)
STARTED = 1795167060.0
"""When operation-deploy-pending started: 2026-11-20T09:31:00Z."""


def test_an_endpoint_without_models_is_one_ready_endpoint() -> None:
    (endpoint,) = LIVE(payload("endpoint-empty"), "acme")

    assert (endpoint.address, endpoint.phase) == (Address("support-bot", Role.ENDPOINT), Phase.READY)
    assert (endpoint.stamp, endpoint.etag) == ("c0ffee00c0ffee00c0ff", "AMEw9yMQ7f")
    assert (endpoint.protect, endpoint.suspended, endpoint.in_use) == (False, False, "")


def test_a_suspended_and_protected_endpoint_says_so() -> None:
    (endpoint,) = LIVE(payload("endpoint-suspended"), "acme")

    assert (endpoint.protect, endpoint.suspended) == (True, True)
    assert endpoint.spec["protect"] is True


def test_a_stamped_deployed_model_is_a_deployment_with_its_settings() -> None:
    _, deployment = LIVE(payload("endpoint-serving"), "acme")

    assert (deployment.address, deployment.name, deployment.stamp) == (DEPLOYMENT, f"{NAME}#4821906375", NEW)
    assert deployment.spec == {
        "min_replica_count": 1,
        "max_replica_count": 3,
        "required_replica_count": 0,
        "autoscaling_metric_specs": [],
        "traffic": 100,
    }
    assert str(deployment.outputs["model"]).endswith("models/lf-acme-support-bot@2")


def test_old_and_new_stand_side_by_side_with_their_shares() -> None:
    _, *deployments = LIVE(payload("endpoint-rolling"), "acme")

    assert {item.stamp: item.spec["traffic"] for item in deployments} == {OLD: 100, NEW: 0}


def test_a_deployed_model_without_our_stamp_is_not_ours() -> None:
    endpoint, *deployments = LIVE(payload("endpoint-shared"), "acme")

    assert {item.stamp for item in deployments} == {OLD, NEW}
    assert endpoint.in_use == "1 deployed model on it is not Loraform's"


def test_traffic_counts_in_the_part_that_is_ours() -> None:
    _, *deployments = LIVE(payload("endpoint-shared"), "acme")

    assert {item.stamp: (item.outputs["share"], item.spec["traffic"]) for item in deployments} == {
        OLD: (70, 100),
        NEW: (0, 0),
    }


def test_without_a_maximum_the_maximum_is_the_minimum() -> None:
    captured = payload("endpoint-serving")
    (model,) = captured["deployed_models"]
    bare = {**captured, "deployed_models": [{**model, "dedicated_resources": {"min_replica_count": 2}}]}

    _, deployment = LIVE(bare, "acme")

    assert deployment.spec["max_replica_count"] == 2


def test_the_endpoint_of_another_fleet_and_all_on_it_are_invisible() -> None:
    assert LIVE(payload("endpoint-serving"), "other") == ()


def test_the_deployment_kind_reads_the_same_payload_for_deployments_alone() -> None:
    _, *deployments = LIVE(payload("endpoint-shared"), "acme")

    assert KINDS["deployment"].live(payload("endpoint-shared"), "acme") == tuple(deployments)


def test_a_deployment_learns_its_training_from_its_model_version() -> None:
    model = KINDS["model"].live(payload("model-ready"), "acme")
    other_project = LIVE(payload("endpoint-rolling"), "acme")

    joined = linked((*model, *other_project))

    assert {item.stamp: item.outputs.get("trained_by") for item in joined if item.kind == "deployment"} == {
        OLD: None,
        NEW: "4f1c2a9b7d3e6f805142",
    }


def test_a_deploy_in_flight_is_a_pending_deployment_of_the_claim_before_it() -> None:
    claims = {NEW: claim(NEW, STARTED - 5), OLD: claim(OLD, STARTED - 5000)}

    (deployment,) = from_operations(endpoint(), (payload("operation-deploy-pending"),), claims, {})

    assert (deployment.stamp, deployment.phase, deployment.attempt_key) == (NEW, Phase.PENDING, "key")
    assert deployment.since == STARTED


def test_a_known_operation_needs_no_guess() -> None:
    operation = payload("operation-deploy-pending")

    (deployment,) = from_operations(endpoint(), (operation,), {}, {str(operation["name"]): OLD})

    assert deployment.stamp == OLD


def test_an_operation_that_nobody_claimed_is_left_out() -> None:
    late = {NEW: claim(NEW, STARTED + 3600)}

    assert from_operations(endpoint(), (payload("operation-deploy-pending"),), late, {}) == ()


def test_a_failed_deploy_is_a_failed_deployment_with_its_cause_and_tries() -> None:
    operations = (payload("operation-deploy-stock-out"), payload("operation-deploy-failed"))

    (deployment,) = from_operations(endpoint(), operations, {NEW: claim(NEW, STARTED - 9000)}, {})

    assert deployment.failure is not None
    assert (deployment.phase, deployment.failure.cause, deployment.tries) == (Phase.FAILED, Cause.STOCKOUT, 2)


def test_an_operation_is_a_trace_and_nothing_that_could_be_undeployed() -> None:
    operations = (payload("operation-deploy-failed"),)

    (deployment,) = from_operations(endpoint(), operations, {NEW: claim(NEW, STARTED - 9000)}, {})

    assert deployment.history


def test_a_deploy_that_succeeded_after_a_failure_leaves_nothing_to_tell() -> None:
    operations = (payload("operation-deploy-done"), payload("operation-deploy-failed"))

    assert from_operations(endpoint(), operations, {NEW: claim(NEW, STARTED - 9000)}, {}) == ()


def test_an_undeploy_is_no_deployment() -> None:
    claims = {NEW: claim(NEW, STARTED - 5)}

    assert from_operations(endpoint(), (payload("operation-undeploy-pending"),), claims, {}) == ()


def endpoint() -> LiveResource:
    return LIVE(payload("endpoint-empty"), "acme")[0]


def claim(stamp: str, at: float) -> Claim:
    return Claim(stamp, DEPLOYMENT, at, "somebody", attempt_key="key")


@pytest.mark.parametrize(("label", "stepped"), [("1763700000", 1763700000.0), ("by-hand", 0.0), ("", 0.0)])
def test_the_time_of_the_last_step_is_read_from_the_endpoint(label: str, stepped: float) -> None:
    before = payload("endpoint-serving")
    found = LIVE({**before, "labels": {**before["labels"], "loraform-stepped": label}}, "acme")

    assert {item.stepped for item in found if item.address.role is Role.DEPLOYMENT} == {stepped}
