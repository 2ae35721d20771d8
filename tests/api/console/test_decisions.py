"""The decisions that are kept, as pages; of an encrypted gallery, and by two processes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

import httpx
import pytest
from console_service import ALL, Console, console_service
from encrypted_galleries import Place, in_folder
from fake_photos import fake_photo

from face128.api.console.screens.decisions import PAGE_DECISIONS
from face128.gallery.trail import decisions, reading
from face128.gallery.trail.decisions import KeptDecision

NAMES = {"p1": "Ada <b>Lovelace</b>", "p2": "Ben & Jonson", 'p3"/../ä': "Carl"}
OLD = datetime(2026, 11, 1, 12, tzinfo=UTC)
KEPT_DAYS = 40_000  # whatever day it is


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return in_folder(tmp_path_factory.mktemp("decisions"))


@pytest.fixture(scope="module")
def console(place: Place) -> Iterator[Console]:
    """Three people, and 60 old decisions about them."""
    settings = {**place.settings(), "FACE128_DECISION_LOG_DAYS": "60", "FACE128_TRAIL": "1"}
    with console_service(workers=2, FACE128_ENGINES="fake", **settings) as console:
        with console.api() as api:
            for number, (user_id, name) in enumerate(NAMES.items()):
                path, files = f"/enroll_faces/{quote(user_id, safe='')}", {"files": fake_photo(number)}
                assert api.post(path, files=files, data={"name": name}).status_code == 200
        with closing(place.open()) as gallery, gallery.database.writing() as connection:
            for number in range(60):
                who, verdict = (None, "no") if number % 3 else ([*NAMES][number // 3 % 3], "yes")
                made = KeptDecision("search", who, 0.3, None, verdict, "threshold", "dlib-resnet-v1")  # type: ignore[arg-type]
                decisions.keep(connection, [made], KEPT_DAYS, OLD + timedelta(hours=number))
            made = KeptDecision("verify", "p1", 0.5, None, "no", "threshold", "dlib-resnet-v1")
            decisions.keep(connection, [made], KEPT_DAYS, OLD + timedelta(hours=60))
        yield console


@pytest.fixture
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client("gallery") as client:
        yield client


def shown(page: httpx.Response) -> list[int]:
    assert page.status_code == 200, page.text
    return [int(found) for found in re.findall(r'<tr id="decision-(\d+)"', page.text)]


def test_names_are_opened_escaped_and_linked(client: httpx.Client) -> None:
    text = client.get("/console/decisions?verdict=yes").text
    assert "Ada &lt;b&gt;Lovelace&lt;/b&gt;" in text
    assert "Ben &amp; Jonson" in text
    assert "<b>L" not in text
    assert 'href="../console/person?id=p3%22%2F..%2F%C3%A4"' in text
    assert "nobody" not in text


def test_the_pages_go_through_all_of_them_once(client: httpx.Client) -> None:
    page, found = client.get("/console/decisions"), []
    while True:
        found += shown(page)
        following = re.search(r'rel="next" href="\.\./(.*?)"', page.text)
        if not following:
            break
        page = client.get(f"/{following[1]}".replace("&amp;", "&"))
    assert found == sorted(found, reverse=True)
    assert len(found) == 61


def test_filters_are_those_of_the_api(console: Console, client: httpx.Client) -> None:
    for query, parameters in (
        ("verdict=yes", {"verdict": "yes"}),
        ("kind=verify", {"kind": "verify"}),
        ("person=p1&verdict=&kind=", {"user_id": "p1"}),
        ("person=p3%22/../%C3%A4", {"user_id": 'p3"/../ä'}),
        ("since=2026-11-03T20:00", {"since": "2026-11-03T20:00:00Z"}),
        ("until=2026-11-01T14:00", {"until": "2026-11-01T14:00:00Z"}),
        ("person=nobody", {"user_id": "nobody"}),
    ):
        with console.api() as api:
            expected = [
                each["id"]
                for each in api.get(f"/decisions?limit={PAGE_DECISIONS}", params=parameters).json()["decisions"]
            ]
        assert shown(client.get(f"/console/decisions?{query}")) == expected, query
        assert expected or "nobody" in query


def test_a_wrong_filter_is_named(client: httpx.Client) -> None:
    for query in ("verdict=maybe", "kind=x", "since=yesterday", "until=2026-13-01T00:00", "until=0000-01-01T00:00"):
        page = client.get("/console/decisions", params=query)
        assert page.status_code == 422
        assert 'role="alert"' in page.text
    assert client.get("/console/decisions?before=x").status_code == 422


def test_only_the_newest_page_is_followed(client: httpx.Client) -> None:
    assert "data-events" in client.get("/console/decisions?verdict=no&person=p1").text
    for query in ("before=30", "until=2026-11-05T00:00"):
        assert "data-events" not in client.get(f"/console/decisions?{query}").text


def test_a_view_is_noted_as_that_of_the_api(place: Place, client: httpx.Client) -> None:
    client.get("/console/decisions", headers={"X-Request-ID": "of-all"})
    client.get("/console/decisions?person=p1", headers={"X-Request-ID": "of-one"})
    with closing(place.open()) as gallery, gallery.database.reading() as connection:
        noted = {entry.request_id: entry for entry in reading.page(connection, 20)}
    assert (noted["of-all"].action, noted["of-all"].person, noted["of-all"].actor) == ("list", "*", "gallery")
    assert (noted["of-one"].action, noted["of-one"].actor) == ("read", "gallery")


def test_where_none_are_kept_the_page_says_how(tmp_path_factory: pytest.TempPathFactory) -> None:
    with console_service(keys=False, FACE128_ENGINES="fake") as open_console, open_console.client(None) as client:
        text = client.get("/console/decisions").text
        assert "FACE128_DECISION_LOG_DAYS=30" in text
        assert "data-events" not in text
        german = client.get("/console/decisions?lang=de").text
        assert "Dieser Dienst bewahrt keine Entscheidungen auf" in german


def test_it_needs_the_scope(console: Console) -> None:
    for key, status in (("match", 403), ("encode", 403), ("admin", 403), (ALL, 200)):
        with console.client(key) as client:
            assert client.get("/console/decisions").status_code == status
            assert client.get("/console/review").status_code == status
