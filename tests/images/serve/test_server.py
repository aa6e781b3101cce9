"""One real vLLM server on a tiny random model with a random adapter: the whole contract, over HTTP."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from images.serve.instances import CHAT_ONLY, SAMPLING
from tests.emulator_fixture import running_emulator
from tests.images.serve.tiny import build_adapter, build_base

pytestmark = pytest.mark.heavy

PREDICT = "/v1/endpoints/7/deployedModels/8:predict"
HEALTH = "/v1/endpoints/7/deployedModels/8"
START_SECONDS = 180
STOP_SECONDS = 10
QUESTION = "what colour is the river"
MESSAGES = [{"role": "user", "content": QUESTION}]
EXACT = {"temperature": 0, "max_tokens": 12, "skip_special_tokens": False}


@dataclass(frozen=True, slots=True)
class Server:
    """A running server: its process, port and log."""

    process: subprocess.Popen[bytes]
    port: int
    log: Path

    def call(self, path: str, body: Any = None) -> tuple[int, Any]:
        """Status and decoded JSON of GET (no body) or POST; bytes go as they are."""
        data = None if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", data, {"content-type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as refused:
            with refused:
                return refused.code, json.load(refused)

    def predict(self, *instances: Any, **parameters: Any) -> list[dict[str, Any]]:
        """The predictions for these instances."""
        status, answer = self.call(PREDICT, {"instances": instances, "parameters": {**EXACT, **parameters}})
        assert status == 200, answer
        predictions: list[dict[str, Any]] = answer["predictions"]
        return predictions

    def lines(self) -> list[dict[str, Any]]:
        """The structured lines of the log."""
        text = self.log.read_text(encoding="utf-8", errors="replace")
        return [json.loads(line) for line in text.splitlines() if line.startswith('{"severity"')]


@contextmanager
def started(folder: Path, spec: dict[str, Any], artifact: str, **environment: str) -> Iterator[Server]:
    """A server from its first moment; killed with all its children at the end."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    contract = {"AIP_HTTP_PORT": str(port), "AIP_ENDPOINT_ID": "7", "AIP_DEPLOYED_MODEL_ID": "8"}
    places = {"AIP_STORAGE_URI": artifact, "LORAFORM_HOST": "127.0.0.1", "LORAFORM_CACHE": str(folder / "cache")}
    log = folder / f"{port}.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-m", "images.serve", "--spec", json.dumps(spec)],
            stdout=file,
            stderr=subprocess.STDOUT,
            env={**os.environ, **contract, **places, **environment},
        )
    try:
        yield Server(process, port, log)
    finally:
        for one in family(process):
            one.kill()
        process.wait()


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """The process and all that it started, which is running now."""
    try:
        parent = psutil.Process(process.pid)
        return [one for one in [parent, *parent.children(recursive=True)] if one.status() != psutil.STATUS_ZOMBIE]
    except psutil.NoSuchProcess:
        return []


def gone(processes: list[psutil.Process], within: float) -> bool:
    """Whether all of them have ended (a zombie has) before the time is up."""
    deadline = time.monotonic() + within
    while time.monotonic() < deadline:
        if not any(one.is_running() and one.status() != psutil.STATUS_ZOMBIE for one in processes):
            return True
        time.sleep(0.05)
    return False


def wait_until_healthy(server: Server) -> list[str]:
    """Every different reason that the health route gave before its 200."""
    reasons: list[str] = []
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        assert server.process.poll() is None, server.log.read_text(errors="replace")
        try:
            status, answer = server.call(HEALTH)
        except OSError:
            time.sleep(0.05)
            continue
        if status == 200:
            return reasons
        assert status == 503
        if answer["reason"] not in reasons:
            reasons.append(answer["reason"])
        time.sleep(0.05)
    raise AssertionError(f"never healthy: {server.log.read_text(errors='replace')}")


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("serve")
    build_adapter(folder / "adapter", build_base(folder / "base"))
    return folder


