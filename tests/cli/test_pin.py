from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

from reconciler.cli.main import run
from tests.cli.conftest import write_experiment
from tests.emulator_fixture import emulator_card, running_emulator

COMMIT = "0e9e39f249a16976918f6564b8830bc894c89659"


@pytest.fixture
def bucket(repository: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[storage.Bucket]:
    """A bucket of the repository's embedded Vertex AI."""
    monkeypatch.chdir(repository)
    folder = repository / ".loraform/vertex"
    with running_emulator(folder, {}):
        options = {"api_endpoint": emulator_card(folder)["url"]}
        client = storage.Client("p", credentials=AnonymousCredentials(), client_options=options)
        yield client.create_bucket("rows")
        client.close()


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A hub that knows one model and one data set."""

    class Hub(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            known = self.path in ("/api/models/org/model", "/api/datasets/org/rows")
            body = json.dumps({"sha": COMMIT} if known else {}).encode()
            self.send_response(200 if known else 404)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("HF_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()
        thread.join()


def test_data_is_pinned_to_the_generation_that_stands_there(
    bucket: storage.Bucket, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    blob = bucket.blob("a/train.jsonl")
    blob.upload_from_string("{}")
    bucket.blob("a/train.jsonl.bak").upload_from_string("{}")
    path = write_experiment(repository, "bot", data={"train": "gs://rows/a/train.jsonl"})

    code = run(["pin"])

    assert code == 0
    assert f"train: gs://rows/a/train.jsonl#{blob.generation}\n" in path.read_text()
    assert "1 pin written." in capsys.readouterr().out


def test_an_old_pin_is_moved_and_a_right_one_left(bucket: storage.Bucket, repository: Path) -> None:
    blob = bucket.blob("train.jsonl")
    blob.upload_from_string("{}")
    path = write_experiment(repository, "bot", data={"train": "gs://rows/train.jsonl#17"})

    run(["pin", "bot"])
    moved = path.read_text()
    run(["pin", "bot"])

    assert f"train: gs://rows/train.jsonl#{blob.generation}\n" in moved
    assert path.read_text() == moved


def test_mixed_rows_are_pinned_each(bucket: storage.Bucket, repository: Path) -> None:
    blob = bucket.blob("more.jsonl")
    blob.upload_from_string("{}")
    mix = [{"rows": "data/train.jsonl"}, {"rows": "gs://rows/more.jsonl", "weight": 0.5}]
    path = write_experiment(repository, "bot", data={"train": "data/train.jsonl", "mix": mix})

    run(["pin"])

    assert f"rows: gs://rows/more.jsonl#{blob.generation}\n" in path.read_text()


def test_comments_and_order_stay_as_they_are(bucket: storage.Bucket, repository: Path) -> None:
    bucket.blob("t.jsonl").upload_from_string("{}")
    path = write_experiment(repository, "bot", data={"train": "gs://rows/t.jsonl"})
    before = path.read_text().replace("train: gs://rows/t.jsonl", 'train: "gs://rows/t.jsonl"   # the best rows')
    path.write_text(before)

    run(["pin"])

    after = path.read_text()
    assert ".jsonl#" in after
    assert after.split("gs://rows/t.jsonl")[0] == before.split("gs://rows/t.jsonl")[0]
    assert after.endswith(before.split("gs://rows/t.jsonl")[1])
    assert '"   # the best rows' in after


def test_an_object_that_is_not_there_is_an_error(
    bucket: storage.Bucket, repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    write_experiment(repository, "bot", data={"train": "gs://rows/nothing.jsonl"})

    code = run(["pin"])

    assert code == 1
    assert "gs://rows/nothing.jsonl does not exist" in capsys.readouterr().err


def test_a_hub_model_gets_the_commit_of_its_head(hub: None, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    path = write_experiment(repository, "bot", model={"base": "org/model"})

    code = run(["pin"])

    assert code == 0
    assert f"model:\n  base: org/model\n  revision: {COMMIT}\n" in path.read_text()


def test_a_model_that_the_hub_does_not_know_is_an_error_with_the_way_out(
    hub: None, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(repository)
    write_experiment(repository, "bot", model={"base": "org/other"})

    code = run(["pin"])

    assert code == 1
    assert "Write `revision:`" in capsys.readouterr().err


def test_rows_on_a_hub_get_the_commit_of_its_head(hub: None, repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(repository)
    path = write_experiment(
        repository,
        "bot",
        data={"train": "hf://datasets/org/rows/train.jsonl", "eval": f"hf://datasets/org/rows@{'1' * 40}/e.jsonl"},
    )

    code = run(["pin"])

    assert code == 0
    assert f"train: hf://datasets/org/rows@{COMMIT}/train.jsonl\n" in path.read_text()
    assert f"eval: hf://datasets/org/rows@{'1' * 40}/e.jsonl\n" in path.read_text()
