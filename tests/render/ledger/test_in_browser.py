"""The ledger from files, in a real Chromium. `LORAFORM_AXE` names axe-core's `axe.min.js`, or axe is not run."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from reconciler.render.ledger.site import pages
from tests.emulator.browser import CHROMIUM, opened
from tests.render.ledger.hostile import PIECES
from tests.render.ledger.stories import entry, fleet, varied

AXE = os.environ.get("LORAFORM_AXE", "")

pytestmark = [
    pytest.mark.web,
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="the ledger's pages were not opened: no Chromium is installed"),
]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("site")
    for name, content in pages(varied()):
        (out / name).parent.mkdir(parents=True, exist_ok=True)
        (out / name).write_bytes(content)
    return out


def test_the_search_finds_an_experiment_by_keys_alone(site: Path, tmp_path: Path) -> None:
    with opened((site / "endpoints/faq.html").as_uri(), tmp_path) as page:
        page.run("document.dispatchEvent(new KeyboardEvent('keydown', {key: '/'}))")
        focused = page.run("document.activeElement.id")
        page.run("q.value = 'SQL'; q.dispatchEvent(new Event('input'))")
        found = page.run("[...document.querySelectorAll('#results a')].map((one) => one.getAttribute('href'))")
        page.run("q.dispatchEvent(new KeyboardEvent('keydown', {key: 'ArrowDown', bubbles: true}))")
        on = page.run("document.activeElement.tagName")
        page.run("q.value = 'nobody'; q.dispatchEvent(new Event('input'))")
        said = page.run("document.getElementById('found').textContent")

    assert focused == "q"
    assert found == ["../experiments/sql-writer.html"]
    assert on == "A"
    assert said == "0 found"


@pytest.mark.parametrize(("width", "dark"), [(1280, False), (1280, True), (390, False), (390, True)])
def test_no_page_is_wider_than_its_screen_and_styles_are_there(
    site: Path, tmp_path: Path, width: int, dark: bool
) -> None:
    with opened((site / "experiments/faq.html").as_uri(), tmp_path, width=width, dark=dark) as page:
        over = page.run("document.documentElement.scrollWidth - innerWidth")
        ink = page.run("getComputedStyle(document.body).color")

    assert over <= 0
    assert ink == ("rgb(230, 231, 233)" if dark else "rgb(28, 30, 33)")


def test_hostile_texts_run_nothing(tmp_path: Path) -> None:
    text = "".join(piece for piece in PIECES if len(piece) < 100)
    for name, content in pages(fleet(entry("bot", text, rows=2), text=text)):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    with opened((tmp_path / "experiments/bot.html").as_uri(), tmp_path / "profile") as page:
        images, scripts, title = (
            page.run(one) for one in ("document.images.length", "document.scripts.length", "document.title")
        )

    assert (images, scripts) == (0, 2)
    assert title == "bot - acme ledger"


@pytest.mark.skipif(not AXE, reason="axe-core was not run: LORAFORM_AXE names no axe.min.js")
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize(
    "name",
    ["index.html", "experiments/faq.html", "endpoints.html", "endpoints/faq.html", "endpoints/shared-llama-8b.html"],
)
def test_axe_finds_nothing(site: Path, tmp_path: Path, name: str, dark: bool) -> None:
    with opened((site / name).as_uri(), tmp_path, dark=dark) as page:
        page.run(Path(AXE).read_text() + ";0")
        found = page.run("axe.run().then((all) => all.violations.map((one) => one.id + ' ' + one.nodes[0].target))")

    assert found == []