@pytest.fixture(scope="module")
def server(folders: Path) -> Iterator[Server]:
    """Healthy, with base and adapter read from a bucket of the embedded Vertex AI."""
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    with running_emulator(folders / "cloud", {}) as url:
        client = storage.Client("p", AnonymousCredentials(), client_options={"api_endpoint": url})
        bucket = client.create_bucket("models")
        for path in [*folders.glob("base/*"), *folders.glob("adapter/*")]:
            bucket.blob(f"m/{path.relative_to(folders)}").upload_from_filename(str(path))
        client.close()
        spec = {
            "experiment": "facts",
            "model": {"base": "gs://models/m/base"},
            "rank": 4,
            "generation": {"max_tokens": 6, "temperature": 0},
            "engine": {"max_model_len": 256},
        }
        with started(folders, spec, "gs://models/m/adapter", STORAGE_EMULATOR_HOST=url) as server:
            wait_until_healthy(server)
            yield server


def test_the_tuned_model_answers_otherwise_than_the_base(server: Server) -> None:
    tuned, base = server.predict(QUESTION, {"prompt": QUESTION, "model": "base"})

    assert tuned["generated_text"] != base["generated_text"]
    assert tuned["finish_reason"] in ("length", "stop")
    assert tuned["usage"]["total_tokens"] == tuned["usage"]["prompt_tokens"] + tuned["usage"]["completion_tokens"]


def test_a_mixed_batch_answers_as_each_question_alone(server: Server) -> None:
    questions: list[Any] = [
        QUESTION,
        {"prompt": QUESTION, "model": "base"},
        {"messages": [{"role": "user", "content": "stone"}]},
        {"prompt": "stone", "model": "base"},
        {"prompt": "the town", "raw": True},
    ]
    alone = [server.predict(question)[0]["generated_text"] for question in questions]

    together = [prediction["generated_text"] for prediction in server.predict(*questions * 4)]

    assert together == alone * 4
    assert len(set(alone)) == len(alone)


def test_a_prompt_is_rendered_as_one_user_turn(server: Server) -> None:
    plain, turn, raw = server.predict(
        QUESTION, {"messages": MESSAGES}, {"prompt": f"<|user|>{QUESTION}<|end|><|assistant|>", "raw": True}
    )

    assert plain == turn == raw


def test_defaults_come_from_the_spec_then_the_parameters_then_the_instance(server: Server) -> None:
    instances = [QUESTION, {"prompt": QUESTION, "max_new_tokens": 2.0}]

    _, by_spec = server.call(PREDICT, {"instances": instances})
    _, by_parameters = server.call(PREDICT, {"instances": instances, "parameters": {"max_tokens": 4}})

    assert [one["usage"]["completion_tokens"] for one in by_spec["predictions"]] == [6, 2]
    assert [one["usage"]["completion_tokens"] for one in by_parameters["predictions"]] == [4, 2]


def test_a_bad_instance_fails_alone(server: Server) -> None:
    bad = [
        5,
        {"prompt": "a", "temprature": 1},
        {"prompt": "a", "temperature": "hot"},
        {"prompt": "a", "temperature": -1},
        {"prompt": "a", "max_tokens": 0},
        {"prompt": "stone " * 400},
        {"messages": [3]},
        {"messages": [{"role": "user", "content": {"a": 1}}]},
        {"prompt": "a", "structured_outputs": {"regex": "("}},
        {"prompt": "a", "logit_bias": {"x": 1}},
        {"prompt": "a", "stop_token_ids": ["x"]},
        {"prompt": "a", "allowed_token_ids": [10**9]},
    ]

    predictions = server.predict(QUESTION, *bad, {"prompt": "a", "model": "other"}, QUESTION)

    assert predictions[0] == predictions[-1]
    assert predictions[0]["usage"]
    codes = [prediction["error"]["code"] for prediction in predictions[1:-1]]
    assert codes == [400] * len(bad) + [404], predictions
    assert all(prediction["error"]["message"] for prediction in predictions[1:-1])


