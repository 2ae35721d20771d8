"""Requests that no browser sends, or that somebody typed: each is answered clearly, and none with a 500.

The queries and the fields are those of the console's own routes and templates, so that new ones are tried as well.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import product

import httpx
import pytest
from console_routes import paths, query_names
from console_service import ALL, SECRETS, Console, console_service
from console_templates import field_names
from fake_photos import create_record, fake_photo

BAD_VALUES = (
    "",
    "nan",
    "1e999",
    "-1",
    "9" * 400,
    "0.5\0",
    "' OR 1=1 --%_\\",
    "<script>{{7*7}}{%x%}{x.__class__}",
    "9999-12-31T23:59:59+14:00",
    "e\u0301" * 2000,
)
OF_EVERY_PAGE = {"collection", "done", "lang", "no_such"}
RAW_QUERIES = ("%ff%fe", "%00", "%", "&&&==", "a=1&" * 500, "%f0%28%8c%28", "collection=%ff", "lang=%ff", "done=%00")


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    settings = {"FACE128_ENGINES": "fake", "FACE128_DECISION_LOG_DAYS": "30", "FACE128_TRAIL": "1"}
    with console_service(**settings) as console, console.api() as api:
        for seed in range(1, 4):
            create_record(api, fake_photo(seed), f"Person {seed}")
        yield console


@pytest.fixture(scope="module")
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client() as client:
        yield client


def status(client: httpx.Client, path: str) -> int:
    """Checks an error, too. Of a stream only the head is read."""
    with client.stream("GET", path) as answer:
        if answer.status_code >= 400:
            answer.read()
            check_error(answer)
        return answer.status_code


def check_error(answer: httpx.Response) -> None:
    assert 400 <= answer.status_code < 500, answer.text[:500]
    if answer.headers["content-type"].startswith("text/html"):
        assert 'role="alert"' in answer.text
    else:
        assert answer.json()["code"]


@pytest.mark.parametrize("path", paths("GET"))
def test_queries(client: httpx.Client, path: str) -> None:
    names = query_names(path) - OF_EVERY_PAGE | (OF_EVERY_PAGE if path == "/console" else set())
    queries = [str(httpx.QueryParams({name: value})) for name, value in product(sorted(names), BAD_VALUES)]
    twice = [f"{name}=1&{name}=2" for name in sorted(names)]
    for query in (*queries, *twice, *RAW_QUERIES):
        assert status(client, f"{path}?{query}") in (200, 303, 400, 403, 404, 414, 422), query[:200]


def forms(value: str) -> Iterator[dict[str, object]]:
    fields = dict.fromkeys(field_names() - {"key", "next"}, value)
    yield {"data": fields}
    yield {"data": fields, "files": {"photo": (value[:50] or "x", value.encode())}}


BUTTONS = ("/console/sign-out", "/console/health/measure", "/console/trail/check")
"""Forms of one button: what else is sent is not read."""
FORMS = [path for path in paths("POST") if path not in BUTTONS]


@pytest.mark.parametrize("path", FORMS)
def test_fields(client: httpx.Client, path: str) -> None:
    for value in BAD_VALUES:
        for form in forms(value):
            answer = client.post(path, **form)  # type: ignore[arg-type]
            assert answer.status_code < 500, (value[:50], answer.text[-500:])
            if answer.status_code >= 400:
                check_error(answer)


URLENCODED = {"Content-Type": "application/x-www-form-urlencoded"}
MULTIPART = {"Content-Type": "multipart/form-data; boundary=x"}
PART = b'--x\r\nContent-Disposition: form-data; name="id"\r\n\r\n1\r\n'
BODIES = {
    "a field twice": (URLENCODED, b"id=1&id=2&key=1&key=2&language=de&language=de"),
    "bytes": (URLENCODED, b"\xff\xfe\x00=\xff&id=\xff"),
    "not UTF-8": (URLENCODED, b"id=%ff%fe&key=%ff&language=%ff"),
    "many fields": (URLENCODED, b"&".join(b"f%d=1" % number for number in range(5000))),
    "a large field": (URLENCODED, b"id=" + b"x" * 300_000),
    "JSON": ({"Content-Type": "application/json"}, b'{"id": "1"}'),
    "no type": ({}, b"id=1"),
    "an odd type": ({"Content-Type": "multipart/form-data"}, b"id=1"),
    "a charset": ({"Content-Type": "application/x-www-form-urlencoded; charset=utf-16"}, "id=1".encode("utf-16")),
    "compressed": (URLENCODED | {"Content-Encoding": "gzip"}, b"\x1f\x8b\x08"),
    "a form that is cut off": (MULTIPART, PART),
    "a part without a name": (MULTIPART, b"--x\r\nContent-Disposition: form-data\r\n\r\n1\r\n--x--\r\n"),
    "many parts": (MULTIPART, PART * 3000 + b"--x--\r\n"),
    "a field twice in parts": (MULTIPART, PART * 2 + b"--x--\r\n"),
    "parts not UTF-8": (MULTIPART, PART.replace(b"\r\n1\r\n", b"\r\n\xff\xfe\r\n") + b"--x--\r\n"),
}


@pytest.mark.parametrize("path", FORMS)
def test_bodies(client: httpx.Client, path: str) -> None:
    for body, (headers, content) in BODIES.items():
        answer = client.post(path, content=content, headers=headers)
        assert 400 <= answer.status_code < 500, body
        check_error(answer)


@pytest.mark.parametrize(
    "cookie",
    [
        "face128_session",
        "=;;; ;",
        "face128_session=a; face128_session=b",
        'face128_session="\\777\\"',
        "face128_session=" + "x" * 20_000,
        "; ".join(f"c{number}=1" for number in range(3000)),
        b"face128_session=\xff\xfe; face128_language=\xff",
        "face128_language=" + "d" * 5000,
    ],
)
def test_cookies(console: Console, cookie: str | bytes) -> None:
    for path in ("/console", "/console/sign-in"):
        answer = httpx.get(
            console.url + path, headers={b"Cookie": cookie.encode() if isinstance(cookie, str) else cookie}, timeout=60
        )
        assert answer.status_code in (200, 303, 400, 413, 431)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/console/none", 404),
        ("/console//", 404),
        ("/console/people/", 404),
        ("/console/people/1/2/3", 404),
        ("/console/%00", 404),
        ("/console/%ff", 404),
        ("/console/..%2fhealth", 404),
        ("/console/" + "x" * 5000, 404),
        ("/consolee", 404),
        ("/console/static/", 404),
        ("/console/static/0/..%2fpages.py", 404),
        ("/console/static/0/%2e%2e", 404),
        ("/console/static/0/../../pages.py", 404),
        ("/console/static/0/console.css%00.js", 404),
        ("/console/", 303),
    ],
)
def test_paths(client: httpx.Client, path: str, expected: int) -> None:
    assert status(client, path) == expected


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "PATCH", "DELETE", "TRACE"])
def test_methods(client: httpx.Client, method: str) -> None:
    for path in paths("GET"):
        assert client.request(method, path).status_code in (200, 404, 405)


@pytest.mark.parametrize(
    "elsewhere",
    ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)", "../../docs", "%0d%0aX: 1"],
)
def test_signing_in_leads_nowhere_else(console: Console, elsewhere: str) -> None:
    with console.client() as client:
        page = client.get("/console/sign-in", params={"next": elsewhere})
        assert elsewhere not in re.sub(r"<form.*?</form>", "", page.text, flags=re.DOTALL)
    for path in ("/console/sign-in", "/console/language"):
        with console.client(None) as client:
            answer = client.post(path, data={"key": SECRETS[ALL], "language": "en", "next": elsewhere})
            assert answer.next_request is not None
            assert str(answer.next_request.url) == f"{console.url}/console"


def test_a_query_can_choose_a_sentence_of_the_catalogue_and_no_other(client: httpx.Client) -> None:
    for done in ("<b>x</b>", "renamed.x", "__class__", "title", "../x"):
        assert "notice good" not in client.get("/console", params={"done": done}).text


def test_the_service_still_works(console: Console, client: httpx.Client) -> None:
    """The last of this file: what was sent before has erased nobody."""
    with console.api() as api:
        assert len(api.get("/people").json()["people"]) == 3
    assert client.get("/console").status_code == 200
