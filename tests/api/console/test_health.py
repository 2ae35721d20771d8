"""The health of the gallery over HTTP: findings with what mends them, jobs that post here, engines, the database."""

from __future__ import annotations

import re
import sqlite3
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import httpx
import pytest
from console_service import ALL, SITE, Console, console_service

from face128.gallery.posting_jobs import STALLED_AFTER_S

NAME = "<b>Joe</b> & Co"
HALF = {"state": "running", "stage": "enrolling", "total": 10, "done": 4, "failed": 1, "errors": {"no_face": 1}}
TIMEOUT_S = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def console(folder: Path) -> Iterator[Console]:
    """Two with one photo, one with the photos of three people, and one in another collection."""
    with console_service(FACE128_TRAIL="1", FACE128_DATA=str(folder)) as console:
        console.enrol("joe", "biden-2010.jpg", name=NAME)
        console.enrol("joe/2", "biden-2010.jpg", name="Joe Again", query="?force=true")
        console.enrol(
            "bob",
            "obama-2009.jpg",
            "obama-2012.jpg",
            "obama-2010.jpg",
            "hopper-1984.jpg",
            name="Bob",
            query="?force=true",
        )
        console.enrol("other", "hopper-1984.jpg", name="Other", key=SITE)
        yield console


@pytest.fixture
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client() as client:
        yield client


def measured(client: httpx.Client, path: str = "/console/health") -> str:
    """The page once the gallery has been examined."""
    client.get(path)
    deadline = time.monotonic() + TIMEOUT_S
    while client.get("/console/health/measured", params=httpx.URL(path).params).status_code == 204:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    page = client.get(path)
    assert page.status_code == 200
    return page.text


def section(page: str, kind: str) -> str:
    """The findings of one kind."""
    found = re.search(rf'<section>\s*<h3 id="{kind}">.*?</section>', page, re.DOTALL)
    return found[0] if found else ""


def test_each_finding_has_its_people_and_leads_to_what_mends_it(client: httpx.Client) -> None:
    page = measured(client)
    assert "3 people with 6 photos" in page
    one_photo = section(page, "duplicate")
    assert "&lt;b&gt;Joe&lt;/b&gt; &amp; Co" in one_photo
    assert "<b>Joe" not in page
    assert "person/merge?id=joe%2F2&amp;into=joe" in one_photo
    assert "person?id=joe%2F2" in one_photo
    foreign = section(page, "inconsistent_person")
    assert 'href="../console/person?id=bob"' in foreign
    assert 'href="../console/enrol?id=bob"' in foreign
    (photo,) = re.findall(r"[0-9a-f]{8}-[0-9a-f-]{27}", foreign)
    assert photo in client.get("/console/person?id=bob").text


def test_what_was_mended_is_gone_at_once_and_measuring_again_agrees(console: Console, client: httpx.Client) -> None:
    console.enrol("twin", "hopper-1984.jpg", name="Twin", query="?force=true")
    answer = client.post("/console/health/measure")
    assert answer.status_code == 303
    again = str(answer.url.join(answer.headers["Location"]).raw_path, "ascii")
    before = measured(client, again)
    assert "4 people with 7 photos" in before
    with console.api() as api:
        assert api.delete("/enroll_faces/twin").status_code == 200
    page = measured(client, again)
    assert "4 people with 7 photos" in page, "it is the measurement of before"
    assert "twin" not in page
    answer = client.post("/console/health/measure")
    page = measured(client, str(answer.url.join(answer.headers["Location"]).raw_path, "ascii"))
    assert "3 people with 6 photos" in page


def test_a_key_of_one_collection_sees_that_one_alone(console: Console) -> None:
    with console.client(SITE) as client:
        page = measured(client)
        assert "1 person with 1 photo" in page
        assert "joe" not in page
        assert "Encryption" not in page, "that is for admin"
    with console.client("gallery") as client:
        assert client.get("/console/health").status_code == 200