def test_log_probabilities_come_when_asked_for(server: Server) -> None:
    chat, raw = server.predict(QUESTION, {"prompt": QUESTION, "raw": True}, logprobs=2, max_tokens=2)

    assert [len(one["top_logprobs"]) for one in chat["logprobs"]["content"]] == [2, 2]
    assert len(raw["logprobs"]["token_logprobs"]) == 2


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"{nope", "not JSON"),
        (b"\xff", "not Unicode"),
        ([1], "must be an object"),
        ({}, "neither"),
        ({"instances": []}, "empty"),
        ({"instances": "a"}, "must be a list"),
        ({"instances": ["a"], "parameters": 3}, "must be an object"),
        ({"messages": "a"}, "messages"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages"),
        ({"prompt": {"a": 1}}, "prompt"),
        ({"messages": MESSAGES, "temperature": "hot"}, "temperature"),
        ({"messages": MESSAGES, "max_tokens": -1}, "max_tokens"),
        ({"prompt": [10**9]}, ""),
    ],
)
def test_a_malformed_body_is_a_400_with_a_reason(server: Server, body: Any, reason: str) -> None:
    status, answer = server.call(PREDICT, body)

    assert status == 400, answer
    assert answer["error"]["message"]
    assert reason in answer["error"]["message"]


def test_a_raw_chat_body_is_answered_as_openai_does(server: Server) -> None:
    status, answer = server.call(PREDICT, {"messages": MESSAGES, **EXACT})
    _, base = server.call(PREDICT, {"messages": MESSAGES, "model": "base", **EXACT})

    assert status == 200
    assert (answer["object"], answer["model"], base["model"]) == ("chat.completion", "facts", "base")
    assert answer["choices"][0]["message"]["content"] == server.predict(QUESTION)[0]["generated_text"]
    assert answer["choices"][0]["message"]["content"] != base["choices"][0]["message"]["content"]


def test_a_raw_completion_body_is_answered_as_openai_does(server: Server) -> None:
    status, answer = server.call(PREDICT, {"prompt": ["stone", "river"]})

    assert status == 200
    assert answer["object"] == "text_completion"
    assert [choice["index"] for choice in answer["choices"]] == [0, 1]
    assert answer["usage"]["completion_tokens"] <= 12


def test_a_raw_body_for_a_model_that_is_not_served_is_not_found(server: Server) -> None:
    status, answer = server.call(PREDICT, {"messages": MESSAGES, "model": "/etc"})

    assert status == 404
    assert "facts, base" in answer["error"]["message"]


def test_a_raw_body_can_be_streamed(server: Server) -> None:
    body = json.dumps({"messages": MESSAGES, "stream": True, **EXACT}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}{PREDICT}", body, {"content-type": "application/json"}
    )

    with urllib.request.urlopen(request, timeout=60) as answer:
        kind = answer.headers["content-type"]
        events = [line.removeprefix("data: ") for line in answer.read().decode().splitlines() if line]

    assert kind.startswith("text/event-stream")
    assert events[-1] == "[DONE]"
    pieces = [choice["delta"].get("content") or "" for event in events[:-1] for choice in json.loads(event)["choices"]]
    assert "".join(pieces) == server.predict(QUESTION)[0]["generated_text"]


def test_instances_are_batched_into_the_engine(server: Server) -> None:
    one = [{"prompt": f"stone {number}", "ignore_eos": True} for number in range(32)]
    server.predict(*one, max_tokens=32)

    begun = time.monotonic()
    for instance in one[:8]:
        server.predict(instance, max_tokens=32)
    in_turn = (time.monotonic() - begun) * 4
    begun = time.monotonic()
    predictions = server.predict(*one, max_tokens=32)
    batched = time.monotonic() - begun

    assert all(prediction["usage"]["completion_tokens"] == 32 for prediction in predictions)
    assert batched < in_turn


def test_many_clients_at_once_get_their_own_answers(server: Server) -> None:
    prompts = [f"the town {number}" for number in range(24)]
    expected = [prediction["generated_text"] for prediction in server.predict(*prompts)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda prompt: server.predict(prompt)[0]["generated_text"], prompts))

    assert answers == expected


def test_every_key_of_an_instance_is_a_field_of_vllms_requests() -> None:
    program = (
        "from vllm.entrypoints.openai.chat_completion.protocol import ChatCompletionRequest as chat;"
        "from vllm.entrypoints.openai.completion.protocol import CompletionRequest as completion;"
        "import json; print(json.dumps([sorted(chat.model_fields), sorted(completion.model_fields)]))"
    )

    output = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True).stdout

    chat, completion = (set(fields) for fields in json.loads(output.splitlines()[-1]))
    assert (SAMPLING | CHAT_ONLY) - chat == set()
    assert SAMPLING - completion == set()


