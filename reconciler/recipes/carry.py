"""Carrying a recipe over, key by key: every key that it gives ends in the manifest or in a note that says why not.

A rule says what becomes of one key. What a key means beside others (the rows, the method) is decided by whoever
calls; nothing here knows any particular trainer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from reconciler.core.errors import LoraformError
from reconciler.core.resources import Json
from schemas.keys import table


@dataclass(frozen=True, slots=True)
class Put:
    """A field of the manifest; `said` tells how it differs from what the recipe says, empty where it does not."""

    path: str
    value: Json
    said: str = ""


@dataclass(frozen=True, slots=True)
class Left:
    """Why a key has no place in the manifest."""

    why: str


Outcome: TypeAlias = Put | Left | tuple[Put | Left, ...]
Rule: TypeAlias = Callable[[Json, Mapping[str, Json]], Outcome]
"""(value of the key, the whole recipe) -> what becomes of it."""


@dataclass(frozen=True, slots=True)
class Note:
    """One key of a recipe and what became of it; an empty `path` means that it was not carried over."""

    key: str
    value: Json
    path: str = ""
    said: str = ""


@dataclass(frozen=True, slots=True)
class Imported:
    """A manifest without its name, and a note on every key of the recipe."""

    manifest: Mapping[str, Json]
    notes: tuple[Note, ...]

    @property
    def left(self) -> tuple[Note, ...]:
        """What was not carried over."""
        return tuple(note for note in self.notes if not note.path)


TOGETHER = "(with other keys)"
"""The path of a key that others say as well."""


class NotSupervised(LoraformError):
    """The recipe is for another kind of training than supervised fine-tuning."""


def carried(
    recipe: Mapping[str, Json],
    rules: Mapping[str, Rule],
    further: Iterable[tuple[str, Outcome]] = (),
    defaults: Iterable[Put] = (),
) -> Imported:
    """Apply `rules` to every key that says something. `further` are keys that were judged together.

    `defaults` are what leaving a key out means in the other trainer, where it means something else here.
    """
    judged = dict.fromkeys((key for key, _ in further), True)
    outcomes = [(key, recipe.get(key), outcome) for key, outcome in further]
    for key, value in recipe.items():
        if key in judged or value is None:
            continue
        rule = rules.get(key)
        outcome = rule(value, recipe) if rule else Left("no key that this import knows: look it up in its own trainer")
        outcomes.append((key, value, outcome))
    manifest: dict[str, Json] = {}
    notes: list[Note] = []
    for key, value, outcome in outcomes:
        if outcome == ():
            notes.append(Note(key, value, TOGETHER))
        for part in outcome if isinstance(outcome, tuple) else (outcome,):
            if isinstance(part, Left):
                notes.append(Note(key, value, said=part.why))
            elif _put(manifest, part.path, part.value):
                notes.append(Note(key, value, part.path, part.said))
            else:
                notes.append(Note(key, value, said=f"`{part.path}` is given by another key already"))
    made = [part for part in defaults if _put(manifest, part.path, part.value)]
    notes += (Note("(left out)", None, part.path, part.said) for part in made)
    return Imported(manifest, tuple(notes))


def to(path: str, convert: Callable[[Json], Json] = lambda value: value, said: str = "") -> Rule:
    """The key becomes the field at `path`, its value converted."""
    return lambda value, _: Put(path, convert(value), said)


def left(why: str) -> Rule:
    """The key has no place, whatever its value."""
    return lambda value, _: Left(why)


def unless_off(rule: Rule, why: str) -> Rule:
    """A switch: `rule` where it is on, and `why` off needs nothing."""
    return lambda value, recipe: rule(value, recipe) if value else Left(why)


def one_of(path: str, instead: str) -> Rule:
    """A word that must be one of those that the field at `path` allows; else it is left, and `instead` happens."""
    block, _, key = path.rpartition(".")
    words = frozenset(str(choice) for choice in table()[block].keys[key].choices or ())
    return lambda value, _: Put(path, value) if value in words else Left(f"`{value}` is none of ours; {instead}")


def number(value: Json) -> Json:
    """A number that YAML 1.1 may have read as text (`1e-4`), as a number; anything else as it is."""
    if not isinstance(value, str):
        return value
    try:
        found = float(value)
    except ValueError:
        return value
    return int(found) if found.is_integer() and "." not in value and "e" not in value.lower() else found


def table_of(why: Mapping[str, str]) -> dict[str, Rule]:
    """Rules from reasons: `{"why not": "key key key"}`."""
    return {key: left(reason) for reason, keys in why.items() for key in keys.split()}


def _put(manifest: dict[str, Json], path: str, value: Json) -> bool:
    """Set a field by its dotted path; False where it stands already."""
    *blocks, key = path.split(".")
    place = manifest
    for block in blocks:
        inner = place.setdefault(block, {})
        if not isinstance(inner, dict):
            return False
        place = inner
    if key in place:
        return place[key] == value
    place[key] = value
    return True
