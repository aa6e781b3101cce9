"""The words of a vLLM command line -> keys of `serving.engine`, and the words that are none, each with its reason."""

from __future__ import annotations

from collections.abc import Sequence

from reconciler.core.resources import Json
from schemas.keys import OURS, table

_TRUE = "true"


def engine_of(words: Sequence[str]) -> tuple[dict[str, Json], list[tuple[str, str]]]:
    """(`{"max_model_len": 4096}`, [(word, why it is not among them)]) of `--max-model-len=4096` and the like."""
    keys = table()["engine"].keys
    engine: dict[str, Json] = {}
    unknown: list[tuple[str, str]] = []
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if not word.startswith("--"):
            unknown.append((word, "not an engine argument of vLLM"))
            continue
        name, given, text = word[2:].partition("=")
        key = name.replace("-", "_")
        if not given:
            text = rest.pop(0) if rest and not rest[0].startswith("--") else _TRUE
            word = word if text is _TRUE else f"{word} {text}"
        if key.startswith("no_") and key not in keys:
            key, text = key.removeprefix("no_"), "false"
        if key not in keys:
            unknown.append((word, "not an engine argument of this vLLM"))
        elif keys[key].effect == OURS:
            unknown.append((word, "Loraform sets it"))
        elif (value := _value(keys[key].type, text)) is None:
            unknown.append((word, f"not a value of the type {keys[key].type}"))
        else:
            engine[key] = value
    return engine, unknown


def _value(kind: str, text: str) -> Json:
    """The text as a value of a type of the table; None where it is none, or the type is no scalar."""
    for name in kind.split("|"):
        if name == "bool" and text.lower() in (_TRUE, "false"):
            return text.lower() == _TRUE
        for word, make in (("int", int), ("float", float)):
            if name == word:
                try:
                    return make(text)
                except ValueError:
                    continue
        if name == "str":
            return text
    return None