def test_vllms_own_routes_are_still_there(server: Server) -> None:
    status, models = server.call("/v1/models")

    assert status == 200
    assert [model["id"] for model in models["data"]] == ["base", "facts"]


def test_every_request_leaves_one_line_without_its_text(server: Server) -> None:
    secret = "swordfish-4711"
    before = len(server.lines())

    server.predict(secret, 5)
    server.call(PREDICT, {"messages": [{"role": "user", "content": secret}], "max_tokens": 1})
    server.call(PREDICT, {"instances": secret})

    lines = server.lines()[before:]
    assert [(line["status"], line.get("contract")) for line in lines] == [
        (200, "instances"),
        (200, "openai"),
        (400, None),
    ]
    assert (lines[0]["instances"], lines[0]["errors"]) == (2, 1)
    assert secret not in server.log.read_text(encoding="utf-8", errors="replace")


def test_a_start_is_answered_with_reasons_and_sigterm_ends_it_all_without_a_trace(folders: Path) -> None:
    spec = {"experiment": "facts", "model": {"base": str(folders / "base")}, "rank": 4}
    with started(folders, spec, str(folders / "adapter")) as server:
        reasons = wait_until_healthy(server)

        assert "loading the model" in reasons
        processes = family(server.process)
        assert len(processes) >= 2
        server.process.send_signal(signal.SIGTERM)
        assert gone(processes, STOP_SECONDS)
        assert server.process.wait() == 0


def test_the_engine_ends_when_its_server_is_killed(folders: Path) -> None:
    spec = {"experiment": "facts", "model": {"base": str(folders / "base")}, "rank": 4}
    with started(folders, spec, str(folders / "adapter")) as server:
        wait_until_healthy(server)
        processes = family(server.process)

        server.process.kill()

        assert gone(processes, STOP_SECONDS)


def test_a_full_model_answers_under_the_experiments_name_and_a_dead_engine_ends_the_server(folders: Path) -> None:
    spec = {"experiment": "facts", "form": "full", "model": {"base": "acme/not-needed"}}
    with started(folders, spec, str(folders / "base")) as server:
        wait_until_healthy(server)
        tuned, base = server.predict(QUESTION, {"prompt": QUESTION, "model": "base"})
        assert tuned["generated_text"]
        assert base["error"]["code"] == 404
        processes = family(server.process)

        processes[-1].kill()

        assert gone(processes, STOP_SECONDS)
        assert server.process.wait() == 1
        assert "the engine died" in server.lines()[-1]["message"]


@pytest.mark.parametrize(
    ("engine", "code", "reason"),
    [
        ({"max_model_length": 3}, 2, "did you mean 'max_model_len'"),
        ({"max_model_len": 100_000}, 1, "max_model_len"),
    ],
)
def test_wrong_engine_arguments_end_the_start_with_a_line_that_says_so(
    folders: Path, engine: dict[str, Any], code: int, reason: str
) -> None:
    spec = {"experiment": "facts", "model": {"base": str(folders / "base")}, "engine": engine}
    with started(folders, spec, str(folders / "adapter")) as server:
        assert server.process.wait(START_SECONDS) == code

        last = server.log.read_text(encoding="utf-8", errors="replace").splitlines()[-1]
        assert re.search(reason, json.loads(last)["message"])


def test_an_adapter_that_does_not_fit_ends_the_start(folders: Path) -> None:
    other = folders / "other"
    other.mkdir()
    for path in (folders / "adapter").iterdir():
        content = path.read_bytes()
        (other / path.name).write_bytes(content[: len(content) // 2] if path.suffix == ".safetensors" else content)
    spec = {"experiment": "facts", "model": {"base": str(folders / "base")}}

    with started(folders, spec, str(other)) as server:
        assert server.process.wait(START_SECONDS) == 1
        assert gone(family(server.process), STOP_SECONDS)
