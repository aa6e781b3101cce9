"""The page at `/` in a real Chromium without a screen. Without a Chromium on this machine the tests say so and skip."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.emulator.browser import CHROMIUM, opened
from tests.emulator.clients import Cloud
from tests.emulator_fixture import post, running_emulator

HOSTILE = "<img src=x onerror=document.title=1>"

pytestmark = [
    pytest.mark.web,
    pytest.mark.skipif(CHROMIUM is None, reason="the web page was not tested: no Chromium is installed"),
]


@dataclass(frozen=True)
class Site:
    """A server with something of everything, and where its jobs are shown."""

    url: str
    trained: str
    failed: str
    chatty: str


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, programs: Mapping[str, Sequence[str] | str]) -> Iterator[Site]:
    with running_emulator(tmp_path_factory.mktemp("page"), programs, "--stand-ins", '{"*": "/base"}') as url:
        cloud = Cloud(url, "projects/p/locations/us-central1")
        events = [{"event": "step", "step": step, "steps": 60, "loss": 2.6 / (1 + step / 9)} for step in range(1, 61)]
        events += [
            {"event": "evaluation", "step": 30, "eval_loss": 1.5},
            {"event": "evaluation", "step": 60, "eval_loss": 1.25},
        ]
        lines = [HOSTILE, *("LORAFORM " + json.dumps(event) for event in events), "LORAFORM {broken", "the last line"]
        program = f"print({json.dumps(chr(10).join(lines))})"
        long = "print('\\n'.join(f'line {n} of a log that goes on and on' for n in range(30000)))"

        def run(*command: str, name: str) -> str:
            job = cloud.ended(cloud.job(image="x", command=["python", "-c", *command], name=name))
            return f"{url}/#{job.name.rpartition('/')[2]}"

        failed = run("print('what went before'); raise SystemExit(3)", name="it fails")
        chatty = run(long, name="a long log")
        tuning = {"baseModel": "m", "tunedModelDisplayName": "tuned", "outputUri": "gs://b/out"}
        spec = {"supervisedTuningSpec": {"trainingDatasetUri": "gs://nowhere/t.jsonl"}}
        post(f"{url}/v1beta1/{cloud.parent}/tuningJobs", {**tuning, **spec})
        for number in range(200):
            cloud.job(image="test/hold", name=f"held {number}")
        trained = run(program, name=f"support-bot {HOSTILE}")
        model = cloud.model(image="test/serve", name="support-bot")
        cloud.deploy(cloud.endpoint("support", display_name="support"), model, {"0": 100}).result()
        yield Site(url, trained, failed, chatty)


def test_the_page_shows_the_newest_job_with_its_log_and_loss_and_what_serves(site: Site, tmp_path: Path) -> None:
    with opened(site.url, tmp_path) as page:
        page.until("document.querySelector('#curve .loss')?.getAttribute('points')")
        points = page.run("document.querySelector('#curve .loss').getAttribute('points').split(' ').length")
        judged = page.run("document.querySelector('#curve .judged').getAttribute('points').split(' ').length")
        log, text = page.run("document.getElementById('log').textContent"), page.text()

    assert (points, judged) == (60, 2)
    assert "the last line" in log
    assert "LORAFORM {broken" in log
    assert "step 60 of 60   loss 0.3391" in log
    assert "on held-out rows 1.250" in text
    assert "100 %" in text
    assert text.rstrip().count("live") == 1


def test_what_others_wrote_is_shown_and_never_run(site: Site, tmp_path: Path) -> None:
    with opened(site.url, tmp_path) as page:
        page.until("document.getElementById('log').textContent.includes('the last line')")
        images, text, title = page.run("document.images.length"), page.text(), page.run("document.title")

    assert images == 0
    assert text.count(HOSTILE) >= 2
    assert title == "Loraform: the embedded Vertex AI"


def test_a_failed_job_says_why(site: Site, tmp_path: Path) -> None:
    with opened(site.failed, tmp_path) as page:
        error = page.until("!document.getElementById('error').hidden && document.getElementById('error').textContent")

    assert "non-zero status of 3" in error
    assert "what went before" in error


def test_of_a_long_log_the_end_is_shown_and_it_is_said(site: Site, tmp_path: Path) -> None:
    with opened(site.chatty, tmp_path) as page:
        page.until("document.getElementById('log').textContent.includes('line 29999 of a log')")
        log = page.run("document.getElementById('log').textContent")
        left = page.run("(({scrollHeight, scrollTop, clientHeight}) => scrollHeight - scrollTop - clientHeight)(log)")

    assert log.startswith("(earlier lines are left out here")
    assert len(log) < 201_000
    assert left < 2


def test_many_jobs_are_found_by_their_words(site: Site, tmp_path: Path) -> None:
    with opened(site.url, tmp_path) as page:
        before = page.until("document.querySelectorAll('#jobs button').length")
        page.run("only.value = 'HELD 17'; only.dispatchEvent(new Event('input'))")
        found = page.until("document.querySelectorAll('#jobs button').length < 20 && jobs.innerText")
        page.run(f"only.value = '{site.trained.rsplit('#')[-1]}'; only.dispatchEvent(new Event('input'))")
        by_id = page.until("document.querySelectorAll('#jobs button').length < 5 && jobs.innerText")
        page.run("only.value = 'tuning job'; only.dispatchEvent(new Event('input'))")
        kinds = page.until("jobs.innerText.includes('tuning job') && jobs.innerText")

    assert before >= 200
    assert "held 170" in found
    assert "held 18" not in found
    assert "support-bot" in by_id
    assert "tuned" in kinds


def test_a_job_is_chosen_by_a_click_and_by_its_address(site: Site, tmp_path: Path) -> None:
    with opened(site.failed, tmp_path) as page:
        page.until("document.getElementById('h-job').textContent === 'it fails' || null")
        page.run(
            "[...document.querySelectorAll('#jobs button')].find((one) => one.innerText.includes('held 199')).click()"
        )
        page.until("document.getElementById('h-job').textContent === 'held 199'")
        address = page.run("location.hash")

    assert address != "#" + site.failed.partition("#")[2]
    assert len(address) == 20


def test_a_model_is_asked_and_answers(site: Site, tmp_path: Path) -> None:
    with opened(site.url, tmp_path) as page:
        page.until("!document.getElementById('send').disabled")
        page.run("document.getElementById('prompt').value = 'hello there'; document.getElementById('send').click()")
        page.until("!document.getElementById('from').hidden")
        answer = page.run("document.getElementById('answer').textContent")

    assert '"prompt": "hello there"' in answer


def test_an_empty_server_says_how_to_reach_it(tmp_path: Path) -> None:
    with running_emulator(tmp_path / "state", {}) as url, opened(url, tmp_path / "profile") as page:
        text = page.text()
        disabled = page.run("document.getElementById('send').disabled")

    assert f"No jobs yet. Google's clients reach this server at {url}" in text
    assert disabled
