"""`python -m tests.emulator.conformance` writes docs/conformance.md: every method, whether it is served, and its test.

What is served is what `answer` knows. The test of a method is found in the text of the tests: the one that calls it
most directly, itself or through the helpers of `clients.py`; of several the one that calls least besides.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from reconciler.emulator.answer import METHODS
from reconciler.emulator.wire.routes import load_routes, other_routes

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs/conformance.md"
SERVICES = (
    "JobService",
    "ModelService",
    "EndpointService",
    "PredictionService",
    "PipelineService",
    "GenAiTuningService",
    "ModelGardenService",
)
BY_TEXT: Mapping[str, str] = {
    "PredictionService.Invoke": "/invoke/",
    "PredictionService.ChatCompletions": "chat/completions",
    "ModelGardenService.Deploy": "garden.deploy(",
}
"""Methods that Google's clients lack, called by their address, and one whose name is not telling."""

HEAD = """\
# What the embedded Vertex AI serves

Every method of the services that it knows: served, with a test that calls it as Google's clients do, or answered with
501 and its own name. Written by `python -m tests.emulator.conformance`; do not edit.
"""


@dataclass(frozen=True, slots=True)
class Caller:
    """A test, by its place, and how far it is from each of the names that it calls: 0 when it calls them itself."""

    place: str
    far: Mapping[str, int]
    text: str


def served() -> dict[str, bool]:
    """Each method of `SERVICES`, by name, and whether it is served."""
    others = (method for routes in other_routes() for method in routes.methods)
    known = sorted({*load_routes().methods, *others, *METHODS})
    return {method: method in METHODS for method in known if method.split(".")[0] in SERVICES}


def calling(method: str, tests: tuple[Caller, ...]) -> tuple[Caller, ...]:
    """The tests that call a method, the one to name first."""
    name = snake(method.split(".")[1])
    address = BY_TEXT.get(method)
    found = [test for test in tests if (address in test.text if address else name in test.far)]
    return tuple(
        sorted(found, key=lambda test: (test.far.get(name, 0), "raises" in test.far, len(test.far), test.place))
    )


def all_tests() -> tuple[Caller, ...]:
    """Every test of this folder."""
    shared = functions((Path(__file__).parent / "clients.py").read_text(encoding="utf-8"))
    return tuple(test for path in sorted(Path(__file__).parent.glob("test_*.py")) for test in _tests_in(path, shared))


def page() -> str:
    """The document."""
    tests, known = all_tests(), served()
    parts = [HEAD]
    for service in SERVICES:
        methods = [method for method in known if method.startswith(f"{service}.")]
        count = sum(known[method] for method in methods)
        parts.append(
            f"\n## {service}: {count} of {len(methods)} methods\n\n| method | answer | test |\n|---|---|---|\n"
        )
        for method in sorted(methods, key=lambda method: (not known[method], method)):
            found = calling(method, tests)[:1] if known[method] else ()
            named = f"`{found[0].place}`" if found else ""
            parts.append(f"| {method.split('.')[1]} | {'served' if known[method] else '501'} | {named} |\n")
    return "".join(parts)


def snake(name: str) -> str:
    """`ListCustomJobs` -> `list_custom_jobs`."""
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def functions(text: str) -> dict[str, ast.FunctionDef]:
    """All functions of a file by name, methods among them."""
    return {node.name: node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.FunctionDef)}


def _tests_in(path: Path, shared: Mapping[str, ast.FunctionDef]) -> Iterator[Caller]:
    text = path.read_text(encoding="utf-8")
    own = functions(text)
    for name, function in own.items():
        if name.startswith("test_") and "not_implemented" not in name:
            words = ast.get_source_segment(text, function) or ""
            yield Caller(f"{path.name}::{name}", _far(function, {**shared, **own}), words)


def _far(function: ast.FunctionDef, helpers: Mapping[str, ast.FunctionDef]) -> dict[str, int]:
    """Breadth first through the helpers that a function names."""
    far: dict[str, int] = {}
    front = [function]
    distance = 0
    while front:
        names = sorted({name for node in front for name in _names(node)} - far.keys())
        far.update(dict.fromkeys(names, distance))
        front = [helpers[name] for name in names if name in helpers]
        distance += 1
    return far


def _names(function: ast.FunctionDef) -> Iterator[str]:
    for node in ast.walk(function):
        if isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.Name):
            yield node.id


if __name__ == "__main__":
    DOCUMENT.write_text(page(), encoding="utf-8")
