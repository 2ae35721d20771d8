"""Signing in and out, and the session in between: real services, over HTTP."""

from __future__ import annotations

import http.client
import re
import sqlite3
import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from http.cookies import SimpleCookie
from pathlib import Path

import httpx
import pytest
from console_service import ALL, SECRETS, TIMEOUT_S, Console, console_service, key_entries, sign_in
from fastapi.routing import APIRoute

from face128.api.app import create_app
from face128.api.auth.throttle import MAX_FAILURES
from face128.api_keys import hash_secret
from face128.gallery.sessions import SESSION_HOURS, Sessions
from face128.gallery.storage.database import Database
from face128.settings import Settings

COOKIE = "face128_session"
SHORT_KEY = "a-short-secret"


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def console(data: Path) -> Iterator[Console]:
    keys = f"{key_entries()},{SHORT_KEY}"
    with console_service(FACE128_ENGINES="fake", FACE128_API_KEYS=keys, FACE128_DATA=str(data)) as console:
        yield console


def opens(console: Console, token: str, path: str = "/console") -> bool:
    """Whether the token is that of a session."""
    connection = http.client.HTTPConnection(console.url.removeprefix("http://"), timeout=TIMEOUT_S)
    try:
        connection.request("GET", path, headers={"Cookie": f"{COOKIE}={token}".encode()})
        status = connection.getresponse().status
    finally:
        connection.close()
    assert status in (200, 303)
    return status == 200


def token_of(client: httpx.Client) -> str:
    token = client.cookies[COOKIE]
    assert len(token) >= 43  # 256 bits in base64
    return token


def test_without_a_session_a_page_leads_to_the_form(console: Console) -> None:
    with console.client(None) as client:
        answer = client.get("/console")
        assert answer.status_code == 303
        form = client.get(str(answer.next_request.url) if answer.next_request else "")
        assert form.status_code == 200
        assert 'type="password"' in form.text
        assert not client.cookies


@pytest.mark.parametrize("secret", [*SECRETS.values(), SHORT_KEY, f"  {SECRETS[ALL]}\t"])
def test_every_key_of_the_service_opens_the_overview(console: Console, secret: str) -> None:
    with console.client(None) as client:
        assert sign_in(client, secret).status_code == 303
        overview = client.get("/console")
        assert overview.status_code == 200
        assert secret.strip() not in overview.text


@pytest.mark.parametrize(
    "secret",
    ["", " ", "wrong", SECRETS[ALL][:-1], SECRETS[ALL] + "x", SECRETS[ALL].upper(), "ключ", "\0", "<b>" + "x" * 9_000],
)
def test_a_wrong_key_opens_nothing_and_is_not_repeated(console: Console, secret: str) -> None:
    with console.client(None) as client:
        answer = sign_in(client, secret)
        # The tests before this one have sent wrong keys as well.
        assert answer.status_code in (401, 429)
        assert "set-cookie" not in answer.headers
        assert 'role="alert"' in answer.text
        assert len(secret) < 5 or secret not in answer.text
        assert client.get("/console").status_code == 303


@pytest.mark.parametrize("fields", [{}, {"Key": SECRETS[ALL]}, {"next": "people"}])
def test_a_form_without_the_field_signs_nobody_in(console: Console, fields: dict[str, str]) -> None:
    with console.client(None) as client:
        assert client.post("/console/sign-in", data=fields).status_code in (400, 401, 429)
        assert not client.cookies


def test_a_hash_of_a_key_is_no_key(console: Console) -> None:
    with console.client(None) as client:
        assert sign_in(client, hash_secret(SECRETS[ALL]).hex()).status_code in (401, 429)


