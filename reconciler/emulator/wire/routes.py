"""Which method an HTTP request means. The bindings are read from Google's installed client package (as text, without
importing it), so an URL cannot be misspelt here and every method that is not implemented still has a name.
`/v1`, `/v1beta1` and `/ui` are one and the same.
"""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from urllib.parse import unquote

PREFIXES = ("v1", "v1beta1", "ui")
SERVICES = (
    "job_service",
    "model_service",
    "endpoint_service",
    "prediction_service",
    "pipeline_service",
    "gen_ai_tuning_service",
    "model_garden_service",
    "metadata_service",
)
# The operations, locations and IAM mixins are repeated in every service; they are named after their own.
MIXINS = {
    "CancelOperation": "Operations",
    "DeleteOperation": "Operations",
    "GetOperation": "Operations",
    "ListOperations": "Operations",
    "WaitOperation": "Operations",
    "GetLocation": "Locations",
    "ListLocations": "Locations",
    "GetIamPolicy": "IAMPolicy",
    "SetIamPolicy": "IAMPolicy",
    "TestIamPermissions": "IAMPolicy",
}
_PIECE = re.compile(
    r"^class _Base(?P<title>\w+)RestTransport\b|^    class _Base(?P<name>\w+):|"
    r"^ {16}\{\n(?P<option>(?: {20}.*\n)+) {16}\},$",
    re.MULTILINE,
)
_WORDS = re.compile(r"""["'](\w+)["']: ["']([^"']*)["'],""")


@dataclass(frozen=True, slots=True)
class Binding:
    """One HTTP binding: `method` is `JobService.CreateCustomJob`, `path` a list of literal segments and `*`.

    `variable` is the request field that the starred part of the path fills (`parent`, `endpoint.name`), which lies
    between segments `start` and `end`. `body` is `*`, a field name, or empty.
    """

    method: str
    verb: str
    path: tuple[str, ...]
    action: str
    variable: str
    start: int
    end: int
    body: str


@dataclass(frozen=True, slots=True)
class Match:
    """A request's method, the value of its path variable, and the version in front: one of `PREFIXES`."""

    binding: Binding
    value: str
    version: str = "v1"


@dataclass(slots=True)
class _Node:
    children: dict[str, _Node] = field(default_factory=dict)
    ends: dict[tuple[str, str], Binding] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Routes:
    """All bindings as a tree of path segments."""

    root: _Node
    methods: frozenset[str]

    def match(self, verb: str, path: str) -> Match | None:
        """`path` as sent (percent-encoded), with its version prefix. None when no binding fits."""
        segments = [unquote(segment) for segment in path.lstrip("/").split("/")]
        if len(segments) < 2 or segments[0] not in PREFIXES:
            return None
        last, _, action = segments[-1].partition(":")
        version = segments[0]
        segments = [*segments[1:-1], last]
        binding = _find(self.root, segments, 0, (verb.upper(), action))
        if binding is None or not all(segments):
            return None
        return Match(binding, "/".join(segments[binding.start : binding.end]), version)


def load_routes(package: str = "google.cloud.aiplatform_v1", services: Iterable[str] = SERVICES) -> Routes:
    """Read the bindings of services. Raises `ModuleNotFoundError` when Google's client is not installed."""
    root = _Node()
    methods = set()
    for binding in _bindings(package, services):
        methods.add(binding.method)
        node = root
        for segment in binding.path:
            node = node.children.setdefault(segment, _Node())
        node.ends.setdefault((binding.verb, binding.action), binding)
    return Routes(root, frozenset(methods))


def _find(node: _Node, segments: list[str], at: int, end: tuple[str, str]) -> Binding | None:
    if at == len(segments):
        return node.ends.get(end)
    for key in (segments[at], "*"):
        child = node.children.get(key)
        found = _find(child, segments, at + 1, end) if child is not None else None
        if found is not None:
            return found
    return None


@cache
def other_routes() -> tuple[Routes, ...]:
    """What else Vertex AI has: its other services, and what only v1beta1 has. Read once somebody asks for it."""
    found = []
    for package, known in (("google.cloud.aiplatform_v1", SERVICES), ("google.cloud.aiplatform_v1beta1", ())):
        names = sorted(one.parent.parent.name for one in _services(package).glob("*/transports/rest_base.py"))
        found.append(load_routes(package, [name for name in names if name not in known]))
    return tuple(found)


def _services(package: str) -> Path:
    parent = importlib.util.find_spec(package)
    if parent is None or not parent.submodule_search_locations:
        raise ModuleNotFoundError(f"{package} is not installed: pip install 'loraform[local]'")
    return Path(parent.submodule_search_locations[0]) / "services"


def _bindings(package: str, services: Iterable[str]) -> Iterator[Binding]:
    """A transport's classes come in order, each with its options. A syntax tree would take ten times as long."""
    folder = _services(package)
    for service in services:
        source = (folder / service / "transports" / "rest_base.py").read_text(encoding="utf-8")
        title = name = ""
        for found in _PIECE.finditer(source):
            if found["title"]:
                title = found["title"]
            elif found["name"]:
                name = found["name"]
            else:
                option = dict(_WORDS.findall(found["option"]))
                binding = _binding(f"{MIXINS.get(name, title)}.{name}", option) if "uri" in option else None
                if binding is not None:
                    yield binding


def _binding(method: str, option: Mapping[str, str]) -> Binding | None:
    """None for templates that this tree does not express: `**`, or a second variable."""
    found = re.fullmatch(r"/(?:v1|v1beta1|ui)/(.*?)\{([\w.]+)(?:=([^}]*))?\}([^:]*)(?::(\w+))?", option["uri"])
    if found is None or "**" in option["uri"] or "{" in found[4]:
        return None
    before = [segment for segment in found[1].split("/") if segment]
    inside = (found[3] or "*").split("/")
    after = [segment for segment in found[4].split("/") if segment]
    return Binding(
        method=method,
        verb=option["method"].upper(),
        path=(*before, *inside, *after),
        action=found[5] or "",
        variable=found[2],
        start=len(before),
        end=len(before) + len(inside),
        body=option.get("body", ""),
    )
