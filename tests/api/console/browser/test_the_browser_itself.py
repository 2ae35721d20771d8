"""The tools of the console's tests find what they are for."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx
import pytest
from console_browser import Camera, Watch, axe, show, sideways_pixels
from playwright.sync_api import Browser, BrowserContext
from serving import photo

POLICY = "default-src 'none'; script-src 'self'; img-src 'self'"
PAGES = {
    "/good": "<!doctype html><html lang=en><title>t</title><h1>Good</h1><script src=/good.js></script>",
    "/good.js": "document.title = 'ran'",
    "/inline-script": "<script>document.title = 1</script>",
    "/inline-style": "<p style='color: red'>",
    "/handler": "<body onload='document.title = 1'>",
    "/error-in-script": "<script src=/throws.js></script>",
    "/throws.js": "setTimeout(() => { throw new Error('thrown') })",
    "/error-in-log": "<script src=/logs.js></script>",
    "/logs.js": "console.error('logged')",
    "/another-host": "<img src='http://another-host.invalid/x.png'>",
    "/no-such-image": "<img src=/missing.png>",
    "/unlabelled": "<!doctype html><html lang=en><title>t</title><main><h1>h</h1><input></main>",
    "/wide": "<!doctype html><table><tr>" + "<td>wide-wide-wide" * 30,
}
FRAME = """async () => {
  const stream = await navigator.mediaDevices.getUserMedia({ video: true });
  const video = document.createElement('video');
  video.srcObject = stream;
  await video.play();
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
  canvas.getContext('2d').drawImage(video, 0, 0);
  for (const track of stream.getTracks()) track.stop();
  return canvas.toDataURL('image/jpeg', 0.95).split(',')[1];
}"""


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = PAGES.get(self.path)
            self.send_response(404 if body is None else 200)
            self.send_header("Content-Type", "text/javascript" if self.path.endswith(".js") else "text/html")
            self.send_header("Content-Security-Policy", POLICY)
            self.end_headers()
            self.wfile.write((body or "Not here").encode())

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def context(browser: Browser, site: str) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=site)
    yield context
    context.close()


@pytest.mark.parametrize(
    ("path", "problem"),
    [
        ("/inline-script", "inline script"),
        ("/inline-style", "inline style"),
        ("/handler", "event handler"),
        ("/error-in-script", "thrown"),
        ("/error-in-log", "logged"),
        ("/another-host", "another-host.invalid"),
        ("/no-such-image", "404 for"),
    ],
)
def test_the_watch_finds_what_goes_wrong(context: BrowserContext, site: str, path: str, problem: str) -> None:
    watch = Watch(context, site)
    page = context.new_page()
    page.goto(path)
    page.wait_for_timeout(100)  # for the script's own timeout
    with pytest.raises(AssertionError, match=problem):
        watch.check()


def test_nothing_goes_wrong_on_a_good_page_and_an_expected_refusal(context: BrowserContext, site: str) -> None:
    watch = Watch(context, site)
    page = context.new_page()
    page.goto("/good")
    assert page.title() == "ran"
    assert page.goto("/no-such-page").status == 404  # type: ignore[union-attr]
    watch.check()


def test_axe_and_the_width_are_looked_at_under_the_policy(context: BrowserContext) -> None:
    page = context.new_page()
    show(page, 360)
    page.goto("/unlabelled")
    assert any(line.startswith("label (critical)") for line in axe(page))
    assert sideways_pixels(page) == 0
    page.goto("/wide")
    assert sideways_pixels(page) > 100


def test_the_camera_sees_a_face_and_then_another(
    service: httpx.Client, context: BrowserContext, camera: Camera
) -> None:
    page = context.new_page()
    page.goto("/good")
    for name in ("biden-2010.jpg", "obama-2009.jpg"):
        camera.show(name)
        frame = base64.b64decode(page.evaluate(FRAME))
        pictures = {"selfie": frame, "id_card": photo(name)}
        seen, shown = (service.post("/encode-image", files={"image": each}).json() for each in pictures.values())
        distance = sum((a - b) ** 2 for a, b in zip(seen["descriptor"], shown["descriptor"], strict=True)) ** 0.5
        assert distance < 0.25
