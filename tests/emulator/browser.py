"""A Chromium without a screen, driven over a pair of pipes: open a page, run a line of script in it, take a picture.

It speaks the DevTools protocol with nothing but the standard library; there is no driver to install.
"""

from __future__ import annotations

import base64
import itertools
import json
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = (
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe",
    "--disable-background-networking", "--disable-component-update", "--disable-sync", "--disable-dev-shm-usage",
)  # fmt: skip


@dataclass
class Page:
    """One open page."""

    to: int
    back: int
    session: str = ""
    numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    unread: bytes = b""

    def call(self, method: str, **params: Any) -> Any:
        """Call a method of the protocol; what it gives."""
        number = next(self.numbers)
        message = {"id": number, "method": method, "params": params}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.to, json.dumps(message).encode() + b"\0")
        while True:
            found = self._next()
            if found.get("id") == number:
                assert "error" not in found, found
                return found["result"]

    def run(self, script: str) -> Any:
        """The value of an expression, awaited."""
        found = self.call("Runtime.evaluate", expression=script, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, script: str, within_s: float = 20.0) -> Any:
        """The first value of an expression that counts as true."""
        deadline = time.monotonic() + within_s
        while not (found := self.run(script)):
            assert time.monotonic() < deadline, f"this did not come: {script}\n{self.text()}"
            time.sleep(0.05)
        return found

    def text(self) -> str:
        """What a reader sees."""
        return str(self.run("document.body.innerText"))

    def picture(self, file: Path) -> None:
        """A picture of the whole page."""
        found = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        file.write_bytes(base64.b64decode(found["data"]))

    def _next(self) -> Any:
        while b"\0" not in self.unread:
            piece = os.read(self.back, 1 << 16)
            assert piece, "the browser has ended"
            self.unread += piece
        first, _, self.unread = self.unread.partition(b"\0")
        return json.loads(first)


@contextmanager
def opened(url: str, profile: Path, *, width: int = 1280, height: int = 1000, dark: bool = False) -> Iterator[Page]:
    """A page for the length of a `with` block."""
    assert CHROMIUM is not None
    ours, theirs = os.pipe(), os.pipe()

    def as_3_and_4() -> None:
        first, second = os.dup(theirs[0]), os.dup(ours[1])
        os.dup2(first, 3)
        os.dup2(second, 4)

    words = [CHROMIUM, *FLAGS, f"--user-data-dir={profile}", f"--window-size={width},{height}", "about:blank"]
    browser = subprocess.Popen(
        words,
        preexec_fn=as_3_and_4,
        close_fds=False,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    os.close(theirs[0])
    os.close(ours[1])
    page = Page(theirs[1], ours[0])
    try:
        target = page.call("Target.createTarget", url="about:blank")["targetId"]
        page.session = page.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": False}
        page.call("Emulation.setDeviceMetricsOverride", **size)
        if dark:
            features = [{"name": "prefers-color-scheme", "value": "dark"}]
            page.call("Emulation.setEmulatedMedia", features=features)
        page.call("Page.navigate", url=url)
        page.until("location.href !== 'about:blank' && document.body && document.body.dataset.ready === 'yes'")
        yield page
    finally:
        browser.kill()
        browser.wait()
        os.close(theirs[1])
        os.close(ours[0])
