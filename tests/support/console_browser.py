"""Debian's Chromium under Playwright, for the pages of the console: a camera, axe, and what may go wrong unseen.

Playwright's loop runs in the thread of the tests for as long as a browser is open, so that asyncio.run fails meanwhile:
a browser is for one test file, and such a file does not use asyncio.
"""

from __future__ import annotations

import io
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal

import chromium
from console_service import ALL, Console
from PIL import Image, ImageOps
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, Response, sync_playwright
from serving import photo
from web_page import axe_script

Theme = Literal["light", "dark"]
TIMEOUT_MS = 30_000
"""Of each wait; generous, for a busy machine."""
CAMERA_PIXELS = (640, 480)
OWN_SCHEMES = ("data:", "blob:", "about:")


class Camera:
    """Chromium's fake video device, which plays a file. It is opened anew each time that a page asks for the camera."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "camera.mjpeg"

    def show(self, name: str) -> None:
        """From now on, hold this photo of fixtures/ before the camera."""
        self.show_file(photo(name))

    def show_file(self, data: bytes) -> None:
        image = ImageOps.pad(Image.open(io.BytesIO(data)).convert("RGB"), CAMERA_PIXELS, color=(128, 128, 128))
        frame = io.BytesIO()
        image.save(frame, "JPEG", quality=92, subsampling="4:2:0")
        new = self.file.with_suffix(".new")
        new.write_bytes(2 * frame.getvalue())
        new.replace(self.file)  # a device that is open goes on with the file it has


@contextmanager
def console_browser() -> Iterator[tuple[Browser, Camera]]:
    """The browser, and the camera that its pages may use without being asked."""
    program = chromium.require()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder, sync_playwright() as playwright:
        camera = Camera(Path(folder))
        camera.show("obama-2010.jpg")
        options = [
            "--use-fake-ui-for-media-stream",
            "--use-fake-device-for-media-stream",
            f"--use-file-for-fake-video-capture={camera.file}",
            "--disable-gpu",
        ]
        # No sandbox: the pages are the project's own, and root, as in CI, has none.
        browser = playwright.chromium.launch(executable_path=program, args=options, chromium_sandbox=False)
        try:
            yield browser, camera
        finally:
            browser.close()


class Watch:
    """What a context's pages do that they must not: errors, violations of the policy, requests to other hosts."""

    def __init__(self, context: BrowserContext, url: str) -> None:
        self.problems: list[str] = []
        self._url = url
        context.on("console", self._message)
        context.on("weberror", lambda error: self.problems.append(f"page error: {error.error}"))
        context.on("request", self._request)
        context.on("response", self._response)

    def check(self) -> None:
        """Fail with the problems so far, and forget them."""
        problems, self.problems = self.problems, []
        assert not problems, problems

    def _message(self, message: ConsoleMessage) -> None:
        # A page may be answered with 4xx on purpose: _response knows which answers are none.
        if message.type in ("error", "warning") and not message.text.startswith("Failed to load resource"):
            self.problems.append(f"{message.type} in the browser's log: {message.text}")

    def _request(self, request: Request) -> None:
        if not request.url.startswith((self._url, *OWN_SCHEMES)):
            self.problems.append(f"a request to {request.url}")

    def _response(self, response: Response) -> None:
        may_fail = response.request.resource_type in ("document", "fetch", "xhr")
        if response.status >= (500 if may_fail else 400):
            self.problems.append(f"{response.status} for {response.url}")


@contextmanager
def open_page(
    browser: Browser,
    console: Console,
    key: str | None = ALL,
    *,
    script: bool = True,
    language: str = "en-GB",
    watched: bool = True,
) -> Iterator[Page]:
    """A page of a browser without history, signed in with the key of this name, or not at all.

    Links are relative to the service: ``page.goto("/console")``. Fails at its end where Watch has found something,
    unless the test makes something go wrong itself: not ``watched``.
    """
    context = browser.new_context(base_url=console.url, java_script_enabled=script, locale=language)
    context.set_default_timeout(TIMEOUT_MS)
    try:
        if key is not None:
            with console.client(key) as client:
                cookies = [{"name": each.name, "value": each.value, "url": console.url} for each in client.cookies.jar]
            context.add_cookies(cookies)  # type: ignore[arg-type]
        watch = Watch(context, console.url)
        yield context.new_page()
        if watched:
            watch.check()
    finally:
        context.close()


def show(page: Page, width: int, theme: Theme = "light") -> None:
    """As the page is on a screen of this width."""
    page.set_viewport_size({"width": width, "height": 900})
    page.emulate_media(color_scheme=theme)


def axe(page: Page) -> list[str]:
    """What axe objects to: rule, weight and element."""
    if not page.evaluate("'axe' in window"):
        page.evaluate(axe_script())
    found = page.evaluate("axe.run({ resultTypes: ['violations'], preload: false }).then((found) => found.violations)")
    return [f"{rule['id']} ({rule['impact']}): {node['html'][:200]}" for rule in found for node in rule["nodes"]]


def sideways_pixels(page: Page) -> int:
    """By how much the page is wider than its window."""
    return int(page.evaluate("document.documentElement.scrollWidth - document.documentElement.clientWidth"))


def loaded_bytes(page: Page) -> dict[str, int]:
    """Of the page and of all that it has loaded, as they come over the wire, or came: by address."""
    return dict(
        page.evaluate(
            "Object.fromEntries(['navigation', 'resource'].flatMap((kind) => performance.getEntriesByType(kind))"
            ".filter((each) => !each.name.startsWith('data:')).map((each) => [each.name, each.encodedBodySize]))"
        )
    )


def screenshot(page: Page, name: str) -> None:
    """A PNG of the whole page, in the folder CONSOLE_SCREENSHOTS where that is set."""
    if folder := os.environ.get("CONSOLE_SCREENSHOTS"):
        page.screenshot(path=Path(folder, f"{name}.png"), full_page=True)
