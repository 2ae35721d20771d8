"""Decisions that are looked at again, over HTTP: the queue, judgements, and what is learnt from them."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from contextlib import closing

import httpx
import pytest
from console_service import Console, console_service
from encrypted_galleries import Place, in_folder
from fake_photos import fake_photo

from face128.gallery.trail import decisions, reading
from face128.gallery.trail.decisions import KeptDecision

NAMES = {"p1": "Ada <i>L</i>", "p2": "Ben", "p3": "Carl"}


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Place:
    return in_folder(tmp_path_factory.mktemp("review"))


@pytest.fixture(scope="module")
def console(place: Place) -> Iterator[Console]:
    settings = {"FACE128_DECISION_LOG_DAYS": "60", "FACE128_TRAIL": "1", "FACE128_REVIEW_ALPHA": "0.1"}
    with console_service(FACE128_ENGINES="fake", **place.settings(), **settings) as console:
        with console.api() as api:
            for number, (user_id, name) in enumerate(NAMES.items()):
                files = {"files": fake_photo(number)}
                assert api.post(f"/enroll_faces/{user_id}", files=files, data={"name": name}).status_code == 200
        yield console


@pytest.fixture
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client("gallery") as client:
        yield client


def look_again(place: Place, *people: str, risk: float = 0.05, distance: float = 0.4) -> list[int]:
    made = [KeptDecision("search", who, distance, risk, "look_again", "cohort", "dlib-resnet-v1") for who in people]
    with closing(place.open()) as gallery, gallery.database.writing() as connection:
        decisions.keep(connection, made, 60)
        return [each.id for each in decisions.page(connection, len(people))][::-1]


def waiting(client: httpx.Client, query: str = "") -> list[int]:
    page = client.get(f"/console/review{query}")
    assert page.status_code == 200
    return [int(found) for found in re.findall(r'class="tile review" id="decision-(\d+)"', page.text)]


def judge(client: httpx.Client, decision: int, judgement: str, user_id: str | None = None) -> httpx.Response:
    fields = {"id": str(decision), "judgement": judgement} | ({} if user_id is None else {"user_id": user_id})
    return client.post("/console/review", data=fields)


def text_of(page: httpx.Response) -> str:
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page.text)))


def test_judged_undone_and_judged_again(place: Place, client: httpx.Client) -> None:
    first, second, third = look_again(place, "p1", "p2", "p3")
    assert waiting(client) == [third, second, first]
    page = client.get("/console/review").text
    assert "Ada &lt;i&gt;L&lt;/i&gt;" in page
    assert 'href="../console/person?id=p1"' in page
    for decision, judgement, person in ((first, "right", None), (second, "wrong", None), (third, "person", "p1")):
        answer = judge(client, decision, judgement, person)
        assert (answer.status_code, answer.headers["location"]) == (303, "../console/review?done=judged")
    assert waiting(client) == []
    text = text_of(client.get("/console/review?done=judged"))
    assert "Noted." in text
    assert "It was not Carl p3 , but Ada <i>L</i> p1" in text
    assert "3 decisions were looked at again; right: 1." in text
    assert judge(client, second, "undo").headers["location"] == "../console/review?done=undone"
    assert waiting(client) == [second]
    judge(client, second, "right")
    assert "right: 2." in text_of(client.get("/console/review"))


def test_what_is_not_taken_says_why_and_keeps_what_was_typed(place: Place, client: httpx.Client) -> None:
    (decision,) = look_again(place, "p1")
    answer = judge(client, decision, "person", "Ben <b>")
    assert answer.status_code == 404
    assert "Nobody is enrolled with this id." in answer.text
    assert 'value="Ben &lt;b&gt;"' in answer.text
    assert 'href="../console/people?q=Ben+%3Cb%3E"' in answer.text
    assert judge(client, decision, "person", "").status_code == 422
    assert judge(client, decision, "person", "x" * 300).status_code == 422
    gone = judge(client, 10**9, "right")
    assert (gone.status_code, "not kept any more" in gone.text) == (404, True)
    for fields in (
        {"judgement": "right"},
        {"id": "x", "judgement": "right"},
        {"id": "²", "judgement": "right"},
        {"id": "9" * 30, "judgement": "right"},
        {"id": str(decision), "judgement": "maybe"},
        {"id": str(decision)},
    ):
        assert client.post("/console/review", data=fields).status_code == 422
    assert waiting(client) == [decision]
    judge(client, decision, "right")


def test_a_long_queue_has_pages(place: Place, client: httpx.Client) -> None:
    made = look_again(place, *["p2"] * 45)
    found = waiting(client)
    assert len(found) == 20
    for _ in range(2):
        assert (
            f'rel="next" href="../console/review?before={found[-1]}"'
            in client.get(f"/console/review?before={found[-21]}" if len(found) > 20 else "/console/review").text
        )
        found += waiting(client, f"?before={found[-1]}")
    assert found == made[::-1]
    answer = client.post("/console/review", data={"id": made[0], "judgement": "right", "before": made[20]})
    assert answer.headers["location"] == f"../console/review?done=judged&before={made[20]}"
    for decision in made:
        judge(client, decision, "right")


def test_what_is_learnt_is_told(place: Place, client: httpx.Client) -> None:
    for number, decision in enumerate(look_again(place, *["p1"] * 8, risk=0.07, distance=0.46)):
        judge(client, decision, "person", "p3") if number < 3 else judge(client, decision, "wrong")
    text = text_of(client.get("/console/review"))
    assert "A review_alpha of 0.05 would have asked 8 times less" in text
    assert "FACE128_REVIEW_ALPHA=0.05" in text
    assert re.search(r"Ben p2 : \d+ times hardly recognised\. Another photo may help\.", text)
    assert "Carl p3 → Ada <i>L</i> p1 : 3 times taken for them." in text
    assert "The nearest of them, at 0.400, was wrong already" in text
    german = text_of(client.get("/console/review?lang=de"))
    assert "Ein review_alpha von 0.05 hätte" in german


def test_a_judgement_and_a_view_are_on_the_trail(place: Place, client: httpx.Client) -> None:
    (decision,) = look_again(place, "p1")
    client.headers["X-Request-ID"] = "judges"
    judge(client, decision, "person", "p2")
    client.headers["X-Request-ID"] = "views"
    client.get("/console/review")
    with closing(place.open()) as gallery, gallery.database.reading() as connection:
        about = [entry for entry in reading.page(connection, 5, person="p2") if entry.action == "review"]
        views = [entry for entry in reading.page(connection, 5) if entry.request_id == "views"]
    assert (about[0].actor, about[0].result, about[0].request_id) == ("gallery", "person", "judges")
    assert [(entry.action, entry.person, entry.actor) for entry in views] == [("list", "*", "gallery")]


def test_a_key_of_a_collection_judges_its_own_alone(place: Place, console: Console, client: httpx.Client) -> None:
    (decision,) = look_again(place, "p1")
    with console.client("site") as site:
        assert waiting(site) == []
        assert judge(site, decision, "right").status_code == 404
        assert judge(site, decision, "undo").status_code == 404
    assert waiting(client) == [decision]


def test_nothing_names_who_was_erased(console: Console, client: httpx.Client, place: Place) -> None:
    (decision,) = look_again(place, "p3")
    judge(client, decision, "right")
    with console.api() as api:
        assert api.delete("/enroll_faces/p3").status_code == 200
    page = client.get("/console/review").text
    assert "Carl" not in page
    assert "p3" not in page
