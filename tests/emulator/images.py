"""The "images" of these tests: small programs, written where the tests run, and what stands for them."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

TRAINER = """
import json, os, subprocess, sys, time
word, rest = sys.argv[1], sys.argv[2:]
print("started", word, flush=True)
if word == "env":
    print("env " + json.dumps({key: os.environ.get(key) for key in rest}), flush=True)
elif word == "echo":
    print("words " + json.dumps(rest), flush=True)
elif word == "fail":
    print("something is wrong", flush=True)
    sys.exit(int(rest[0]))
elif word == "sleep":
    time.sleep(float(rest[0]))
elif word == "tree":
    # a child in a session of its own, which ignores polite requests, and a grandchild of it
    child = "import signal, subprocess, sys, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    child += "p = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)']); "
    child += "open(sys.argv[1], 'a').write(f'{p.pid}\\\\n'); time.sleep(600)"
    started = subprocess.Popen([sys.executable, "-c", child, rest[0]], start_new_session=True)
    with open(rest[0], "a") as pids:
        pids.write(f"{os.getpid()}\\n{started.pid}\\n")
    time.sleep(600)
"""

SERVER = """
import json, os, sys, threading, time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

behaviour = sys.argv[1] if len(sys.argv) > 1 else "good"
print("serving", os.environ["AIP_ENDPOINT_ID"], os.environ["AIP_DEPLOYED_MODEL_ID"], behaviour, flush=True)
if behaviour == "dies":
    sys.exit("no weights here")
if behaviour == "only-one":  # of all replicas that are given this file only the first gets healthy
    try:
        open(sys.argv[2], "x").close()
    except FileExistsError:
        behaviour = "sick"

class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def reply(self, code, body, kind="application/json"):
        self.send_response(code)
        self.send_header("content-type", kind)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_GET(self):
        self.reply(200 if self.path == os.environ["AIP_HEALTH_ROUTE"] and behaviour != "sick" else 503, b"{}")

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        if behaviour == "any":
            return self.any(body)
        if self.path != os.environ["AIP_PREDICT_ROUTE"]:
            return self.reply(404, b"no such route")
        if body.startswith(b"raw"):
            return self.reply(200, body.upper(), self.headers["content-type"])
        asked = json.loads(body)
        first = asked["instances"][0] if asked.get("instances") else asked
        if first == "die":
            os._exit(3)
        if isinstance(first, dict) and "status" in first:
            return self.reply(first["status"], b"the container says no")
        if first == "get sick":
            globals()["behaviour"] = "sick"
        if first == "go deaf":
            server.socket.close()
        if first == "slow":
            time.sleep(1.0)
        told = {"instances": asked.get("instances"), "parameters": asked.get("parameters"),
                "artifact": os.environ["AIP_STORAGE_URI"], "mode": os.environ["AIP_MODE"], "pid": os.getpid()}
        self.reply(200, json.dumps({"predictions": [told]}).encode())

    def any(self, body):
        if b'"stream"' not in body:
            told = {"path": self.path, "body": body.decode(), "kind": self.headers["content-type"]}
            return self.reply(200, json.dumps(told).encode())
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("connection", "close")
        self.end_headers()
        for piece in (b"data: {}\\n\\n", b"data: [DONE]\\n\\n"):
            self.wfile.write(piece)
            self.wfile.flush()
            time.sleep(0.05)
        self.close_connection = True

    def log_message(self, *words):
        pass

server = ThreadingHTTPServer(("127.0.0.1", int(os.environ["AIP_HTTP_PORT"])), Handler)
try:
    server.serve_forever(0.05)
except (OSError, ValueError):  # the listening socket was closed: alive, and yet not there
    time.sleep(600)
"""

# Takes the trainer's words, learns nothing, and leaves what it was told where the model should be.
TUNER = """
import json, os, sys, urllib.parse, urllib.request
spec = json.loads(sys.argv[sys.argv.index("--spec") + 1])
out = sys.argv[sys.argv.index("--out") + 1]
read = lambda name: [json.loads(line)["messages"] for line in open(spec["data"][name])]
told = {"spec": spec, "train": read("train"), "eval": read("eval") if "eval" in spec["data"] else []}
print("LORAFORM " + json.dumps({"event": "step", "time": 1.8e9, "step": 1, "steps": 2, "loss": 2.5}), flush=True)
print("LORAFORM " + json.dumps({"event": "step", "time": 1.8e9 + 1, "step": 2, "steps": 2, "loss": 1.5}), flush=True)
print("LORAFORM " + json.dumps({"event": "metrics", "time": 1.8e9 + 2, "eval_loss": 1.25}), flush=True)
if "checkpoints" in spec["output"]:
    uri = spec["output"]["checkpoints"] + "/checkpoint-1"
    print("LORAFORM " + json.dumps({"event": "checkpoint", "epoch": 1, "step": 1, "uri": uri}), flush=True)
bucket, _, folder = out.removeprefix("gs://").partition("/")
query = urllib.parse.urlencode({"uploadType": "media", "name": folder + "/told.json"})
url = os.environ["STORAGE_EMULATOR_HOST"] + "/upload/storage/v1/b/" + bucket + "/o?" + query
body = json.dumps(told).encode()
request = urllib.request.Request(url, body, {"content-type": "application/json"}, method="POST")
urllib.request.urlopen(request, timeout=30).read()
"""

STAND_INS = {
    "text-bison@002": "/models/text",
    "meta/llama3_1@llama-3.1-8b": "/models/llama",
    "qwen/qwen3@qwen3-4b": "/models/qwen",
    "gemini-2.5-flash": "/models/gemini",
}


def write_programs(folder: Path) -> Mapping[str, Sequence[str] | str]:
    """Write both programs into `folder`; the `--programs` value that maps `test/*` images to them."""
    (folder / "trainer.py").write_text(TRAINER, encoding="utf-8")
    (folder / "server.py").write_text(SERVER, encoding="utf-8")
    (folder / "tuner.py").write_text(TUNER, encoding="utf-8")
    return {
        "loraform/train": [sys.executable, str(folder / "tuner.py")],
        "loraform/serve": "stub",
        "test/train": [sys.executable, str(folder / "trainer.py")],
        "test/serve": [sys.executable, str(folder / "server.py")],
        "test/absent": [str(folder / "no-such-program")],
        "test/hold": "hold",
        "test/stub": "stub",
    }
