"""A small server that speaks the wire of a model hub: one model and one data set, whose files are named here."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

REVISION = "0e9e39f249a16976918f6564b8830bc894c89659"
FILES = {"config.json": b'{"model_type": "llama"}', "model.safetensors": b"weights", "pytorch_model.bin": b"pickle"}
ROWS = {
    "data/train-0.jsonl": b'{"a": 1}\n{"a": 2}\n',
    "data/train-1.jsonl": b'{"a": 3}\n',
    "data/eval.jsonl": b'{"a": 4}\n',
    "support.py": b"raise SystemExit('a loading script was run')",
}
KINDS = {"models": ("acme/tiny", FILES), "datasets": ("acme/support", ROWS)}


@dataclass
class Hub:
    """A hub with one model and one data set; `token` is what a reader must show, `asked` what was asked for.

    With a `status` other than 200 it answers everything with that.
    """

    url: str = ""
    token: str | None = None
    status: int = 200
    asked: list[str] = field(default_factory=list)


def running_hub() -> Iterator[Hub]:
    """Serve until the caller is done."""
    found = Hub()

    class Answer(BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.do_GET()

        def do_GET(self) -> None:
            found.asked.append(self.path)
            path = self.path.partition("?")[0]
            if found.status != 200:
                self.reply(found.status, b"{}", {})
                return
            if found.token is not None and self.headers.get("Authorization") != f"Bearer {found.token}":
                self.reply(403, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "Access is restricted"})
                return
            for kind, (name, files) in KINDS.items():
                if path.startswith(f"/api/{kind}/{name}/"):
                    self.about(name, path.removeprefix(f"/api/{kind}/{name}/"), files)
                    return
                start = f"/{name}/resolve/" if kind == "models" else f"/{kind}/{name}/resolve/"
                if path.startswith(start):
                    self.file(*path.removeprefix(start).split("/", 1), files)
                    return
            self.reply(404, b"{}", {"X-Error-Code": "RepoNotFound"})

        def about(self, name: str, what: str, files: dict[str, bytes]) -> None:
            if what.startswith(f"revision/{REVISION}"):
                siblings = [{"rfilename": one} for one in files]
                body = {"id": name, "sha": REVISION, "siblings": siblings, "private": False, "tags": []}
                self.reply(200, json.dumps(body).encode(), {"Content-Type": "application/json"})
            elif what.startswith(f"tree/{REVISION}"):
                tree = [{"type": "file", "path": n, "size": len(c), "oid": c.hex()} for n, c in files.items()]
                self.reply(200, json.dumps(tree).encode(), {"Content-Type": "application/json"})
            else:
                self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})

        def file(self, revision: str, name: str, files: dict[str, bytes]) -> None:
            if revision != REVISION:
                self.reply(404, b"{}", {"X-Error-Code": "RevisionNotFound"})
            elif name not in files:
                self.reply(404, b"{}", {"X-Error-Code": "EntryNotFound"})
            else:
                content = files[name]
                self.reply(200, content, {"ETag": f'"{content.hex()}"', "X-Repo-Commit": REVISION})

        def reply(self, status: int, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(status)
            for name, value in {**headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the base class's own name
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Answer)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    found.url = f"http://127.0.0.1:{server.server_address[1]}"
    yield found
    server.shutdown()
    thread.join()
    server.server_close()
