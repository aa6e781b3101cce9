"""Which call a request to the JSON API means: one `match` over method and path, and 501 for what is not there."""

from __future__ import annotations

from reconciler.emulator.gcs import bucket_calls, object_calls
from reconciler.emulator.gcs.buckets import Buckets
from reconciler.emulator.gcs.errors import Json, StorageError, not_implemented
from reconciler.emulator.gcs.http import Request

ABSENT = frozenset(
    {
        "acl", "anywhereCaches", "bulkRestore", "channels", "defaultObjectAcl", "folders", "hmacKeys",
        "managedFolders", "notificationConfigs", "operations", "relocate", "watch",
    }
)  # fmt: skip
"""Resources and verbs of the real API that this one lacks."""


def call(buckets: Buckets, request: Request, body: Json) -> Json | None:
    """Carry out one call on metadata and return its answer, `None` for an empty one."""
    where = request.path[2:]
    match request.method, *where:
        case (
            (_, "b")
            | (_, "b", _)
            | (_, "b", _, "iam" | "lockRetentionPolicy" | "restore" | "storageLayout", *_)
            | (_, "projects", *_)
        ):
            return _bucket_call(buckets, request, body)
        case _, "b", _, "o", *_:
            return _object_call(buckets, request, body)
        case _:
            raise unknown(request)


def unknown(request: Request) -> StorageError:
    """Return the refusal of an address: 501 where the real API has something there, else 404."""
    where = "/".join(request.path)
    if any(part in ABSENT for part in request.path[2:]):
        return not_implemented(f"{request.method} {where}")
    return StorageError(404, "notFound", f"The requested address /{where} was not found for {request.method}.")


def _bucket_call(buckets: Buckets, request: Request, body: Json) -> Json | None:
    match request.method, *request.path[2:]:
        case "GET", "b":
            return bucket_calls.list_buckets(buckets, request)
        case "POST", "b":
            return bucket_calls.create_bucket(buckets, request, body)
        case "GET", "b", bucket:
            return bucket_calls.get_bucket(buckets, request, bucket)
        case "PATCH", "b", bucket:
            return bucket_calls.patch_bucket(buckets, request, bucket, body)
        case "PUT", "b", bucket:
            return bucket_calls.update_bucket(buckets, request, bucket, body)
        case "DELETE", "b", bucket:
            bucket_calls.delete_bucket(buckets, request, bucket)
            return None
        case "GET", "b", bucket, "iam":
            return bucket_calls.get_policy(buckets, request, bucket)
        case "PUT", "b", bucket, "iam":
            return bucket_calls.set_policy(buckets, request, bucket, body)
        case "GET", "b", bucket, "iam", "testPermissions":
            return bucket_calls.test_permissions(buckets, request, bucket)
        case "POST", "b", bucket, "lockRetentionPolicy":
            return bucket_calls.lock_retention_policy(buckets, request, bucket)
        case "POST", "b", bucket, "restore":
            return bucket_calls.restore(buckets, request, bucket)
        case "GET", "b", bucket, "storageLayout":
            return bucket_calls.storage_layout(buckets, request, bucket)
        case "GET", "projects", project, "serviceAccount":
            return bucket_calls.service_account(buckets, request, project)
        case _:
            raise unknown(request)


def _object_call(buckets: Buckets, request: Request, body: Json) -> Json | None:
    match request.method, *request.path[2:]:
        case "GET", "b", bucket, "o":
            return object_calls.list_objects(buckets, request, bucket)
        case "GET", "b", bucket, "o", name:
            return object_calls.get_object(buckets, request, bucket, name)
        case "PATCH", "b", bucket, "o", name:
            return object_calls.patch_object(buckets, request, bucket, name, body)
        case "PUT", "b", bucket, "o", name:
            return object_calls.update_object(buckets, request, bucket, name, body)
        case "DELETE", "b", bucket, "o", name:
            object_calls.delete_object(buckets, request, bucket, name)
            return None
        case "POST", "b", bucket, "o", name, "restore":
            return object_calls.restore(buckets, request, bucket, name)
        case "POST", "b", bucket, "o", name, "compose":
            return object_calls.compose_object(buckets, request, bucket, name, body)
        case "POST", "b", bucket, "o", name, "copyTo", "b", other, "o", target:
            return object_calls.copy_object(buckets, request, (bucket, name), (other, target), body)
        case "POST", "b", bucket, "o", name, "rewriteTo", "b", other, "o", target:
            return object_calls.rewrite_object(buckets, request, (bucket, name), (other, target), body)
        case "POST", "b", bucket, "o", name, "moveTo", "o", target:
            return object_calls.move_object(buckets, request, bucket, name, target)
        case _:
            raise unknown(request)
