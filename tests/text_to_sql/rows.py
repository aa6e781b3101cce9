"""Questions about small invented tables, each with its schema and the query that answers it; by a seed.

The shape is that of a public text-to-SQL set: `sql_prompt`, `sql_context` (CREATE TABLE, without rows), `sql`.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Topic:
    """One kind of thing: its table, what its name column is called, texts by column, and its number columns."""

    table: str
    name: str
    texts: dict[str, tuple[str, ...]]
    numbers: tuple[str, ...]


TOPICS = (
    Topic(
        "boats", "name", {"harbour": ("Molde", "Turku", "Gent"), "colour": ("red", "white", "green")}, ("length", "age")
    ),
    Topic("plants", "label", {"soil": ("clay", "sand", "peat"), "light": ("sun", "shade")}, ("height", "price")),
    Topic("players", "name", {"club": ("Foxes", "Owls", "Bears"), "role": ("goal", "wing")}, ("goals", "age")),
    Topic("films", "title", {"genre": ("drama", "comedy", "crime"), "country": ("Peru", "Iran")}, ("year", "rating")),
    Topic("hotels", "name", {"city": ("Bern", "Lyon", "Porto"), "style": ("spa", "design")}, ("rooms", "price")),
    Topic("books", "title", {"shelf": ("north", "south", "east"), "genre": ("crime", "poetry")}, ("pages", "year")),
)


def rows(count: int, seed: int) -> list[dict[str, str]]:
    """`count` rows, no two of them alike."""
    dice = random.Random(seed)
    found: dict[tuple[str, str], dict[str, str]] = {}
    for _ in range(100 * count):
        if len(found) == count:
            break
        row = _row(dice)
        found.setdefault((row["sql_context"], row["sql_prompt"]), row)
    assert len(found) == count
    return list(found.values())


def corpus(count: int, seed: int) -> Iterator[tuple[str, str]]:
    """What the base has read before, as (what stands there, what follows): schemas and what to repeat of them, and
    queries on their own. No question stands beside the query that answers it.
    """
    dice = random.Random(seed)
    for _ in range(count):
        row = _row(dice)
        kind = dice.random()
        if kind < 0.7:
            schema = row["sql_context"]
            known = [
                word for word in schema.replace("(", " ").replace(")", " ").replace(",", " ").split() if word.islower()
            ]
            words = [*dice.sample(known, dice.randrange(1, 4)), *_values(dice)]
            dice.shuffle(words)
            said = " ".join(words)
            yield f"{schema}\n-- Repeat {said}.\n", said
        elif kind < 0.9:
            yield "", row["sql"]
        else:
            yield row["sql_context"], f"\n-- {row['sql_prompt']}"


def _values(dice: random.Random) -> list[str]:
    """A number and a text such as queries have."""
    topic = dice.choice(TOPICS)
    text = dice.choice(topic.texts[dice.choice(sorted(topic.texts))])
    return dice.sample([str(10 * dice.randrange(1, 10)), str(dice.randrange(2, 6)), text], dice.randrange(1, 4))


def _row(dice: random.Random) -> dict[str, str]:
    topic = dice.choice(TOPICS)
    text, number = dice.choice(sorted(topic.texts)), dice.choice(topic.numbers)
    other = next(one for one in topic.numbers if one != number)
    value, bound, few = dice.choice(topic.texts[text]), 10 * dice.randrange(1, 10), dice.randrange(2, 6)
    table, name = topic.table, topic.name
    asked, query = dice.choice(
        (
            (f"Which {table} have the {text} {value}?", f"SELECT {name} FROM {table} WHERE {text} = '{value}'"),
            (
                f"How many {table} have a {number} above {bound}?",
                f"SELECT COUNT(*) FROM {table} WHERE {number} > {bound}",
            ),
            (
                f"What is the average {number} of {table} by {text}?",
                f"SELECT {text}, AVG({number}) FROM {table} GROUP BY {text}",
            ),
            (
                f"Name the {few} {table} with the largest {number}.",
                f"SELECT {name} FROM {table} ORDER BY {number} DESC LIMIT {few}",
            ),
            (
                f"List the {table} whose {text} is {value} and whose {number} is below {bound}.",
                f"SELECT {name} FROM {table} WHERE {text} = '{value}' AND {number} < {bound}",
            ),
            (
                f"What is the total {number} of the {table} whose {text} is not {value}?",
                f"SELECT SUM({number}) FROM {table} WHERE {text} <> '{value}'",
            ),
            (
                f"Show {name} and {other} of {table} with a {number} of at least {bound}.",
                f"SELECT {name}, {other} FROM {table} WHERE {number} >= {bound}",
            ),
        )
    )
    columns = [f"{name} TEXT", *(f"{one} TEXT" for one in topic.texts), *(f"{one} INT" for one in topic.numbers)]
    dice.shuffle(columns)
    return {"sql_prompt": asked, "sql_context": f"CREATE TABLE {table} ({', '.join(columns)})", "sql": query}
