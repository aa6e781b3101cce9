"""The page at `/` in a real Chromium without a screen. Without a Chromium on this machine the tests say so and skip."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import pytest

from tests.emulator.clients import Cloud
from tests.emulator_fixture import running_emulator

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip
HOSTILE = "<img src=x onerror=document.title=1>"

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(CHROMIUM is None, reason="the web page was not tested: no Chromium is installed"),
]


@pytest.fixture(scope="module")
def page_url(tmp_path_factory: pytest.TempPathFactory, programs: Mapping[str, Sequence[str] | str]) -> Iterator[str]:
    with running_emulator(tmp_path_factory.mktemp("page"), programs) as url:
        cloud = Cloud(url, "projects/p/locations/us-central1")
        events = [{"event": "step", "step": step, "steps": 60, "loss": 2.6 / (1 + step / 9)} for step in range(1, 61)]
        lines = [HOSTILE, *("LORAFORM " + json.dumps(event) for event in events), "the last line"]
        program = f"print({json.dumps(chr(10).join(lines))})"
        cloud.ended(cloud.job(image="x", command=["python", "-c", program], name=f"support-bot {HOSTILE}"))
        model = cloud.model(image="test/stub", name="support-bot")
        cloud.deploy(cloud.endpoint("support", display_name="support"), model, {"0": 100}).result()
        yield url


def seen(url: str, profile: Path, *options: str) -> str:
    """The page's document after it has looked, as text."""
    assert CHROMIUM is not None
    words = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", "--virtual-time-budget=4000", *options, url]
    return subprocess.run(words, capture_output=True, check=True, timeout=120, text=True).stdout


def test_the_page_shows_jobs_with_log_and_loss_models_and_endpoints(page_url: str, tmp_path: Path) -> None:
    document = seen(page_url, tmp_path, "--dump-dom")

    points = re.search(r'<polyline class="loss" points="([^"]*)"', document)
    assert points is not None
    assert len(points[1].split()) == 60
    assert "the last line" in document
    assert "succeeded" in document
    assert "100 %" in document
    assert '<option value="projects/' in document
    assert ">live</span>" in document


def test_what_others_wrote_is_shown_and_never_run(page_url: str, tmp_path: Path) -> None:
    document = seen(page_url, tmp_path, "--dump-dom")

    assert "<img" not in document
    assert document.count("&lt;img src=x onerror") >= 2
    assert "<title>Loraform: the embedded Vertex AI</title>" in document
