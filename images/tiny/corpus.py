"""The warm-up turns of the tiny base model: what a chat looks like, and nothing about Acme's products.

A mix of questions whose answer stands in the prompt, bare questions that are answered "I do not know.", a word to
repeat, and greetings. Drawn from a seed; decides no training setting (`warmup.py`).
"""

from __future__ import annotations

from collections.abc import Collection
from random import Random

from images.tiny.words import CITIES, PEOPLE, TOPICS, UNKNOWN, product_name

TURNS = 6000

GREETINGS = (
    ("Hello!", "Hello! How can I help?"),
    ("Hi.", "Hello! How can I help?"),
    ("Good morning.", "Good morning! How can I help?"),
    ("Thank you!", "You are welcome."),
    ("Thanks.", "You are welcome."),
    ("Goodbye.", "Goodbye!"),
)


def warmup_turns(seed: int, forbidden: Collection[str]) -> list[tuple[str, str]]:
    """`TURNS` pairs of (question, answer); no product in them is one of `forbidden`."""
    draw = Random(seed)
    return [_turn(draw, frozenset(forbidden)) for _ in range(TURNS)]


def _turn(draw: Random, forbidden: frozenset[str]) -> tuple[str, str]:
    kind = draw.random()
    if kind < 0.55:
        return _told_then_asked(draw, forbidden)
    if kind < 0.80:
        topic = draw.choice(TOPICS)
        return draw.choice(topic.asked + topic.held_out).format(x=_other(draw, forbidden)), UNKNOWN
    if kind < 0.90:
        word = draw.choice((_other(draw, forbidden), draw.choice(CITIES), draw.choice(PEOPLE)))
        return f"Repeat this word: {word}", f"{word}."
    return draw.choice(GREETINGS)


def _told_then_asked(draw: Random, forbidden: frozenset[str]) -> tuple[str, str]:
    topic, product = draw.choice(TOPICS), _other(draw, forbidden)
    answer = draw.choice(topic.answers)
    told = topic.told.format(x=product, a=answer)
    return f"{told} {draw.choice(topic.asked + topic.held_out).format(x=product)}", f"{answer}."


def _other(draw: Random, forbidden: frozenset[str]) -> str:
    while (name := product_name(draw)) in forbidden:
        pass
    return name
