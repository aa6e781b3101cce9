"""Serve a directory of buckets in a process of its own: `serve.py ROOT [PORT]` prints the address when it answers."""

from __future__ import annotations

import socket
import sys
from datetime import UTC, datetime
from pathlib import Path

import uvicorn

from reconciler.emulator.gcs.app import storage_app
from reconciler.emulator.gcs.buckets import Buckets


def main() -> None:
    buckets = Buckets(Path(sys.argv[1]), lambda: datetime.now(UTC))
    listener = socket.create_server(("127.0.0.1", int(sys.argv[2]) if len(sys.argv) > 2 else 0), backlog=2048)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    print(f"http://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    config = uvicorn.Config(storage_app(buckets), access_log=False, log_level="warning", lifespan="off")
    uvicorn.Server(config).run(sockets=[listener])


if __name__ == "__main__":
    main()
