"""An answer that is given before the body has been read reaches the client, which is still sending: also through nginx.

Otherwise the connection is reset, and the answer is lost with it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import markdown_pages
import pytest
import sockets
from nginx import nginx
from serving import serving

KEY = "a key that is long enough to be none that one guesses"
MAX_BYTES = 64 * 1024  # of a body of /match
BODY = b"x" * 900_000  # nginx refuses more than 1 MiB by itself
TIMES = 200
HUNG_UP = (ConnectionResetError, BrokenPipeError)
NO_KEY = "X-Key: none"  # a wrong one would be throttled
KINDS = {
    "413 by its length": (413, "/match", ""),
    "413 in chunks": (413, "/match", "Transfer-Encoding: chunked"),
    "401": (401, "/match", NO_KEY),
    "404": (404, "/nothing", ""),
    "405": (405, "/health", ""),
    "415": (415, "/encode-image", "Content-Encoding: gzip"),
    "400": (400, "/encode-image", "Content-Type: text/plain"),
}


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    settings = {"FACE128_MAX_MATCH_BYTES": str(MAX_BYTES), "FACE128_CLIENT_SECONDS": "4"}
    with serving(FACE128_ENGINES="fake", FACE128_API_KEYS=KEY, **settings) as client:
        yield client.base_url.port or 0


def request(path: str, line: str, version: str = "HTTP/1.1", body: bytes = BODY) -> bytes:
    lines = [f"POST {path} {version}", "Host: localhost", "Connection: close", line]
    if line != NO_KEY:
        lines.append(f"X-API-Key: {KEY}")
    if "Content-Type" not in line:
        lines.append("Content-Type: application/json")
    if "chunked" in line:
        body = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
    else:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(filter(None, lines)).encode() + b"\r\n\r\n" + body


def status(port: int, sent: bytes) -> int | str:
    """The status of the answer, which is read only once everything has been sent; or what went wrong."""
    try:
        with sockets.send(port, sent) as connection:
            return sockets.answer(connection).status
    except (OSError, EOFError, ValueError) as error:  # ValueError: the page of a proxy that got no answer
        return repr(error)


def statuses(port: int, sent: bytes) -> Counter[int | str]:
    with ThreadPoolExecutor(8) as pool:
        return Counter(pool.map(status, [port] * TIMES, [sent] * TIMES))


@pytest.mark.parametrize("kind", KINDS)
def test_it_arrives_where_the_connection_is_closed(port: int, kind: str) -> None:
    expected, path, line = KINDS[kind]
    assert statuses(port, request(path, line)) == {expected: TIMES}
    if "chunked" not in line:
        assert statuses(port, request(path, line, version="HTTP/1.0")) == {expected: TIMES}


def test_it_arrives_before_a_body_that_fills_every_buffer(port: int) -> None:
    assert status(port, request("/match", "", body=bytes(40 * 2**20))) == 413


def test_a_refusal_of_what_is_no_request_arrives_too(port: int) -> None:
    broken = request("/match", "Transfer-Encoding: chunked").replace(b"\r\n\r\n", b"\r\n\r\nz\r\n", 1)
    for sent in (b"GET /health\r\n\r\n" + BODY, broken):
        assert status(port, sent) == 400


def test_who_goes_on_sending_or_keeps_silent_is_cut_off(port: int) -> None:
    sent = request("/match", "")
    announced = sent.replace(b"Content-Length: %d" % len(BODY), b"Content-Length: %d" % 2**40)
    with sockets.send(port, announced) as silent, sockets.send(port, announced) as endless:
        assert [sockets.answer(connection).status for connection in (silent, endless)] == [413, 413]
        with pytest.raises(HUNG_UP):
            sockets.keep_sending(endless, b"x", 1000, pause=0.02)
        with pytest.raises(HUNG_UP):
            sockets.keep_sending(silent, b"x", 2, pause=0.2)  # the first byte is answered with a reset


@pytest.fixture(scope="module", params=["defaults", "docs/operations.md"])
def proxied(request: pytest.FixtureRequest, port: int) -> Iterator[tuple[int, float]]:
    """nginx's port, and the share of early answers that must arrive through it."""
    if request.param == "defaults":
        with nginx(f"location / {{ proxy_pass http://127.0.0.1:{port}; }}") as front:
            yield front, 0.95
        return
    upstream, location = markdown_pages.fenced_blocks(markdown_pages.DOCS / "operations.md", "nginx")
    assert "server 127.0.0.1:8000;" in upstream
    with nginx(location, upstream.replace("127.0.0.1:8000", f"127.0.0.1:{port}")) as front:
        yield front, 1


@pytest.mark.parametrize("kind", KINDS)
def test_it_arrives_through_nginx(proxied: tuple[int, float], kind: str) -> None:
    front, share = proxied
    expected, path, line = KINDS[kind]
    found = statuses(front, request(path, line))
    assert found[expected] >= share * TIMES, found


def test_a_match_is_answered_through_nginx_and_connections_are_used_again(proxied: tuple[int, float]) -> None:
    with httpx.Client(base_url=f"http://127.0.0.1:{proxied[0]}", headers={"X-API-Key": KEY}, timeout=60) as client:
        for _ in range(20):
            answer = client.post("/match", json={"descriptor": [0] * 128, "enrolled": []})
            assert answer.json() == {"match": False}
