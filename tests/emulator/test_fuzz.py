"""Whatever is sent: never a server error, and never a dead server. The requests are random, and always the same."""

from __future__ import annotations

import json
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from reconciler.emulator.answer import METHODS
from reconciler.emulator.wire.codec import message_class
from reconciler.emulator.wire.requests import request_type
from reconciler.emulator.wire.routes import Binding, load_routes

WORDS = ["", "x", "a" * 200, "@", "m@1", "gs://b/x", "-1", "0", "1", "é", "\0", "labels.a=b", "labels.a:*", '"', "1s"]
WORDS += ["projects/p/locations/p/models/p", "2020-01-01T00:00:00Z", "a.b", "displayName", "*", "test/hold", "e30"]
ODD = [None, True, 5, -1, 2**70, 1e308, "x", [], {}, [1], [[]], {"a": {}}]
BROKEN = [b"{", b"[]", b"null", b"\xff", b"[" * 100_000, b'{"a":NaN}', b'{"instances":[1e999]}']


@pytest.mark.parametrize("seed", range(4))
def test_no_request_is_answered_with_a_server_error(url: str, seed: int) -> None:
    random = Random(seed)
    bindings = shortest_bindings()
    with httpx.Client(base_url=url, timeout=10) as client:
        for _ in range(400):
            binding = random.choice(bindings)
            verb, path, body = request(random, binding)

            answer = client.request(verb, path, content=body, headers={"content-type": "application/json"})

            assert answer.status_code < 500, (verb, path, body, answer.text)
        assert client.get("/emulator/health").status_code == 200


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


def request(random: Random, binding: Binding) -> tuple[str, str, bytes]:
    parts = [quote(random.choice(["p", "p", "1", *WORDS]) or "p", safe="") if p == "*" else p for p in binding.path]
    kind = message_class(request_type(binding.method)).DESCRIPTOR
    query = "&".join(f"{f.json_name}={quote(random.choice(WORDS))}" for f in kind.fields if random.random() < 0.1)
    if binding.body not in ("", "*"):
        kind = kind.fields_by_name[binding.body].message_type
    body = random.choice(BROKEN) if random.random() < 0.05 else json.dumps(near(random, kind)).encode()
    path = f"/{random.choice(['v1', 'v1beta1', 'ui'])}/{'/'.join(parts)}{':' if binding.action else ''}{binding.action}"
    return binding.verb, f"{path}?{query}", body if binding.body else b""


def near(random: Random, kind: Any, depth: int = 0) -> Any:
    """JSON that nearly fits a message type."""
    if kind.full_name.startswith("google.protobuf."):
        return random.choice([*ODD, *WORDS])
    chance = 0.6 if depth < 4 else 0.1
    return {
        random.choice([field.json_name, field.name]): value(random, field, depth)
        for field in kind.fields
        if random.random() < chance
    }


def value(random: Random, field: Any, depth: int) -> Any:
    if random.random() < 0.08:
        return random.choice(ODD)
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        return {random.choice(WORDS): random.choice([*WORDS, 100])}
    if field.message_type is not None:
        found = near(random, field.message_type, depth + 1)
    else:
        found = random.choice([*WORDS, 0, 1, 2**31, 2**63, 1.5, True])
    return [found] * random.randint(0, 2) if field.is_repeated else found
