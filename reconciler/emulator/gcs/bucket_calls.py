"""The JSON API's calls on buckets and their IAM policies: what they read from a request, what they answer."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from reconciler.emulator.gcs.bucket_changes import locked
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import Json, StorageError, condition_not_met, invalid, required
from reconciler.emulator.gcs.http import Request
from reconciler.emulator.gcs.records import Bucket, Settings, etag
from reconciler.emulator.gcs.recovery import deleted_bucket, list_deleted_buckets, restore_bucket
from reconciler.emulator.gcs.resources import bucket_json, bucket_settings, merged

PAGE = 1000


def list_buckets(buckets: Buckets, request: Request) -> Json:
    """`buckets.list`, of all projects where none is named."""
    if request.flag("softDeleted"):
        deleted = list_deleted_buckets(buckets, _project(request))
        return {"kind": "storage#buckets", "items": [bucket_json(bucket, request.base) for bucket in deleted]}
    limit = min(request.number("maxResults") or PAGE, PAGE)
    after = _after(request.query.get("pageToken", ""))
    found = buckets.list_buckets(_project(request), request.query.get("prefix", ""), after, limit + 1)
    shown: Json = {"kind": "storage#buckets"}
    if len(found) > limit:
        shown["nextPageToken"] = base64.urlsafe_b64encode(found[limit - 1].name.encode()).decode()
    if found:
        shown["items"] = [bucket_json(bucket, request.base) for bucket in found[:limit]]
    return shown


def create_bucket(buckets: Buckets, request: Request, body: Json) -> Json:
    """`buckets.insert`."""
    name = body.get("name")
    if not isinstance(name, str) or not name:
        raise required("Required bucket name is missing.")
    settings = merged({}, bucket_settings(body))
    if request.flag("enableObjectRetention"):
        settings["objectRetention"] = {"mode": "Enabled"}
    return bucket_json(buckets.create_bucket(name, project=_project(request), settings=settings), request.base)


def get_bucket(buckets: Buckets, request: Request, name: str) -> Json:
    """`buckets.get`, of a soft-deleted one where it is asked for."""
    if request.flag("softDeleted"):
        return bucket_json(deleted_bucket(buckets, name, generation_of(request)), request.base)
    return bucket_json(buckets.bucket(name, request.conditions()), request.base)


def patch_bucket(buckets: Buckets, request: Request, name: str, body: Json) -> Json:
    """`buckets.patch`: the given fields change."""
    patch = _without_place(bucket_settings(body))
    return bucket_json(buckets.change_bucket(name, lambda old: merged(old, patch), request.conditions()), request.base)


def update_bucket(buckets: Buckets, request: Request, name: str, body: Json) -> Json:
    """`buckets.update`: all that may be written is replaced."""
    settings = merged({}, _without_place(bucket_settings(body)))

    def change(old: Settings) -> Settings:
        return {"location": old["location"], "storageClass": "STANDARD", **settings}

    return bucket_json(buckets.change_bucket(name, change, request.conditions()), request.base)


def delete_bucket(buckets: Buckets, request: Request, name: str) -> None:
    """`buckets.delete`."""
    buckets.delete_bucket(name, request.conditions())


def restore(buckets: Buckets, request: Request, name: str) -> Json:
    """`buckets.restore`."""
    return bucket_json(restore_bucket(buckets, name, generation_of(request)), request.base)


def lock_retention_policy(buckets: Buckets, request: Request, name: str) -> Json:
    """`buckets.lockRetentionPolicy`: for good, so the metageneration must be said."""
    conditions = request.conditions()
    if conditions.metageneration_match is None:
        raise required("Required parameter: ifMetagenerationMatch", "ifMetagenerationMatch")
    return bucket_json(buckets.change_bucket(name, locked, conditions), request.base)


def storage_layout(buckets: Buckets, request: Request, name: str) -> Json:
    """`buckets.getStorageLayout`: every bucket here has a flat namespace."""
    shown = bucket_json(buckets.bucket(name), request.base)
    return {
        "kind": "storage#storageLayout",
        "bucket": name,
        "location": shown["location"],
        "locationType": shown["locationType"],
        "hierarchicalNamespace": {"enabled": False},
    }


def get_policy(buckets: Buckets, request: Request, name: str) -> Json:
    """`buckets.getIamPolicy`."""
    return _policy_json(buckets.bucket(name))


def set_policy(buckets: Buckets, request: Request, name: str, body: Json) -> Json:
    """`buckets.setIamPolicy`: an etag in the body must be the current one."""
    bindings = body.get("bindings", [])
    if not isinstance(bindings, list) or not all(isinstance(one, Mapping) and "role" in one for one in bindings):
        raise invalid("Invalid value for field bindings.")
    revision = buckets.bucket(name).policy_revision
    if body.get("etag") not in (None, etag(revision)):
        raise condition_not_met()
    version = body.get("version", 1)
    if any("condition" in binding for binding in bindings):
        _check_conditional(buckets.bucket(name), version)
    policy = {"version": version if isinstance(version, int) else 1, "bindings": bindings}
    return _policy_json(buckets.set_policy(name, policy, revision if body.get("etag") else None))


def test_permissions(buckets: Buckets, request: Request, name: str) -> Json:
    """`buckets.testIamPermissions`: whoever reaches this server may do everything."""
    buckets.bucket(name)
    asked = [value for key, value in request.repeated if key == "permissions"]
    if not asked:
        raise required("Required parameter: permissions", "permissions")
    shown: Json = {"kind": "storage#testIamPermissionsResponse"}
    for one in asked:
        if not one.startswith("storage."):
            raise invalid(f"Invalid permission: {one}", "permissions")
    return shown | {"permissions": asked}


def service_account(buckets: Buckets, request: Request, project: str) -> Json:
    """`projects.serviceAccount.get`."""
    address = f"service-{buckets.project_number(project)}@gs-project-accounts.iam.gserviceaccount.com"
    return {"kind": "storage#serviceAccount", "email_address": address}


def generation_of(request: Request) -> int:
    """The generation that must be said of what was deleted."""
    generation = request.number("generation")
    if generation is None:
        raise required("Required parameter: generation", "generation")
    return generation


def _project(request: Request) -> str:
    """Return the project of a request; the official client says `<none>` where it is told none of an emulator."""
    project = request.query.get("project", "")
    return "" if project == "<none>" else project


def _check_conditional(bucket: Bucket, version: object) -> None:
    """Raise 412 or 400 for a policy with conditions that the bucket, or the policy's version, does not allow."""
    access = bucket.settings.get("iamConfiguration")
    uniform = access.get("uniformBucketLevelAccess") if isinstance(access, Mapping) else None
    if not (isinstance(uniform, Mapping) and uniform.get("enabled") is True):
        message = "To set a policy with conditions, enable uniform bucket-level access on the bucket."
        raise StorageError(412, "conditionNotMet", message)
    if not isinstance(version, int) or version < 3:
        raise invalid("A policy with conditions must say a version of at least 3.")


def _policy_json(bucket: Bucket) -> Json:
    legacy = [
        {"role": "roles/storage.legacyBucketOwner",
         "members": [f"projectEditor:{bucket.project}", f"projectOwner:{bucket.project}"]},
        {"role": "roles/storage.legacyBucketReader", "members": [f"projectViewer:{bucket.project}"]},
    ]  # fmt: skip
    return {
        "kind": "storage#policy",
        "resourceId": f"projects/_/buckets/{bucket.name}",
        "version": bucket.policy.get("version", 1),
        "etag": etag(bucket.policy_revision),
        "bindings": bucket.policy.get("bindings", legacy),
    }


def _without_place(settings: dict[str, object]) -> dict[str, object]:
    """A bucket never moves: Google ignores a location in a patch or update."""
    return {name: value for name, value in settings.items() if name != "location"}


def _after(token: str) -> str:
    try:
        return base64.urlsafe_b64decode(token).decode()
    except (ValueError, binascii.Error) as error:
        raise invalid("Invalid page token.", "pageToken") from error