def test_who_saw_names_is_on_the_trail(console: Console, client: httpx.Client) -> None:
    measured(client)
    export = client.get("/console/trail/export").text.splitlines()
    assert any('"action":"list"' in line and "findings" in line and f'"actor":"{ALL}"' in line for line in export)


def test_jobs_are_shown_with_a_bar_and_one_that_says_nothing_has_stalled(
    console: Console, client: httpx.Client, folder: Path
) -> None:
    part = client.get("/console/health?part=jobs")
    assert "face128 reencode" in part.text
    with console.api() as api:
        for job in ("running", "silent"):
            api.put(f"/jobs/{job}", json=HALF)
        api.put("/jobs/ended", json=HALF | {"state": "done", "errors": {"a_new_code": 2}})
    with sqlite3.connect(folder / "gallery.sqlite", timeout=30) as database:
        old = time.strftime("%Y-%m-%dT%H:%M:%S.000000Z", time.gmtime(time.time() - 2 * STALLED_AFTER_S))
        database.execute("UPDATE posting_jobs SET updated_at = ? WHERE job_id = 'silent'", (old,))
    database.close()
    part = client.get("/console/health?part=jobs")
    assert part.text.count('<progress max="10" value="5"') == 3
    assert part.text.count("stalled") == 1
    assert "No news for five minutes" in part.text
    assert "1 × No face was found in the photo." in part.text
    assert "<code>a_new_code</code>" in part.text
    assert "<html" not in part.text
    assert part.text.strip() in client.get("/console/health").text
    overview = client.get("/console").text
    assert "1 job that enrols people has stalled." in overview


def test_the_first_page_has_the_numbers_and_what_needs_attention(client: httpx.Client) -> None:
    measured(client)
    page = client.get("/console").text
    numbers = [int(found.replace(",", "")) for found in re.findall(r"<strong>([\d,]+)</strong>", page)]
    assert numbers[:3] == [3, 6, 2]
    assert re.search(r"\d things in the gallery need mending", page)
    assert "not kept" in page


def test_the_engines_and_the_database_are_told(client: httpx.Client) -> None:
    page = client.get("/console/health").text
    assert "dlib-resnet-v1" in page
    assert "public domain (CC0)" in page
    assert "SQLite" in page
    assert "The gallery is not encrypted." in page


def test_a_wrong_time_is_refused_and_a_future_one_is_now(client: httpx.Client) -> None:
    assert client.get("/console/health?after=-1").status_code == 422
    assert client.get("/console/health?after=x").status_code == 422
    assert "3 people" in measured(client, f"/console/health?after={int((time.time() + 0.01) * 1000)}")


def test_a_gallery_that_cannot_be_used_is_the_first_thing_said(tmp_path: Path) -> None:
    service = console_service(keys=False, FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path))
    with service as console, console.client(None) as client:
        assert "Nobody is enrolled yet." in measured(client)
        (tmp_path / "gallery.sqlite").unlink()
        page = client.get("/console/health")
        assert page.status_code == 200
        assert "The gallery cannot be used" in page.text
        assert "fake" in page.text
        assert "The gallery cannot be used" in client.get("/console").text


def test_each_of_several_workers_measures_what_is_wanted(tmp_path: Path) -> None:
    with console_service(workers=2, FACE128_ENGINES="fake") as console, console.client() as client:
        answer = client.post("/console/health/measure")
        wanted = answer.url.join(answer.headers["Location"])
        after = int(wanted.params["after"]) // 1000
        measured_since, deadline = 0, time.monotonic() + TIMEOUT_S
        while measured_since < 8:  # new connections: both workers are asked
            assert time.monotonic() < deadline
            page = httpx.get(wanted, cookies=client.cookies, timeout=60).text
            times = re.findall(r'0 photos, examined\s*<time datetime="([^"]*)"', page)
            assert all(datetime.fromisoformat(each).timestamp() >= after for each in times)
            measured_since = measured_since + 1 if times else 0
