from __future__ import annotations

import ast
import json
import unicodedata
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from reconciler.core.lineage import Kind
from reconciler.render.ledger.site import MARK, ROWS, STEPS, pages
from reconciler.render.ledger.values import Fleet
from tests.render.ledger.hostile import PIECES, texts
from tests.render.ledger.stories import entry, fleet, row, varied

LARGEST = 300_000


class Shape(HTMLParser):
    """The tags of a page with their attributes, and none of its texts."""

    def __init__(self, page: bytes) -> None:
        super().__init__()
        self.tags: list[tuple[str, tuple[tuple[str, str | None], ...]]] = []
        self.feed(page.decode("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, tuple(attrs)))

    def handle_endtag(self, tag: str) -> None:
        self.tags.append((f"/{tag}", ()))


def written(made: Fleet) -> dict[str, bytes]:
    return dict(pages(made))


def told(text: str) -> dict[str, bytes]:
    return written(fleet(entry("bot", text, rows=2), text=text, name=text, target=text, branch=text))


@pytest.mark.parametrize("text", texts(120), ids=lambda _: "text")
def test_no_text_of_others_makes_a_tag_an_attribute_or_an_address(text: str) -> None:
    plain, found = told("a plain word"), told(text)

    assert found.keys() == plain.keys()
    for path in plain:
        if path.endswith(".html"):
            assert Shape(found[path]).tags == Shape(plain[path]).tags
            shown = found[path].decode("utf-8").replace("\n", "")
            assert {unicodedata.category(one) for one in shown} & {"Cc", "Cf", "Cs", "Zl", "Zp"} == set()


@pytest.mark.slow
def test_five_thousand_hostile_texts_stay_in_their_cells() -> None:
    every = texts(5_000)
    made = [
        replace(entry(f"bot-{at}", rows=2), owner=owner, description=words, base=base)
        for at, (owner, words, base) in enumerate(zip(every[::3], every[1::3], every[2::3], strict=False))
    ]
    plain = [replace(one, owner="x", description="x", base="x") for one in made]
    others = {"name": "acme", "text": "x"}

    found, calm = written(fleet(*made, **others)), written(fleet(*plain, **others))

    assert found.keys() == calm.keys()
    for path in calm:
        if path.endswith(".html"):
            assert found[path].count(b"<") == calm[path].count(b"<")
            assert len(found[path]) < LARGEST


def test_the_index_is_one_array_of_ascii_whatever_is_in_it() -> None:
    made = [replace(entry(f"bot-{at}", rows=1), owner=text) for at, text in enumerate(PIECES)]

    script = written(fleet(*made))["assets/index.js"].decode("ascii")

    head, body = script.split(" = ", 1)
    rows = json.loads(body.removesuffix(";\n"))
    assert head == "window.LEDGER"
    assert len(rows) == len(PIECES) + 1
    assert ast.literal_eval(body.removesuffix(";\n")) == rows
    assert {row[1].split("/")[0] for row in rows} == {"experiments", "endpoints"}


def test_the_same_fleet_gives_the_same_bytes_in_whatever_order_it_comes() -> None:
    made = varied()

    turned = replace(made, entries=tuple(reversed(made.entries)))

    assert list(pages(made)) == list(pages(made)) == list(pages(turned))


def test_long_timelines_and_large_fleets_are_paged_and_no_page_is_large() -> None:
    many = [entry(f"bot-{at}", "words " * 100, rows=2) for at in range(2 * ROWS + 1)]
    long = entry("long", "x" * 5_000, rows=3 * STEPS)

    found = written(fleet(*many, long))

    assert {"index.html", "index.2.html", "index.3.html", "experiments/long.html", "experiments/long.3.html"} <= set(
        found
    )
    assert max(len(page) for page in found.values()) < LARGEST
    assert json.loads(found[MARK])["files"] == sorted(set(found) - {MARK})


def test_a_name_that_is_no_name_gets_no_file() -> None:
    found = written(fleet(entry("../evil"), entry("bot"), entry("Bot"), entry("a/b")))

    assert [path for path in found if path.startswith("experiments/")] == ["experiments/bot.html"]


def test_a_page_asks_nothing_of_anybody_else() -> None:
    for path, page in pages(varied()):
        text = page.decode("utf-8")
        assert "http://" not in text
        assert "https://" not in text
        assert "url(" not in text, path


def test_the_cloud_that_was_not_asked_is_said_on_every_page() -> None:
    for path, page in pages(fleet(entry("bot"), unasked="--offline was given.")):
        if path.endswith(".html"):
            assert "The cloud was not asked: --offline was given." in page.decode("utf-8")


def test_health_and_sync_stand_apart_and_what_is_wrong_comes_first() -> None:
    page = written(varied())["index.html"].decode("utf-8")

    assert "does it work?" in page
    assert "is it as git says?" in page
    assert page.index("Wants a person") < page.index("Experiments by name")
    assert "gate: rouge_l 0.37 is below champion" in page


def test_an_experiment_tells_the_way_from_its_commit_to_its_traffic() -> None:
    page = written(varied())["experiments/support-bot.html"].decode("utf-8")

    for words in ("7f3a9c0011", "trained, 13 min", "version 4", "90 %", "0.82 USD", "stock-out", "-0.088", "champion"):
        assert words in page
    assert "The loss over 60 steps, goes from 2.34 to 0.339, on held-out rows it ends at 1.2." in page


def test_a_commit_that_cannot_be_read_and_one_that_removed_it_say_so() -> None:
    gone = replace(
        entry("bot"), rows=(row(3, "Remove it", Kind.REMOVED), row(2, "Break it", Kind.UNREADABLE)), declared=False
    )

    page = written(fleet(gone))["experiments/bot.html"].decode("utf-8")

    assert "removed" in page
    assert "cannot be read" in page
