"""`loraform orphans` and `gc` with prices, requests and an expected plan, beside a real embedded Vertex AI."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from reconciler.cli.main import run
from reconciler.cli.workplace import connect_only
from reconciler.cloud.logs import endpoint_was_asked
from reconciler.cloud.snapshot import take_snapshot
from reconciler.core.resources import Role
from tests.cli.commits import commit, git
from tests.cli.conftest import write_experiment
from tests.cli.test_apply import TRAINER
from tests.emulator_fixture import emulator_card, post, running_emulator

pytestmark = pytest.mark.slow

Captured = pytest.CaptureFixture[str]
MACHINE = {"machine_type": "n1-standard-8", "accelerator_type": "NVIDIA_TESLA_T4", "accelerator_count": 2}
DIGEST = "sha256:" + "a" * 64
SERVER = """
import http.server, json, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
    def do_POST(self):
        print(json.dumps({"severity": "INFO", "message": "predict", "status": 200}), flush=True)
        body = json.dumps({"predictions": ["hello"]}).encode()
        self.send_response(200); self.send_header("content-length", str(len(body))); self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler).serve_forever()
"""
PROGRAMS = {"train": TRAINER, "serve": [sys.executable, "-c", SERVER]}


@pytest.fixture
def prod(repository: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A cloud target, so that prices are told, with `bot` and `gone` applied and `gone` no longer in git."""
    monkeypatch.chdir(repository)
    folder = tmp_path_factory.mktemp("cloud")
    with running_emulator(folder, PROGRAMS) as url:
        (repository / "loraform.yaml").write_text(
            "apiVersion: loraform/v1\nkind: Project\nfleet: acme\ndefault_target: prod\n"
            f"images: {{train: train@{DIGEST}, serve: serve@{DIGEST}}}\n"
            "prices: {europe-west4: {n1-standard-8: 0.5, NVIDIA_TESLA_T4: 0.25}}\n"
            "policy: {max_deletes: 0, max_delete_percent: 0}\n"
            "targets:\n"
            "  prod: {project: acme-ml, region: europe-west4, bucket: acme-rows, "
            f"api_endpoint: '{emulator_card(folder)['url']}'}}\n"
        )
        write_experiment(
            repository, "bot", serving={"machine": MACHINE, "min_replica_count": 2, "max_replica_count": 2}
        )
        gone = write_experiment(
            repository,
            "gone",
            adapter={"r": 8},
            serving={"machine": MACHINE, "min_replica_count": 2, "max_replica_count": 2},
        )
        commit(repository, "one")
        assert run(["apply", "--wait"]) == 0
        gone.unlink()
        git(repository, "add", "--all")
        commit(repository, "two")
        yield url


def test_orphans_have_a_price_a_day_and_gc_takes_an_expected_plan(
    prod: str, repository: Path, capsys: Captured
) -> None:
    write_experiment(repository, "bot", serving={"machine": MACHINE, "min_replica_count": 2, "max_replica_count": 3})
    commit(repository, "three")
    assert run(["apply"]) == 3  # it is accepted, and the deletion is held by the policy
    capsys.readouterr()

    listed, text = run(["orphans"]), capsys.readouterr().out
    run(["orphans", "--format", "json"])
    rows = json.loads(capsys.readouterr().out)
    planned, note = run(["gc", "--allow-delete", "gone"]), capsys.readouterr().err
    found = re.search(r"--expect ([0-9a-f]{12})", note)
    assert found, note
    stale, refused = run(["gc", "--yes", "--allow-delete", "gone", "--expect", "0123"]), capsys.readouterr().err
    done = run(["gc", "--yes", "--allow-delete", "gone", "--expect", found[1]])

    assert listed == 2
    assert re.search(r"gone +endpoint +ready +costs nothing +not in git", text)
    assert re.search(r"gone +deployment +ready +48\.00 USD a day +not in git", text)
    assert "2 in all, 48.00 USD a day." in text
    assert "prices: prices of loraform.yaml; Compute Engine list prices" in text
    assert [row["usd_per_day"] for row in rows["orphans"]] == [0.0, 48.0]
    assert (planned, stale, done) == (2, 4, 0)
    assert "nothing was done" in refused


def test_whether_anybody_asked_is_read_from_the_log_of_the_server(prod: str) -> None:
    run(["apply", "--wait"])
    site = connect_only()
    (endpoint,) = [
        item.name
        for item in take_snapshot(site.vertex, site.storage, site.target, ()).live
        if item.address.role is Role.ENDPOINT and item.address.experiment == "bot"
    ]

    before = endpoint_was_asked(site.vertex, endpoint, "2020-01-01T00:00:00Z")
    young = run(["orphans", "--requests", "1"])
    asked = run(["predict", "bot", "hello"])
    after = endpoint_was_asked(site.vertex, endpoint, "2020-01-01T00:00:00Z")
    later = endpoint_was_asked(site.vertex, endpoint, "2100-01-01T00:00:00Z")

    assert (before, after, later) == (False, True, False)
    assert (young, asked) == (2, 0)


def test_logs_that_cannot_be_read_are_said_once_and_nothing_is_made_of_it(prod: str, capsys: Captured) -> None:
    run(["apply", "--wait"])
    fault = {"match": {"method": "LoggingServiceV2.ListLogEntries"}, "times": None, "effect": {"status": 403}}
    post(f"{prod}/emulator/faults", fault)
    capsys.readouterr()

    code = run(["orphans", "--requests", "1"])

    said = capsys.readouterr()
    assert code == 2
    assert said.err.count("Nobody knows who was asked: the logs cannot be read") == 1
