"""Downloads of `face128 models add`, from a real https server: what is trusted, and what must end with a sentence."""

from __future__ import annotations

import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from retail_models import STEM

from face128.cli import model_sources
from face128.cli.model_sources import read_source
from face128.errors import Face128Error

XML, BIN = f"{STEM}.xml", f"{STEM}.bin"


class Handler(BaseHTTPRequestHandler):
    """Files of a folder; what a path begins with says how it misbehaves, and ?to= where it redirects."""

    folder: Path

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        self.server.asked.append(self.path)  # type: ignore[attr-defined]
        to = parse_qs(url.query).get("to", [url.path.replace("/moved/", "/good/") if "/moved/" in url.path else ""])[0]
        if to or url.path.startswith("/circle/"):
            self.send_response(302)
            self.send_header("Location", to or self.path)
            self.end_headers()
        elif url.path.startswith("/endless/"):
            self.send_response(200)
            self.end_headers()
            while True:
                self.wfile.write(bytes(2**20))
        elif url.path.startswith("/drip/"):
            self.wfile.write(b"HTTP/1.1 200 OK\r\n")
            while True:  # a head that never ends
                self.wfile.write(b"X: y\r\n")
                time.sleep(0.05)
        elif url.path.startswith("/good/"):
            self.send_response(200)
            self.end_headers()
            self.wfile.write((self.folder / Path(url.path).name).read_bytes())
        else:
            self.send_error(404)

    def log_message(self, *_: object) -> None: ...

    def handle(self) -> None:
        try:
            super().handle()
        except OSError:  # the client has gone
            self.close_connection = True


class Server(NamedTuple):
    address: str
    certificate: Path
    folder: Path
    asked: list[str]
    """The paths that it was asked for."""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("server")
    for name in (XML, BIN):
        (folder / name).write_bytes(name.encode() * 10_000)
    certificate, key = folder / "certificate.pem", folder / "key.pem"
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(key), "-out", str(certificate)]
    subprocess.run([*command, *names], check=True, capture_output=True, timeout=60)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    httpd = ThreadingHTTPServer(("127.0.0.1", 0), type("ModelHandler", (Handler,), {"folder": folder}))
    httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    httpd.asked = []  # type: ignore[attr-defined]
    httpd.daemon_threads = True
    threading.Thread(target=httpd.serve_forever, daemon=True).start()
    yield Server(f"https://127.0.0.1:{httpd.server_port}", certificate, folder, httpd.asked)  # type: ignore[attr-defined]
    httpd.shutdown()
    httpd.server_close()


@pytest.mark.parametrize("path", [f"/good/{XML}", f"/good/{BIN}?raw=true", "/good/", f"/moved/{XML}"])
def test_both_files_are_downloaded_from_a_server_that_is_trusted(
    server: Server, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    files = read_source(server.address + path)
    assert files == {name: (server.folder / name).read_bytes() for name in (XML, BIN)}


BAD = {
    "no such file": (f"/elsewhere/{XML}", "404"),
    "without an end": (f"/endless/{XML}", "more than"),
    "too slow": (f"/drip/{XML}", "seconds"),
    "not the .xml or the .bin": ("/good/model.zip", ".xml"),
    "in a circle": (f"/circle/{XML}", "again and again"),
    "redirected to http": (f"/good/{XML}?to=http://127.0.0.1:9/{XML}", "https"),
    "redirected to a file": (f"/good/{XML}?to=file:///etc/passwd", "https"),
    "redirected to nothing": (f"/good/{XML}?to=https://[/", "could not be downloaded"),
}


@pytest.mark.parametrize("fault", BAD)
def test_a_download_that_goes_wrong_ends_with_a_sentence(
    server: Server, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, sentence = BAD[fault]
    monkeypatch.setenv("SSL_CERT_FILE", str(server.certificate))
    monkeypatch.setattr(model_sources, "DOWNLOAD_SECONDS", 1.0 if fault == "too slow" else 60.0)
    with pytest.raises(Face128Error, match=sentence) as refusal:
        read_source(server.address + path)
    assert "\n" not in str(refusal.value)


def test_an_unknown_certificate_is_refused(server: Server) -> None:
    with pytest.raises(Face128Error, match="certificate"):
        read_source(f"{server.address}/good/{XML}")


def test_what_is_no_url_is_refused() -> None:
    with pytest.raises(Face128Error, match="not a URL"):
        read_source("https://[/model.xml")


def test_a_plain_http_url_is_not_even_asked(server: Server) -> None:
    before = len(server.asked)
    with pytest.raises(Face128Error, match="https"):
        read_source(server.address.replace("https", "http") + f"/good/{XML}")
    assert len(server.asked) == before