def test_who_guesses_is_throttled_and_a_long_key_is_not() -> None:
    """Beyond loopback, where others can guess."""
    keys = f"{SHORT_KEY},{SECRETS[ALL]}"
    with (
        console_service(FACE128_ENGINES="fake", FACE128_API_KEYS=keys, FACE128_HOST="0.0.0.0") as console,
        console.client(None) as client,
    ):
        statuses = [sign_in(client, f"guess-{number}").status_code for number in range(MAX_FAILURES + 2)]
        assert statuses == [401] * MAX_FAILURES + [429] * 2
        refused = sign_in(client, SHORT_KEY)  # it might be a lucky guess
        assert (refused.status_code, int(refused.headers["Retry-After"]) >= 1) == (429, True)
        assert 'type="password"' in refused.text
        assert not client.cookies
        # Guesses here count as guesses there.
        assert httpx.get(f"{console.url}/people", headers={"X-API-Key": "guess"}, timeout=60).status_code == 429
        assert sign_in(client, SECRETS[ALL]).status_code == 303


@pytest.mark.parametrize("https", [False, True])
def test_the_cookie_is_for_these_pages_alone_and_ends(console: Console, https: bool) -> None:
    host = console.url.removeprefix("http://")
    origin = f"https://{host}" if https else console.url
    answer = httpx.post(
        f"{console.url}/console/sign-in", data={"key": SECRETS[ALL]}, headers={"Origin": origin}, timeout=60
    )
    (header,) = [each for each in answer.headers.get_list("set-cookie") if "Max-Age=0" not in each]
    (cookie,) = SimpleCookie(header).values()
    assert cookie.key == COOKIE
    assert cookie["httponly"] is True
    assert cookie["samesite"].lower() == "strict"
    assert cookie["secure"] == (True if https else "")
    assert cookie["domain"] == ""  # no other host
    assert cookie["path"] == ""  # the folder of the form, whatever the proxy's prefix is
    assert int(cookie["max-age"]) == SESSION_HOURS * 3600
    with console.client() as client:
        assert [each.path for each in client.cookies.jar] == ["/console"]


def test_the_cookie_is_no_key_of_the_api(console: Console) -> None:
    app = create_app(Settings(engines=("fake",), console=False))
    routes = [route for route in app.router.routes if isinstance(route, APIRoute)]
    with console.client() as client:
        cookie = {"Cookie": f"{COOKIE}={token_of(client)}"}
        for route in routes:
            path = re.sub(r"{[^}]*}", "nobody", route.path)
            for method in route.methods:
                with_cookie = client.request(method, path, headers=cookie).status_code
                assert with_cookie == httpx.request(method, console.url + path, timeout=60).status_code, path
                needs_key = path not in ("/health", "/ready", "/", "/openapi.json") and not path.startswith("/docs")
                assert not needs_key or with_cookie == 401, path


def test_a_key_opens_no_page_without_signing_in(console: Console) -> None:
    with console.api() as client:
        assert client.get("/people").status_code == 200
        assert client.get("/console").status_code == 303


@pytest.mark.parametrize("planted", ["x" * 43, "", "another; other=1"])
def test_a_session_that_somebody_planted_is_never_taken_over(console: Console, planted: str) -> None:
    with console.client(None) as client:
        answer = client.post("/console/sign-in", data={"key": SECRETS[ALL]}, headers={"Cookie": f"{COOKIE}={planted}"})
        assert answer.status_code == 303
        assert token_of(client) != planted
        assert not opens(console, "x" * 43)


def test_a_session_of_another_key_that_somebody_planted_ends(console: Console) -> None:
    with console.client("match") as attacker, console.client(None) as victim:
        planted = token_of(attacker)
        victim.post("/console/sign-in", data={"key": SECRETS[ALL]}, headers={"Cookie": f"{COOKIE}={planted}"})
        assert opens(console, token_of(victim))
        assert not opens(console, planted)


def test_each_session_is_another_and_signing_out_ends_it_on_the_service(console: Console) -> None:
    with console.client() as one, console.client() as other:
        tokens = token_of(one), token_of(other)
        assert tokens[0] != tokens[1]
        answer = one.post("/console/sign-out")
        assert answer.status_code == 303
        assert not one.cookies
        assert [opens(console, token) for token in tokens] == [False, True]


