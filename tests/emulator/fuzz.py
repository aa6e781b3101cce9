"""Requests that nobody should send, at random and always the same: to every service, to Cloud Storage, to the control
surface, and bytes that are no HTTP. `python -m tests.emulator.fuzz --count 20000 --seed 0` sends them to a server of
its own and says what went wrong; `test_fuzz.py` sends fewer.
"""

from __future__ import annotations

import argparse
import json
import socket
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any
from urllib.parse import quote, urlsplit

import httpx

from reconciler.emulator.answer import METHODS
from reconciler.emulator.wire.codec import message_class
from reconciler.emulator.wire.requests import request_type
from reconciler.emulator.wire.routes import Binding, load_routes
from tests.emulator.clients import Cloud
from tests.emulator.images import STAND_INS, write_programs
from tests.emulator_fixture import running_emulator

WORDS = ["", "x", "a" * 200, "@", "m@1", "gs://b/x", "-1", "0", "1", "é", "\0", "labels.a=b", "labels.a:*", '"', "1s"]
WORDS += ["projects/p/locations/p/models/p", "2020-01-01T00:00:00Z", "a.b", "displayName", "*", "test/hold", "e30"]
ODD = [None, True, 5, -1, 2**70, 1e308, "x", [], {}, [1], [[]], {"a": {}}]
BROKEN = [b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":NaN}', b'{"instances":[1e999]}', b'{"a":"\\ud800"}']
VERBS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"]

OBJECT_PATHS = [
    "b", "b/{b}", "b/{b}/o", "b/{b}/o/one", "b/{b}/o/no%00ne", "b/{b}/o/one/compose", "b/{b}/o/one/restore",
    "b/{b}/o/one/copyTo/b/{b}/o/two", "b/{b}/o/one/rewriteTo/b/{b}/o/%ff", "b/{b}/o/one/moveTo/o/two", "b/{b}/iam",
    "b/{b}/iam/testPermissions", "b/{b}/restore", "b/{b}/lockRetentionPolicy", "b/{b}/storageLayout", "b/{b}/acl",
    "b//o/", "b/%F0%9F%99%82/o/x", "projects/p/serviceAccount", "projects/p/hmacKeys", "",
]  # fmt: skip
STORAGE = ["/storage/v1/", "/upload/storage/v1/", "/resumable/upload/storage/v1/", "/download/storage/v1/", "/batch/"]
PARAMETERS = [
    "prefix", "delimiter", "maxResults", "pageToken", "fields", "generation", "ifGenerationMatch", "matchGlob", "name",
    "ifMetagenerationMatch", "uploadType", "upload_id", "alt", "versions", "startOffset", "project", "softDeleted",
    "sourceGeneration", "permissions", "projection", "uploads", "uploadId", "partNumber", "overrideUnlockedRetention",
]  # fmt: skip
VALUES = ["media", "multipart", "resumable", "true", "0", "1", "1" * 40, "-1", "é", "[", "a(b", "\ud7ff", ""]
HEADERS = [
    ("range", "bytes=0-"), ("range", "bytes=-0"), ("range", "bytes=99999999999999999-"), ("expect", "nothing"),
    ("content-range", "bytes */*"), ("content-range", "bytes 0-1/2"), ("content-range", "bytes 9-8/7"),
    ("content-type", "multipart/related; boundary=x"), ("content-type", "multipart/mixed; boundary=x"),
    ("x-goog-hash", "crc32c=!"), ("x-goog-hash", "md5="),
    ("accept-encoding", "gzip"), ("if-match", '"x", W/*'), ("if-none-match", "*"), ("x-goog-custom-time", "soon"),
    ("content-encoding", "gzip"), ("x-goog-encryption-algorithm", "AES256"), ("metadata-flavor", "Google"),
]  # fmt: skip
FIELDS = [
    "name", "metadata", "labels", "contentType", "sourceObjects", "destination", "bindings", "etag", "versioning",
    "lifecycle", "cors", "location", "storageClass", "generation", "temporaryHold", "deleteSourceObjects", "version",
    "retentionPolicy", "softDeletePolicy", "iamConfiguration", "autoclass", "encryption", "retention", "customTime",
    "defaultEventBasedHold", "objectRetention", "customPlacementConfig",
]  # fmt: skip
CONTROL = [
    "health", "calls", "calls:reset", "faults", "faults/1", "faults/x", "clock", "overview", "jobs/1:finish",
    "jobs/{job}:finish", "jobs/{job}:preempt", "jobs/{job}/log", "jobs/x/log", "", "nothing", "../v1",
]  # fmt: skip
ORDERS: list[dict[str, Any]] = [
    {"match": {"method": "*"}, "effect": {"status": 429}}, {"effect": {"status": "NOT_FOUND"}}, {"effect": {"fail": 5}},
    {"match": 5, "effect": {}}, {"times": -1, "effect": {"status": 404}}, {"effect": {"stale_s": "x"}},
    {"mode": "virtual"}, {"mode": "real"}, {"mode": []}, {"advance_s": 1}, {"advance_s": -5}, {"advance_s": 1e300},
    {"effect": {"status": 9}}, {"mode": "virtual", "advance_s": 5},
    {"state": "JOB_STATE_FAILED", "message": "x"}, {"state": 5}, {"seed": [], "chance": 2, "effect": {"fail": "x"}},
]  # fmt: skip
OTHERS = [
    "/v1/projects/p/secrets", "/v1/projects/p/secrets/s:addVersion", "/v1/projects/p/secrets/s/versions/1:access",
    "/v2/entries:list", "/v1/{endpoint}/invoke/x", "/v1/{endpoint}/deployedModels/1/invoke/", "/", "/v1beta1", "/ui/",
    "/v1beta1/{endpoint}/chat/completions", "/v1/projects/p/locations/l/metadataStores/x/contexts", "/%ff", "//",
    "/{b}", "/{b}/one", "/{b}/one?uploads", "/v1/{job}:cancel", "/v1/{model}@-", "/v1/{endpoint}:rawPredict",
    "/computeMetadata/v1/instance/?recursive=true", "/computeMetadata/v1/%ff", "/computeMetadata/v1//x/?recursive=",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Target:
    """A server, and names of things that are there: `b` a bucket, the others as in Vertex AI."""

    url: str
    names: dict[str, str]


@dataclass(slots=True)
class Tally:
    """How many requests had which answer, and those that were answered with a server error."""

    statuses: Counter[int] = field(default_factory=Counter)
    bad: list[str] = field(default_factory=list)

    @property
    def count(self) -> int:
        """How many requests were sent."""
        return sum(self.statuses.values())


def prepare(cloud: Cloud) -> Target:
    """Make one of everything that random requests may hit."""
    bucket = f"fuzz-{cloud.parent.split('/')[1]}"
    httpx.post(f"{cloud.url}/storage/v1/b?project=p", json={"name": bucket})
    httpx.post(f"{cloud.url}/upload/storage/v1/b/{bucket}/o?uploadType=media&name=one", content=b"x")
    model, endpoint = cloud.model(image="test/stub"), cloud.endpoint()
    cloud.deploy(endpoint, model, {"0": 100}).result()
    job = cloud.job(image="test/hold")
    names = {"b": bucket, "model": model.name, "endpoint": endpoint.name, "job": job.name, "parent": cloud.parent}
    return Target(cloud.url, names)


def send(target: Target, count: int, seed: int) -> Tally:
    """Send `count` requests, one after another."""
    random, tally = Random(seed), Tally()
    bindings = shortest_bindings()
    with httpx.Client(base_url=target.url, timeout=30) as client:
        for _ in range(count):
            kind = random.choices(KINDS, WEIGHTS)[0]
            verb, path, headers, body = kind(random, target, bindings)
            if kind is rubbish:
                tally.statuses[spill(target.url, body)] += 1
                continue
            answer = reach(client, verb, f"{target.url}{path}", headers, body)
            tally.statuses[answer.status_code] += 1
            if answer.status_code >= 500 and not allowed(answer):
                tally.bad.append(f"{answer.status_code} {verb} {path} {headers} {body[:300]!r}: {answer.text[:300]}")
        client.delete("/emulator/faults")
        client.post("/emulator/clock", json={"mode": "real"})
        assert client.get("/emulator/health").status_code == 200
    return tally


def reach(client: httpx.Client, verb: str, url: str, headers: dict[str, str], body: bytes) -> httpx.Response:
    """Send a request; once more where the server was just closing the connection, as it may between two requests."""
    try:
        return client.request(verb, url, headers=headers, content=body)
    except (httpx.ReadError, httpx.WriteError, httpx.RemoteProtocolError):
        return client.request(verb, url, headers=headers, content=body)


def allowed(answer: httpx.Response) -> bool:
    """501 for what is not there; and the 503 by which Cloud Storage says that a chunk does not follow the last one."""
    return answer.status_code == 501 or (answer.status_code == 503 and "Content-Range" in answer.text)


def spill(url: str, data: bytes) -> int:
    """Send bytes over a connection of their own; the status of the answer, 0 for none."""
    where = urlsplit(url)
    with socket.create_connection((where.hostname or "", where.port or 0), timeout=10) as connection:
        try:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            found = connection.recv(4096).split(b" ", 2)
        except OSError:  # the server has hung up, as it may
            return 0
    return int(found[1]) if len(found) > 1 and found[1].isdigit() else 0


def shortest_bindings() -> list[Binding]:
    """One binding of every method that is served through Google's types."""
    found: list[Binding] = []
    nodes = [load_routes().root]
    while nodes:
        node = nodes.pop()
        nodes.extend(node.children.values())
        found.extend(one for one in node.ends.values() if one.method in METHODS)
    by_method = {one.method: one for one in sorted(found, key=lambda one: (-len(one.path), one.path))}
    return [by_method[method] for method in sorted(by_method)]


Request = tuple[str, str, dict[str, str], bytes]


def typed(random: Random, target: Target, bindings: Sequence[Binding]) -> Request:
    """A method of Vertex AI, with a body that nearly fits; now and then about something that is there."""
    binding = random.choice(bindings)
    parts = [quote(random.choice(["p", "p", "1", *WORDS]) or "p", safe="") if p == "*" else p for p in binding.path]
    name = "/".join(parts)
    if random.random() < 0.4:
        real = [one for one in target.names.values() if len(one.split("/")) == binding.end - binding.start]
        name = (
            "/".join([*parts[: binding.start], random.choice(real or [name]), *parts[binding.end :]]) if real else name
        )
    kind = message_class(request_type(binding.method)).DESCRIPTOR
    query = "&".join(f"{f.json_name}={quote(random.choice(WORDS))}" for f in kind.fields if random.random() < 0.1)
    if binding.body not in ("", "*"):
        kind = kind.fields_by_name[binding.body].message_type
    body = random.choice(BROKEN) if random.random() < 0.05 else json.dumps(near(random, target, kind)).encode()
    path = f"/{random.choice(['v1', 'v1beta1', 'ui'])}/{name}{':' if binding.action else ''}{binding.action}"
    return binding.verb, f"{path}?{query}", {"content-type": "application/json"}, body if binding.body else b""


def stored(random: Random, target: Target, bindings: Sequence[Binding]) -> Request:
    """Something for Cloud Storage."""
    path = random.choice(STORAGE) + random.choice(OBJECT_PATHS).format(**target.names)
    pairs = [(random.choice(PARAMETERS), random.choice([*VALUES, *WORDS])) for _ in range(random.randint(0, 3))]
    query = "&".join(f"{key}={quote(value)}" for key, value in pairs)
    headers = dict(random.sample(HEADERS, random.choice([0, 0, 1, 2])))
    inside = {random.choice(FIELDS): random.choice([*ODD, *WORDS, {random.choice(FIELDS): 1}]) for _ in range(3)}
    body = random.choice([*BROKEN, b"", random.randbytes(30), json.dumps(inside).encode(), json.dumps(inside).encode()])
    return random.choice(VERBS), f"{path}?{query}", headers, body


def controlled(random: Random, target: Target, bindings: Sequence[Binding]) -> Request:
    """Something for the control surface; no faults that answer with a server error."""
    path = random.choice(CONTROL).format(job=target.names["job"].rsplit("/", 1)[1])
    body = random.choice([*BROKEN, b"", *(json.dumps(one).encode() for one in ORDERS)])
    return (
        random.choice(["GET", "POST", "DELETE"]),
        f"/emulator/{path}?after={quote(random.choice(WORDS[:12]))}",
        {},
        body,
    )


def other(random: Random, target: Target, bindings: Sequence[Binding]) -> Request:
    """The other addresses: containers' routes, secrets, logs, objects by their names, nowhere."""
    inside = {random.choice(["filter", "pageSize", "payload", "orderBy", "pageToken", "messages"]): random.choice(ODD)}
    body = random.choice([*BROKEN, b"", b"x", json.dumps(inside).encode()])
    path = random.choice(OTHERS).format(**target.names)
    return random.choice(VERBS), path, dict(random.sample(HEADERS, random.choice([0, 1]))), body


def rubbish(random: Random, target: Target, bindings: Sequence[Binding]) -> Request:
    """Bytes that are no HTTP, or not quite."""
    head = random.choice(
        [b"GET / HTTP/1.1\r\n", b"POST /v1/x HTTP/1.1\r\n", b"GET /\xff\x00 HTTP/9\r\n", b"\x16\x03\x01"]
    )
    rest = [
        b"", random.randbytes(200), b"host: x\r\n\r\n", b"content-length: -1\r\n\r\n", b"content-length: 9\r\n\r\nab",
        b"transfer-encoding: chunked\r\n\r\nzz\r\n", b"x: " + b"y" * 100_000 + b"\r\n\r\n", b"host: e.example\r\n\r\n",
        b"content-length: 99999999999999999999\r\n\r\n", b"upgrade: websocket\r\nconnection: upgrade\r\n\r\n",
    ]  # fmt: skip
    return "", "", {}, head + random.choice(rest)


KINDS: list[Callable[[Random, Target, Sequence[Binding]], Request]] = [typed, stored, controlled, other, rubbish]
WEIGHTS = [60, 25, 6, 6, 3]


def near(random: Random, target: Target, kind: Any, depth: int = 0) -> Any:
    """JSON that nearly fits a message type."""
    if kind.full_name.startswith("google.protobuf."):
        return random.choice([*ODD, *WORDS, {"paths": ["a"]}, {"seconds": 1}])
    chance = 0.5 if depth < 4 else 0.1
    return {
        random.choice([field.json_name, field.name]): value(random, target, field, depth)
        for field in kind.fields
        if random.random() < chance
    }


def value(random: Random, target: Target, field: Any, depth: int) -> Any:
    """JSON that nearly fits a field."""
    if random.random() < 0.08:
        return random.choice(ODD)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {random.choice(WORDS): random.choice([*WORDS, 100])}
    if field.message_type is not None:
        found = near(random, target, field.message_type, depth + 1)
    else:
        found = random.choice([*WORDS, *target.names.values(), 0, 1, 2**31, 2**63, 1.5, True])
    return [found] * random.randint(0, 2) if field.is_repeated else found


def main() -> int:
    """Send them and say how it went. Returns 1 where a request was answered with a server error."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulator.fuzz")
    parser.add_argument("--count", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=0)
    chosen = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        programs = write_programs(Path(folder))
        options = ("--jobs-at-once", "2", "--stand-ins", json.dumps(STAND_INS))
        with running_emulator(Path(folder) / "state", programs, *options) as url:
            tally = send(prepare(Cloud(url, "projects/fuzz/locations/us-central1")), chosen.count, chosen.seed)
    for line in tally.bad:
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(
        f"{tally.count} requests: {dict(sorted(tally.statuses.items()))}, {len(tally.bad)} server errors\n"
    )
    return 1 if tally.bad else 0


if __name__ == "__main__":
    sys.exit(main())
