"""Without keys: what a browser would send for a page of another site is refused, and for the service's own is not."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest
from serving import serving

MATCH = {"descriptor": [0] * 128, "enrolled": []}
APP = "http://localhost:3000"  # another port of this machine: same-site, and foreign


def ask(client: httpx.Client, method: str = "POST", path: str = "/match", **headers: str) -> httpx.Response:
    """A request with these headers; ``{host}`` and ``{port}`` in them are the service's own."""
    own = {"host": client.base_url.host, "port": client.base_url.port}
    sent = {name: value.format(**own) for name, value in headers.items()}
    return client.request(method, path, json=MATCH if method == "POST" else None, headers=sent)


FOREIGN = [
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Origin": "file://"},
    {"Origin": ""},
    {"Origin": APP},
    {"Origin": "http://{host}:1"},
    {"Origin": "http://{host}"},
    {"Origin": "http://{host}:{port}.evil.example"},
    {"Origin": "http://evil.example@{host}:{port}"},
    {"Origin": "ftp://{host}:{port}"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": APP, "Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
    {"Origin": "https://evil.example", "Sec-Fetch-Site": "none"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"},
]
OWN = [
    {},
    {"Origin": "http://{host}:{port}"},
    {"Origin": "http://{host}:{port}", "Sec-Fetch-Site": "same-origin", "Sec-Fetch-Mode": "cors"},
    {"Origin": "http://localhost:{port}", "Host": "localhost:{port}"},
    {"Origin": "http://[::1]:{port}", "Host": "[::1]:{port}"},
    {"Origin": "https://face.localhost", "Host": "face.localhost"},  # a proxy that speaks HTTPS
    {"Origin": "https://localhost", "Host": "localhost:443"},
    {"Origin": "https://face.example", "Sec-Fetch-Site": "same-origin"},  # a proxy that does not pass Host on
    {"Sec-Fetch-Site": "none"},
]


@pytest.mark.parametrize("headers", FOREIGN)
@pytest.mark.parametrize(
    ("method", "path"), [("POST", "/match"), ("GET", "/records"), ("DELETE", "/records/1"), ("GET", "/openapi.json")]
)
def test_a_foreign_page_is_refused(fake_service: httpx.Client, method: str, path: str, headers: dict[str, str]) -> None:
    answer = ask(fake_service, method, path, **headers)
    assert (answer.status_code, answer.json()["code"]) == (403, "foreign_origin")
    assert "FACE128_CORS_ORIGINS" in answer.json()["error"]
    assert answer.headers["X-Request-ID"]
    assert "Access-Control-Allow-Origin" not in answer.headers


@pytest.mark.parametrize("headers", OWN)
def test_own_pages_and_clients_that_are_no_browsers_are_answered(
    fake_service: httpx.Client, headers: dict[str, str]
) -> None:
    answer = ask(fake_service, **headers)
    assert (answer.status_code, answer.text) == (200, '{"match":false}')


def test_a_refusal_is_counted(fake_service: httpx.Client) -> None:
    ask(fake_service, Origin="https://evil.example")
    assert 'face128_errors_total{code="foreign_origin"}' in fake_service.get("/metrics").text


@pytest.mark.parametrize("path", ["/", "/docs", "/docs/"])
def test_another_site_may_link_to_the_pages(fake_service: httpx.Client, path: str) -> None:
    link = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
    assert ask(fake_service, "GET", path, **link).status_code in (200, 307)
    fetched = ask(fake_service, "GET", path, **link | {"Sec-Fetch-Mode": "no-cors"})
    assert (fetched.status_code, fetched.json()["code"]) == (403, "foreign_origin")


LOOPBACK_NAMES = ["127.0.0.1", "localhost", "LOCALHOST:80", "face.localhost:1234", "127.8.8.8", "[::1]:9", "localhost."]
REBOUND_NAMES = [
    "evil.example",
    "evil.example:8000",
    "192.0.2.1",
    "localhost.evil.example",
    "evillocalhost",
    "[fe80::1]",
]


@pytest.mark.parametrize("host", LOOPBACK_NAMES)
def test_names_of_this_machine_are_taken(fake_service: httpx.Client, host: str) -> None:
    assert ask(fake_service, Host=host).status_code == 200


@pytest.mark.parametrize("host", [*REBOUND_NAMES, "127.0.0.1.evil.example", "0x7f.1", "::1", "localhost@evil.example"])
def test_other_names_are_dns_rebinding(fake_service: httpx.Client, host: str) -> None:
    # As a browser sends it from a page that it takes for the service's own.
    answer = ask(fake_service, Host=host, Origin=f"http://{host}", **{"Sec-Fetch-Site": "same-origin"})
    assert (answer.status_code, answer.json()["code"]) == (403, "unknown_host")
    assert "FACE128_ALLOWED_HOSTS" in answer.json()["error"]
    assert host not in answer.text


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_supervisors_ask_under_any_name(fake_service: httpx.Client, path: str) -> None:
    assert ask(fake_service, "GET", path, Host="10.2.3.4:8000").status_code == 200


@pytest.fixture(scope="module")
def known() -> Iterator[httpx.Client]:
    """Names and an origin that the operator named."""
    settings = {"FACE128_ALLOWED_HOSTS": "face.example,192.0.2.1, [fe80::1]", "FACE128_CORS_ORIGINS": APP}
    with serving(FACE128_ENGINES="fake", **settings) as client:
        yield client


@pytest.mark.parametrize("host", ["face.example", "Face.Example:8000", "192.0.2.1:1", "[fe80::1]:8000", "localhost"])
def test_named_hosts_are_taken(known: httpx.Client, host: str) -> None:
    assert ask(known, Host=host).status_code == 200


def test_the_other_hosts_are_not(known: httpx.Client) -> None:
    for host in ("evil.example", "www.face.example", "face.example.evil"):
        assert ask(known, Host=host).json()["code"] == "unknown_host"


def test_a_named_origin_is_answered_and_may_read_it(known: httpx.Client) -> None:
    for site in ({}, {"Sec-Fetch-Site": "same-site"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = ask(known, Origin=APP, **site)
        assert (answer.status_code, answer.headers["Access-Control-Allow-Origin"]) == (200, APP)
    for other in ("http://localhost:3001", "https://localhost:3000", "null"):
        assert ask(known, Origin=other).json()["code"] == "foreign_origin"


def test_beyond_loopback_any_name_is_taken_and_foreign_pages_still_are_not() -> None:
    with serving(FACE128_ENGINES="fake", FACE128_HOST="0.0.0.0", FACE128_ALLOW_ANONYMOUS="1") as client:
        assert ask(client, Host="face.lan:8000").status_code == 200
        assert ask(client, Host="face.lan:8000", Origin="http://face.lan:8000").status_code == 200
        assert ask(client, Host="face.lan:8000", Origin="http://evil.example").json()["code"] == "foreign_origin"


def test_with_keys_nothing_is_asked_of_host_and_origin() -> None:
    key = "a-long-key-of-this-test-for-backends"
    with serving({"X-API-Key": key}, FACE128_ENGINES="fake", API_KEY=key) as client:
        for headers in [{"Host": host} for host in REBOUND_NAMES] + FOREIGN:
            assert ask(client, **headers).status_code == 200


def test_several_workers_know_the_host_of_the_command_line() -> None:
    with serving(
        workers=2, options=("--host", "0.0.0.0"), FACE128_ENGINES="fake", FACE128_ALLOW_ANONYMOUS="1"
    ) as client:
        assert ask(client, Host="face.lan").status_code == 200
