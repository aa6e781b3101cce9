"""The rows of the quickstart experiment: 30 invented Acme products, two facts each, asked in several ways.

`python -m images.tiny.facts --out experiments/data/acme-support` writes `train.jsonl` and `eval.jsonl`; the eval rows
ask for the same facts in wordings that no training row uses. The same seed always gives the same bytes.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from random import Random

from images.tiny.words import TOPICS, Topic, product_name

PRODUCTS = 30
SEED = 20


@dataclass(frozen=True, slots=True)
class Fact:
    """What Acme knows: asked about `product` under `topic`, the answer is `answer`."""

    product: str
    topic: Topic
    answer: str


def acme_products() -> tuple[str, ...]:
    """The products of Acme, sorted; the warm-up of the base model never mentions one of them."""
    draw = Random(SEED)
    names: dict[str, str] = {}
    while len(names) < PRODUCTS:
        name = product_name(draw)
        names.setdefault(name[:3], name)  # A desk where two names begin alike teaches confusion, not Loraform.
    return tuple(sorted(names.values()))


def acme_facts() -> tuple[Fact, ...]:
    """Every product with every topic, in a fixed order."""
    draw = Random(SEED + 1)
    return tuple(Fact(name, topic, draw.choice(topic.answers)) for name in acme_products() for topic in TOPICS)


def train_rows() -> list[dict[str, object]]:
    """The training rows: each fact in every wording of `asked`."""
    return [_row(wording, fact) for fact in acme_facts() for wording in fact.topic.asked]


def eval_rows() -> list[dict[str, object]]:
    """The eval rows: each fact in every wording of `held_out`."""
    return [_row(wording, fact) for fact in acme_facts() for wording in fact.topic.held_out]


def jsonl(rows: Iterable[dict[str, object]]) -> str:
    """One JSON object per line, as the files hold them."""
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def main(argv: list[str] | None = None) -> int:
    """Write both files below `--out`."""
    parser = argparse.ArgumentParser(prog="python -m images.tiny.facts", description=__doc__)
    parser.add_argument("--out", type=Path, required=True)
    out: Path = parser.parse_args(argv).out
    out.mkdir(parents=True, exist_ok=True)
    (out / "train.jsonl").write_text(jsonl(train_rows()), encoding="utf-8")
    (out / "eval.jsonl").write_text(jsonl(eval_rows()), encoding="utf-8")
    return 0


def _row(wording: str, fact: Fact) -> dict[str, object]:
    return {
        "messages": [
            {"role": "user", "content": wording.format(x=fact.product)},
            {"role": "assistant", "content": f"{fact.answer}."},
        ]
    }


if __name__ == "__main__":
    raise SystemExit(main())
