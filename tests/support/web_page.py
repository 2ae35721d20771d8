"""A local page in headless Chromium at a given width, light or dark: values of its JavaScript, axe, PNG and PDF.

Talks to Chromium over its debugging pipe: one browser serves all pages of a test file.
"""

from __future__ import annotations

import base64
import fcntl
import json
import os
import select
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import chromium
import faceapi_truth
import pytest

TIMEOUT_S = 60
AXE = faceapi_truth.FOLDER / "node_modules" / "axe-core" / "axe.min.js"


def axe_script() -> str:
    """If axe-core is missing, skips the test, or fails it with REQUIRE_FACEAPI=1."""
    if not AXE.exists():
        reason = "axe-core is missing: make faceapi"
        pytest.fail(reason) if os.environ.get("REQUIRE_FACEAPI") else pytest.skip(reason)
    return AXE.read_text()


class WebPage:
    """The one tab of a browser."""

    def __init__(self, to_browser: int, from_browser: int) -> None:
        self._out, self._in = to_browser, from_browser
        self._number, self._unread = 0, b""
        self._events: list[dict[str, Any]] = []
        self._session: str | None = None
        target = self.ask("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.ask("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        self.ask("Page.enable")

    def open(self, page: Path, width: int = 800, theme: Literal["light", "dark"] = "light") -> None:
        """Load the file, and wait until all its pictures are there."""
        metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
        self.ask("Emulation.setDeviceMetricsOverride", **metrics)
        self.ask("Emulation.setEmulatedMedia", features=[{"name": "prefers-color-scheme", "value": theme}])
        self._events.clear()
        self.ask("Page.navigate", url=page.resolve().as_uri())
        self._wait_for("Page.loadEventFired")
        self.value("Promise.all([...document.images].map((image) => image.decode().catch(() => null))).then(() => 1)")

    def value(self, expression: str) -> Any:
        """Of JavaScript; a promise is awaited."""
        answer = self.ask("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in answer, answer["exceptionDetails"]
        return answer["result"].get("value")

    def axe(self) -> list[str]:
        """What axe objects to: rules and elements."""
        self.value(axe_script() + "; 1")
        found = json.loads(self.value("axe.run().then((found) => JSON.stringify(found.violations))"))
        return [f"{rule['id']}: {node['html'][:200]}" for rule in found for node in rule["nodes"]]

    def screenshot(self) -> bytes:
        """A PNG of the whole page."""
        return base64.b64decode(self.ask("Page.captureScreenshot", captureBeyondViewport=True)["data"])

    def pdf(self) -> bytes:
        """As it is printed, on A4."""
        return base64.b64decode(self.ask("Page.printToPDF", paperWidth=8.27, paperHeight=11.69)["data"])

    def ask(self, method: str, **parameters: Any) -> dict[str, Any]:
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        data = json.dumps(message).encode() + b"\0"
        while data:
            data = data[os.write(self._out, data) :]
        deadline = time.monotonic() + TIMEOUT_S
        while (answer := self._next(deadline)).get("id") != self._number:
            self._events.append(answer)
        assert "error" not in answer, answer
        return dict(answer["result"])

    def _wait_for(self, event: str) -> None:
        deadline = time.monotonic() + TIMEOUT_S
        while not any(each.get("method") == event for each in self._events):
            self._events.append(self._next(deadline))

    def _next(self, deadline: float) -> dict[str, Any]:
        while b"\0" not in self._unread:
            ready, _, _ = select.select([self._in], [], [], max(0, deadline - time.monotonic()))
            assert ready, "Chromium does not answer"
            received = os.read(self._in, 1 << 20)
            assert received, "Chromium has ended"
            self._unread += received
        message, _, self._unread = self._unread.partition(b"\0")
        return dict(json.loads(message))


@contextmanager
def browser() -> Iterator[WebPage]:
    program = chromium.require()
    # Above 3 and 4, which the shell gives to Chromium.
    their_in, out, in_, their_out = map(_above_ten, (*os.pipe(), *os.pipe()))
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        # --no-sandbox: the pages are the tests' own, and root, as in CI, has no sandbox.
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--remote-debugging-pipe"]
        command = [program, *options, f"--user-data-dir={folder}/user", "about:blank"]
        # Chromium reads its pipe from descriptor 3 and writes to 4.
        shell = ["bash", "-c", f'exec "$@" 3<&{their_in} 4>&{their_out}', "bash", *command]
        process = subprocess.Popen(
            shell,
            pass_fds=(their_in, their_out),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        os.close(their_in)
        os.close(their_out)
        try:
            yield WebPage(out, in_)
        finally:
            os.close(out)
            os.close(in_)
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _above_ten(descriptor: int) -> int:
    moved = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, 10)
    os.close(descriptor)
    return moved
