"""The pages about people, read and sent as a browser without script does; the API says what is so."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import quote, urljoin

import httpx
import numpy as np
import pytest
from console_service import SITE, Console, console_service
from fake_photos import create_record, fake_photo
from html_pages import HtmlPage
from people import at_distance, photo_descriptor
from people import enrol as store

from face128.gallery.gallery import Gallery

PEOPLE = 101  # two pages and one person
LATER = "2099-01-31T06:30:00Z"
ODD_ID = "a/b?c&d=é#%2F..+ \u202e{x}"


@pytest.fixture(scope="module")
def database_url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('gallery')}/people.sqlite"


@pytest.fixture(scope="module")
def console(database_url: str) -> Iterator[Console]:
    settings = {"FACE128_ENGINES": "fake", "FACE128_REQUIRE_CONSENT": "1", "FACE128_DATABASE_URL": database_url}
    with console_service(**settings) as console:
        yield console


@pytest.fixture(scope="module")
def api(console: Console) -> Iterator[httpx.Client]:
    with console.api() as client:
        yield client


@pytest.fixture(scope="module")
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client("gallery") as client:
        yield client


def enrol(api: httpx.Client, user_id: str, seed: int, photos: int = 1, name: str = "Somebody", query: str = "") -> None:
    files = [("files", fake_photo(seed, photo)) for photo in range(photos)]
    path = f"/enroll_faces/{quote(user_id, safe='')}{query}"
    answer = api.post(path, files=files, data={"name": name, "consent": "form 1"})
    assert answer.status_code == 200, answer.text


def known(api: httpx.Client, user_id: str) -> dict[str, Any]:
    answer = api.get(f"/people/{quote(user_id, safe='')}")
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


def read(client: httpx.Client, path: str, status: int = 200, **query: str) -> HtmlPage:
    answer = client.get(path, params=query or None)
    assert answer.status_code == status, answer.text
    return HtmlPage(answer)


def followed(client: httpx.Client, answer: httpx.Response) -> HtmlPage:
    assert answer.status_code == 303, answer.text
    return read(client, urljoin(str(answer.url), answer.headers["location"]))


def test_the_pages_show_everybody_once_in_order(api: httpx.Client, client: httpx.Client) -> None:
    for seed in range(PEOPLE):
        enrol(api, f"list-{seed:03}", 1000 + seed, query="?collection=many")
    listed = [one["user_id"] for one in api.get("/people?limit=1000&collection=many").json()["people"]]
    assert len(listed) == PEOPLE
    shown: list[str] = []
    page = read(client, "/console/people", collection="many")
    assert f"{PEOPLE} people are enrolled" in page.text
    while True:
        shown += [link["id"] for link in page.links("/console/person")]
        if page.next is None:
            break
        page = read(client, page.next)
    assert shown == listed
    assert "These were all." in read(client, "/console/people", collection="many", after="z").text


def test_a_search_finds_by_name_and_id_and_says_whom(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, "search-1", 1, name="Grüße & <Söhne>")
    enrol(api, "search-2", 2, name="Another")
    for text, found in (("GRÜSSE & <s", ["search-1"]), ("search-", ["search-1", "search-2"]), ("nobody <i>", [])):
        page = read(client, "/console/people").forms[1].send(client, q=text)
        shown = HtmlPage(page)
        assert [link["id"] for link in shown.links("/console/person")] == found
        assert text in shown.text
        assert shown.form("/console/people").fields["q"] == text


def test_a_page_has_what_is_known_of_a_person(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, ODD_ID, 3, photos=3, name="Zoë <b>")
    (address,) = [link["id"] for link in read(client, "/console/people", q="zoë").links("/console/person")]
    assert address == ODD_ID
    page = read(client, "/console/person", id=address)
    for photo in known(api, ODD_ID)["photos"]:
        assert photo["id"] in page.text
        assert photo["model"] in page.text
    assert {"id": ODD_ID} in page.links("/console/enrol")
    assert "'--person=a/b?c&d=é#%2F..+ \u202e{x}'" in page.text
    assert read(client, "/console/person", status=404, id="nobody").text.count("nobody") == 1
    assert client.get("/console/person").status_code == 422


def test_only_what_was_changed_on_the_form_is_changed(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, "change", 4)
    first, second = (read(client, "/console/person", id="change").form("/person/change") for _ in range(2))
    page = followed(client, first.send(client, name="New Name", expires_at=LATER.removesuffix(":00Z")))
    assert "Saved." in page.text
    followed(client, second.send(client, consent="form 2"))
    assert known(api, "change") | {"photos": 0} == {
        "user_id": "change",
        "regNo": "change",
        "name": "New Name",
        "photos": 0,
        "linked": [],
        "expires_at": LATER,
        "consent": "form 2",
    }
    page = followed(client, page.form("/person/change").send(client))
    assert "Nothing was changed." in page.text
    followed(client, page.form("/person/change").send(client, expires_at=""))
    assert "expires_at" not in known(api, "change")


def test_what_is_refused_is_shown_again_with_the_reason(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, "refused", 5)
    before = known(api, "refused")
    form = read(client, "/console/person", id="refused").form("/person/change")
    for wrong, sentence in (
        ({"expires_at": "2001-01-01T00:00"}, "must lie in the future"),
        ({"expires_at": "tomorrow"}, "must lie in the future"),
        ({"name": ""}, "A name has 1 to 255"),
        ({"name": "x" * 256}, "A name has 1 to 255"),
        ({"consent": ""}, "The consent has 1 to 500"),
    ):
        answer = form.send(client, **wrong)
        assert answer.status_code == 422
        page = HtmlPage(answer)
        assert sentence in page.text
        assert page.form("/person/change").fields == form.fields | wrong
    assert known(api, "refused") == before
    # Somebody else renames the person: what was typed here, mended, does not undo that.
    assert api.patch("/people/refused", json={"name": "Renamed"}).status_code == 200
    page = HtmlPage(form.send(client, expires_at="tomorrow"))
    followed(client, page.form("/person/change").send(client, expires_at=LATER.removesuffix(":00Z")))
    assert known(api, "refused") == before | {"name": "Renamed", "expires_at": LATER}


def test_photos_are_erased_one_by_one(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, "photos", 6, photos=2)
    first, second = (photo["id"] for photo in known(api, "photos")["photos"])
    page = followed(client, read(client, "/console/person", id="photos").form("/erase-photo").send(client))
    assert [photo["id"] for photo in known(api, "photos")["photos"]] == [second]
    assert first not in page.text
    answer = client.post("/console/person/erase-photo", data={"id": "photos", "photo": second})
    assert urljoin(str(answer.url), answer.headers["location"]).partition("?")[0].endswith("/console/people")
    assert "The photo was erased." in followed(client, answer).text
    assert api.get("/people/photos").status_code == 404
    assert client.post("/console/person/erase-photo", data={"id": "photos", "photo": second}).status_code == 404


def test_a_person_is_erased(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, ODD_ID + "2", 7)
    form = read(client, "/console/person", id=ODD_ID + "2").form("/person/erase")
    assert "The person was erased." in followed(client, form.send(client)).text
    assert api.get(f"/people/{quote(ODD_ID + '2', safe='')}").status_code == 404
    assert form.send(client).status_code == 404
    assert client.post("/console/person/erase", data={"person": "1"}).status_code == 422


def test_a_merge_is_shown_before_it_is_done(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, "twice-1", 8, photos=2, name="Ann Twice")
    enrol(api, "twice-2", 9, photos=3, name="Ann Twice-Married")
    page = read(client, "/console/person", id="twice-1")
    (chosen,) = page.links("/console/person/merge")
    page = read(client, "/console/person/merge", **chosen)
    assert [link["id"] for link in page.links("/console/person")] == ["twice-1"]
    (chosen,) = [link for link in page.links("/console/person/merge") if "into" in link]
    assert chosen == {"id": "twice-1", "into": "twice-2"}
    preview = read(client, "/console/person/merge", **chosen)
    for text in ("Ann Twice", "Ann Twice-Married", "\u2068Ann Twice-Married\u2069 has 5 photos", "\u2068twice-1\u2069"):
        assert text in preview.text
    assert {"id": "twice-2", "into": "twice-1"} in preview.links("/console/person/merge")
    assert [len(known(api, one)["photos"]) for one in ("twice-1", "twice-2")] == [2, 3]  # nothing is done yet
    page = followed(client, preview.form("/person/merge").send(client))
    assert "The two are one person now." in page.text
    assert len(known(api, "twice-2")["photos"]) == 5
    assert api.get("/people/twice-1").status_code == 404
    for wrong, status in (("twice-2", 422), ("nobody", 404)):
        assert client.get("/console/person/merge", params={"id": "twice-2", "into": wrong}).status_code == status
        assert client.post("/console/person/merge", data={"id": "twice-2", "into": wrong}).status_code == status


def test_a_merge_says_how_near_the_two_are(database_url: str, api: httpx.Client, client: httpx.Client) -> None:
    names = ("obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg")
    obama, obama_too, biden = map(photo_descriptor, names)
    with closing(Gallery(database_url)) as gallery:  # beside the service: its fake engine's faces have no threshold
        store(gallery, "near-1", [obama, at_distance(obama, 0.9)], force=True)
        store(gallery, "near-2", [obama_too, at_distance(biden, 0.4)], force=True)
        store(gallery, "near-3", biden, force=True)
    enrol(api, "near-4", 15)
    for other, words in (
        ("near-2", f"{np.linalg.norm(obama.astype(float) - obama_too):.3f} apart, within the threshold of 0.380"),
        ("near-3", f"{np.linalg.norm(obama.astype(float) - biden):.3f} apart, more than the threshold of 0.380"),
        ("near-4", "cannot be compared"),
    ):
        assert words in read(client, "/console/person/merge", id="near-1", into=other).text


def test_a_record_is_a_person_whose_namesakes_are_named(api: httpx.Client, client: httpx.Client) -> None:
    records = []
    for photo in (1, 2):
        answer = create_record(api, fake_photo(11, photo), "Jo Record", consent="c", metadata='{"door": "<west>"}')
        records.append(answer.json()["record"]["id"])
    page = read(client, "/console/person", id=records[0])
    assert "This is a record" in page.text
    assert '{"door": "<west>"}' in page.text
    assert records[1] in [link["id"] for link in page.links("/console/person")]
    enrol(api, "no-record", 13)
    assert "This is a record" not in read(client, "/console/person", id="no-record").text


def test_many_photos_are_shown_some_at_a_time(api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, "crowd", 20, photos=4)
    for seed in range(21, 34):
        enrol(api, f"part-{seed}", seed, photos=4)
        assert api.post(f"/people/part-{seed}/merge", json={"into": "crowd"}).status_code == 200
    wanted = [photo["id"] for photo in known(api, "crowd")["photos"]]
    assert len(wanted) == 56
    pages = [read(client, "/console/person", id="crowd"), read(client, "/console/person", id="crowd", start="50")]
    shown = [[form.fields["photo"] for form in page.forms if "photo" in form.fields] for page in pages]
    assert shown == [wanted[:50], wanted[50:]]
    assert {"id": "crowd", "start": "50"} in pages[0].links("/console/person")


def test_a_collection_is_chosen_and_kept(console: Console, api: httpx.Client, client: httpx.Client) -> None:
    enrol(api, "here", 40)
    enrol(api, "there", 41, query=f"?collection={SITE}")
    page = read(client, "/console/collections")
    assert {"collection": SITE} in page.links("/console/people")
    page = read(client, "/console/people", collection=SITE)
    assert page.links("/console/person") == [{"collection": SITE, "id": "there"}]
    assert page.form("/console/people").fields == {"collection": SITE, "q": ""}
    page = read(client, "/console/person", **page.links("/console/person")[0])
    assert "site" in page.text
    answer = page.form("/person/change").send(client, name="Moved")
    assert {"collection": SITE, "id": "there"} in followed(client, answer).links("/console/enrol")
    assert client.get("/console/person", params={"id": "here", "collection": SITE}).status_code == 404
    with console.client(SITE) as bound:
        assert read(bound, "/console/people").links("/console/person") == [{"id": "there"}]
        assert f"{SITE}" in read(bound, "/console/collections").text
        assert "many" not in read(bound, "/console/collections").text
        assert bound.get("/console/people", params={"collection": "many"}).status_code == 403
