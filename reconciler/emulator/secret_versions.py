"""Secret Manager, as far as containers use it: create a secret, add a version, access a version."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from reconciler.emulator.store import Row
from reconciler.emulator.wire.errors import Json, invalid, not_found, taken
from reconciler.emulator.wire.names import canonical
from reconciler.emulator.world import Plain, World

KIND, VERSION = "secret", "secret_version"


def create(world: World, request: Json) -> Plain:
    """CreateSecret: `{"parent", "secretId", "secret"}`."""
    secret_id = str(request.get("secretId", ""))
    if not re.fullmatch(r"[A-Za-z0-9_-]{1,255}", secret_id):
        raise invalid("secret_id", "The secret id must be 1 to 255 letters, digits, hyphens and underscores.")
    parent = canonical(str(request["parent"]))
    name = f"{parent}/secrets/{secret_id}"
    secret = request.get("secret", {})
    shown = {"name": name, "replication": secret.get("replication", {"automatic": {}}), "createTime": _now(world)}
    shown |= {key: secret[key] for key in ("labels", "annotations") if key in secret}
    try:
        world.store.add(Row(KIND, name, parent, b"", {"secret": shown, "versions": 0}))
    except KeyError:
        raise taken(name) from None
    return Plain(shown)


def get(world: World, request: Json) -> Plain:
    """GetSecret: `{"name"}`."""
    return Plain(_secret(world, str(request["name"])).extra["secret"])


def add_version(world: World, request: Json) -> Plain:
    """AddSecretVersion: `{"parent", "payload": {"data": base64}}`."""
    row = _secret(world, str(request["parent"]))
    payload = request.get("payload", {})
    try:
        content = base64.b64decode(payload["data"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error):
        raise invalid("payload.data", "The payload needs base64 data.") from None
    number = row.extra["versions"] + 1
    name = f"{row.name}/versions/{number}"
    with world.store.together():
        world.store.add(Row(VERSION, name, row.name, content, {}))
        world.store.save(Row(KIND, row.name, row.parent, b"", {**row.extra, "versions": number}))
    return Plain({"name": name, "createTime": _now(world), "state": "ENABLED"})


def access(world: World, request: Json) -> Plain:
    """AccessSecretVersion: `{"name"}`, the version a number or `latest`."""
    secret, _, version = canonical(str(request["name"])).partition("/versions/")
    row = _secret(world, secret)
    number = row.extra["versions"] if version == "latest" else version
    found = world.store.get(VERSION, f"{secret}/versions/{number}")
    if found is None:
        raise not_found(f"Secret Version [{request['name']}]")
    return Plain({"name": found.name, "payload": {"data": base64.b64encode(found.body).decode()}})


def delete(world: World, request: Json) -> Plain:
    """DeleteSecret: with all versions."""
    row = _secret(world, str(request["name"]))
    with world.store.together():
        for version in list(world.store.children(VERSION, row.name)):
            world.store.drop(VERSION, version.name)
        world.store.drop(KIND, row.name)
    return Plain({})


METHODS: Mapping[str, Callable[[World, Json], Plain]] = {
    "SecretManagerService.CreateSecret": create,
    "SecretManagerService.GetSecret": get,
    "SecretManagerService.AddSecretVersion": add_version,
    "SecretManagerService.AccessSecretVersion": access,
    "SecretManagerService.DeleteSecret": delete,
}


def _secret(world: World, name: str) -> Row:
    row = world.store.get(KIND, canonical(name))
    if row is None:
        raise not_found(f"Secret [{name}]")
    return row


def _now(world: World) -> str:
    return datetime.fromtimestamp(world.clock(), UTC).isoformat().replace("+00:00", "Z")
