"""Image files in a web page in Chromium, which decodes them itself: the pixels of its canvas, face-api.js's faces."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import faceapi_truth
import numpy as np
import numpy.typing as npt
import pytest

SECONDS = 300
"""For all files of a page; 36 photos take 20 on two free cores."""

PAGE = """<!doctype html><script src="/package/dist/face-api.js"></script><script>
const post = (result) => fetch('/result', { method: 'POST', body: JSON.stringify(result) });
async function load(name) {
  const image = new Image();
  image.src = `/files/${name}`;
  await image.decode().catch((error) => { throw `${name}: ${error}`; });
  return image;
}
%s
(async () => {
  await prepare();
  for (const name of await (await fetch('/names')).json()) post({ name, ...(await look(await load(name))) });
})().catch((error) => post({ error: String(error) }));
</script>"""

PIXELS = """
async function prepare() {}
async function look(image) {
  const canvas = document.createElement('canvas');
  [canvas.width, canvas.height] = [image.naturalWidth, image.naturalHeight];
  const context = canvas.getContext('2d', { willReadFrequently: true });
  context.drawImage(image, 0, 0);
  const { data, width, height } = context.getImageData(0, 0, canvas.width, canvas.height);
  return { width, height, rgba: btoa(Array.from(data, (byte) => String.fromCharCode(byte)).join('')) };
}"""

BEST_FACE = """
async function prepare() {
  faceapi.tf.setWasmPaths('/wasm/');
  await faceapi.tf.setBackend('wasm');
  await faceapi.tf.ready();
  const { ssdMobilenetv1, faceLandmark68Net, faceRecognitionNet } = faceapi.nets;
  for (const net of [ssdMobilenetv1, faceLandmark68Net, faceRecognitionNet]) await net.loadFromUri('/package/model');
}
async function look(image) {
  const face = await faceapi.detectSingleFace(image).withFaceLandmarks().withFaceDescriptor();
  const { x, y, width, height } = face.detection.box;
  return { box: [x, y, x + width, y + height], score: face.detection.score, descriptor: [...face.descriptor] };
}"""


def canvas_pixels(files: Mapping[str, bytes]) -> dict[str, npt.NDArray[np.uint8]]:
    """By file name, the RGBA that a page reads from a canvas on which it has drawn the file."""
    return {
        name: np.frombuffer(base64.b64decode(found["rgba"]), np.uint8).reshape(found["height"], found["width"], 4)
        for name, found in _ask(PIXELS, files).items()
    }


def best_faces(photos: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """By file name, the face that detectSingleFace chooses: ``box``, ``score`` and ``descriptor``."""
    faceapi_truth.models()
    return _ask(BEST_FACE, photos)


def require() -> str:
    """The program. If it is missing, skips the test, or fails it with REQUIRE_FACEAPI=1 or REQUIRE_SERVERS=1."""
    program = shutil.which("chromium")
    if program is None:
        reason = "chromium is not installed"
        required = os.environ.get("REQUIRE_FACEAPI") or os.environ.get("REQUIRE_SERVERS")
        pytest.fail(reason) if required else pytest.skip(reason)
    return program


def _ask(script: str, files: Mapping[str, bytes]) -> dict[str, dict[str, Any]]:
    """What the page posts of each file; fails the test if it posts an error, or not within SECONDS."""
    program = require()
    with _serving(PAGE % script, files) as (url, posted), tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "log"
        # --no-sandbox: the page is the tests' own, and root, as in CI, has no sandbox.
        options = (
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            f"--user-data-dir={folder}/user",
        )
        with log.open("w") as output:
            browser = subprocess.Popen([program, *options, url], stdout=output, stderr=output, start_new_session=True)
        timer = threading.Timer(SECONDS, posted.put, [{"error": f"not done within {SECONDS} seconds"}])
        timer.start()
        try:
            found: dict[str, dict[str, Any]] = {}
            while len(found) < len(files):
                result = _next(posted, browser)
                if "error" in result:
                    pytest.fail(f"Chromium: {result['error']}\n{log.read_text()[-2000:]}")
                found[result["name"]] = result
            return found
        finally:
            timer.cancel()
            os.killpg(browser.pid, signal.SIGKILL)
            browser.wait()


def _next(posted: SimpleQueue[dict[str, Any]], browser: subprocess.Popen[bytes]) -> dict[str, Any]:
    while True:
        try:
            return posted.get(timeout=1)
        except Empty:
            if browser.poll() is not None:
                return {"error": f"it ended with status {browser.returncode}"}


@contextmanager
def _serving(page: str, files: Mapping[str, bytes]) -> Iterator[tuple[str, SimpleQueue[dict[str, Any]]]]:
    """The page's URL, and what the page posts."""
    package = faceapi_truth.MODELS.parent
    wasm = package.parents[1] / "@tensorflow" / "tfjs-backend-wasm" / "dist"
    posted: SimpleQueue[dict[str, Any]] = SimpleQueue()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            folder, _, name = self.path[1:].partition("/")
            types = {"js": "text/javascript", "wasm": "application/wasm", "json": "application/json"}
            content_type = types.get(name.rpartition(".")[2], "application/octet-stream")
            try:
                if folder == "":
                    content, content_type = page.encode(), "text/html"
                elif folder == "names":
                    content, content_type = json.dumps(list(files)).encode(), "application/json"
                elif folder == "files":
                    content, content_type = files[name], f"image/{name.rpartition('.')[2]}"
                else:
                    content = ({"package": package, "wasm": wasm}[folder] / name).read_bytes()
            except (KeyError, OSError):  # such as /favicon.ico
                self.send_error(404)
                return
            self.send_response(200)
            self.send_header("Content-Type", content_type)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def do_POST(self) -> None:
            posted.put(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}/", posted
    finally:
        server.shutdown()
        server.server_close()