@pytest.mark.parametrize("token", ["", "x", "x" * 64, "x" * 65, "%00", '"', "../../x", "é", "x" * 5000])
def test_a_token_that_nobody_was_given_opens_nothing(console: Console, token: str) -> None:
    assert not opens(console, token)


def test_a_session_ends_by_the_clock(console: Console, data: Path) -> None:
    database = Database(f"sqlite:///{data}/gallery.sqlite")
    try:
        for hours, valid in ((SESSION_HOURS - 0.1, True), (SESSION_HOURS, False)):
            began = datetime.now(UTC) - timedelta(hours=hours)
            token = Sessions(database, lambda at=began: at).begin(hash_secret(SECRETS[ALL]).hex())  # type: ignore[misc]
            assert opens(console, token) == valid
        stored = Sessions(database, lambda: datetime.now(UTC) + timedelta(hours=SESSION_HOURS + 1))
        stored.begin("0" * 64)
        with sqlite3.connect(f"{data}/gallery.sqlite") as connection:
            assert connection.execute("SELECT count(*) FROM console_sessions").fetchone() == (1,)  # no ended ones
    finally:
        database.close()


def test_the_database_holds_no_token_and_no_key(console: Console, data: Path) -> None:
    with console.client() as client:
        token = token_of(client)
        stored = b"".join(file.read_bytes() for file in data.glob("gallery.sqlite*"))
        assert hash_secret(token).hex().encode() in stored
        assert token.encode() not in stored
        assert SECRETS[ALL].encode() not in stored


def test_a_session_survives_kill_9_but_not_its_key(tmp_path: Path) -> None:
    settings = {"FACE128_ENGINES": "fake", "FACE128_DATA": str(tmp_path)}
    names = (ALL, "gallery", "match")
    with console_service(**settings) as console:
        tokens = []
        for name in names:
            with console.client(name) as client:
                tokens.append(token_of(client))
        console.process.kill()
    # "gallery" is gone; "match" is the name of another key.
    entries = [entry for entry in key_entries().split(",") if not entry.startswith("gallery:")]
    keys = ",".join(entries).replace(hash_secret(SECRETS["match"]).hex(), hash_secret("another").hex())
    with console_service(**settings, FACE128_API_KEYS=keys) as console:
        assert [opens(console, token) for token in tokens] == [True, False, False]


def test_two_processes_know_each_others_sessions() -> None:
    with console_service(workers=2, FACE128_ENGINES="fake") as console:
        with console.client() as client:
            token = token_of(client)
            found: list[bool] = []
            threads = [threading.Thread(target=lambda: found.append(opens(console, token))) for _ in range(30)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            assert found == [True] * 30
            client.post("/console/sign-out")
        assert not any(opens(console, token) for _ in range(30))


def test_without_the_database_nobody_signs_in_and_the_page_says_why(tmp_path: Path) -> None:
    away = "postgresql+psycopg://nobody@127.0.0.1:9/nothing"
    settings = {"FACE128_ENGINES": "fake", "FACE128_DATABASE_URL": away, "FACE128_READY_NEEDS_GALLERY": "0"}
    with console_service(**settings) as console, console.client(None) as client:
        assert client.get("/console/sign-in").status_code == 200
        answer = sign_in(client, SECRETS[ALL])
        assert (answer.status_code, answer.headers["content-type"]) == (503, "text/html; charset=utf-8")
        assert 'role="alert"' in answer.text
        assert client.get("/console", headers={"Cookie": f"{COOKIE}=x"}).status_code == 503


def test_without_keys_on_loopback_it_is_open() -> None:
    with console_service(keys=False, FACE128_ENGINES="fake") as console, console.client(None) as client:
        overview = client.get("/console")
        assert overview.status_code == 200
        assert "sign-out" not in overview.text
        assert client.get("/console/sign-in").status_code == 303
