"""IAM policies of buckets through the official client."""

from __future__ import annotations

import pytest
from google.api_core.exceptions import BadRequest, NotFound, PreconditionFailed
from google.cloud import storage

VIEWER = "roles/storage.objectViewer"


def test_a_new_bucket_has_the_legacy_bindings(bucket: storage.Bucket) -> None:
    policy = bucket.get_iam_policy()

    assert "projectOwner:test-project" in policy["roles/storage.legacyBucketOwner"]


def test_a_policy_comes_back_as_it_was_set(bucket: storage.Bucket) -> None:
    policy = bucket.get_iam_policy(requested_policy_version=3)
    policy.bindings.append({"role": VIEWER, "members": {"user:one@example.com"}})
    bucket.set_iam_policy(policy)

    found = bucket.get_iam_policy(requested_policy_version=3)

    assert {"role": VIEWER, "members": {"user:one@example.com"}} in list(found.bindings)


def test_a_policy_that_was_changed_meanwhile_is_refused(bucket: storage.Bucket) -> None:
    stale = bucket.get_iam_policy()
    bucket.set_iam_policy(bucket.get_iam_policy())

    with pytest.raises(PreconditionFailed):
        bucket.set_iam_policy(stale)


def test_a_condition_needs_uniform_access_and_a_policy_of_version_3(bucket: storage.Bucket) -> None:
    condition = {"title": "always", "description": "", "expression": "true"}
    binding = {"role": VIEWER, "members": {"user:one@example.com"}, "condition": condition}

    def set_at(version: int) -> int:
        policy = bucket.get_iam_policy(requested_policy_version=3)
        policy.bindings.append(binding)
        policy.version = version
        return int(bucket.set_iam_policy(policy).version)

    with pytest.raises(PreconditionFailed, match="enable uniform bucket-level access"):
        set_at(3)
    bucket.iam_configuration.uniform_bucket_level_access_enabled = True
    bucket.patch()
    with pytest.raises(BadRequest, match="at least 3"):
        set_at(1)

    assert set_at(3) == 3
    assert binding in list(bucket.get_iam_policy(requested_policy_version=3).bindings)


def test_whoever_asks_has_every_permission(bucket: storage.Bucket) -> None:
    asked = ["storage.objects.create", "storage.buckets.delete"]

    assert bucket.test_iam_permissions(asked) == asked


def test_a_permission_of_another_service_is_invalid(bucket: storage.Bucket) -> None:
    with pytest.raises(BadRequest):
        bucket.test_iam_permissions(["compute.instances.list"])


def test_the_policy_of_a_missing_bucket_is_not_found(client: storage.Client) -> None:
    with pytest.raises(NotFound):
        client.bucket("no-such-bucket-here").get_iam_policy()
