"""The trail over HTTP: its pages, its check, and all of it as a file."""

from __future__ import annotations

import csv
import io
import re
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import face128
from console_service import Console, console_service
from fake_photos import fake_photo

from face128.gallery.trail.entry import ACTIONS

TIMEOUT_S = 60


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def console(folder: Path) -> Iterator[Console]:
    """Sixty enrolments, and an erasure."""
    with console_service(FACE128_ENGINES="fake", FACE128_TRAIL="1", FACE128_DATA=str(folder)) as console:
        with console.api() as api:
            for number in range(60):
                files, data = {"files": fake_photo(number)}, {"name": f"Name {number}"}
                assert api.post(f"/enroll_faces/{number}", files=files, data=data).status_code == 200
            assert api.delete("/enroll_faces/7").status_code == 200
        yield console


@pytest.fixture
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client() as client:
        yield client


def checked(client: httpx.Client) -> str:
    """The page after a new check."""
    answer = client.post("/console/trail/check")
    assert answer.status_code == 303
    address = answer.url.join(answer.headers["Location"])
    client.get(address)
    deadline = time.monotonic() + TIMEOUT_S
    while client.get("/console/trail/checked", params=address.params).status_code == 204:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return client.get(address).text


def numbers(page: str) -> list[int]:
    return [int(number) for number in re.findall(r'<th scope="row" class="number">(\d+)</th>', page)]


def test_pages_follow_each_other(client: httpx.Client) -> None:
    first = client.get("/console/trail")
    assert numbers(first.text) == list(range(62, 12, -1))
    (following,) = re.findall(r'rel="next" href="([^"]*)"', first.text)
    second = client.get(first.url.join(following.replace("&amp;", "&"))).text
    assert numbers(second) == list(range(12, 0, -1))
    assert 'rel="next"' not in second


def test_it_can_be_asked_about_somebody_who_was_erased_and_about_a_deed(client: httpx.Client) -> None:
    assert numbers(client.get("/console/trail?person=7").text) == [62, 9]
    assert numbers(client.get("/console/trail?action=erase").text) == [62]
    assert numbers(client.get("/console/trail?action=erase&person=8").text) == []
    assert "There is no such entry." in client.get("/console/trail?person=nobody").text
    assert client.get("/console/trail?action=nothing").status_code == 422
    page = client.get("/console/trail").text
    assert [f'value="{action}"' in page for action in ACTIONS] == [True] * len(ACTIONS)


def test_nothing_names_anybody(client: httpx.Client) -> None:
    assert "Name " not in client.get("/console/trail").text


def test_the_files_are_the_whole_trail(console: Console, client: httpx.Client, folder: Path) -> None:
    page = checked(client)
    assert "62 entries; nothing was changed or removed." in page
    export = client.get("/console/trail/export?format=jsonl")
    assert export.headers["Content-Disposition"] == 'attachment; filename="face128-trail-62.jsonl"'
    assert face128("trail", "export", folder / "trail.jsonl", FACE128_DATA=str(folder)).returncode == 0
    assert export.text == (folder / "trail.jsonl").read_text()
    head = re.search(r"62:[0-9a-f]{64}", page)
    assert head is not None
    assert head[0].endswith(export.text.splitlines()[-1][-66:-2])
    sheet = client.get("/console/trail/export?format=csv")
    assert sheet.headers["Content-Type"] == "text/csv; charset=utf-8"
    assert sheet.text.startswith("\ufeffseq,at,")
    rows = list(csv.DictReader(io.StringIO(sheet.text.lstrip("\ufeff"))))
    assert [int(row["seq"]) for row in rows] == list(range(1, 63))
    assert client.get("/console/trail/export?format=xls").status_code == 422


def test_an_entry_that_was_changed_is_found_and_is_on_the_first_page(client: httpx.Client, folder: Path) -> None:
    assert "nothing was changed" in checked(client)

    def edit(actor: str, details: str) -> None:
        with sqlite3.connect(folder / "gallery.sqlite", timeout=30) as database:
            database.execute("UPDATE trail SET actor = ?, details = ?, at = at WHERE seq = 60", (actor, details))
        database.close()

    edit("=<i>somebody</i>", '["no object"]')
    try:
        page = checked(client)
        assert "Entry 60 was changed, or is not in its place." in page
        assert "This is not the trail that was written: 1 fault." in page
        assert "<i>somebody" not in page
        assert ",'=<i>somebody</i>," in client.get("/console/trail/export?format=csv").text  # not calculated
        assert "The trail is not the one that was written" in client.get("/console").text
    finally:
        edit("all", '{"faces":1,"forced":false}')
    assert "nothing was changed" in checked(client)


def test_without_a_trail_it_says_how_to_have_one() -> None:
    with console_service(FACE128_ENGINES="fake") as console, console.client() as client:
        page = client.get("/console/trail").text
        assert "Nothing is recorded here." in page
        assert "FACE128_TRAIL=1" in page
        assert client.get("/console/trail/export").text == ""
        with console.client("gallery") as other:
            assert other.get("/console/trail").status_code == 403
