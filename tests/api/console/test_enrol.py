"""Enrol over HTTP, as a browser without script does and as the page's module does; and the small pictures."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
from console_service import SITE, Console, console_service
from encrypted_galleries import KEY, Place
from PIL import Image, ImageFilter
from serving import photo

from face128.api.console.sentences import LANGUAGES, Sentences
from face128.encoding.quality import ADVICE, Reason
from face128.gallery.trail import reading

JSON = {"Accept": "application/json"}
TAG = re.compile(r"<[^>]*>")
SETTINGS = {"FACE128_GALLERY_KEY": KEY, "FACE128_MIN_QUALITY": "fair", "FACE128_TRAIL": "1"}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


@pytest.fixture(scope="module")
def console(data: Path) -> Iterator[Console]:
    with console_service(FACE128_DATA=str(data), FACE128_THUMBNAILS_HOURS="2", **SETTINGS) as console:
        console.enrol("obama", "obama-2012.jpg", "obama-2009.jpg", name="Barack <Obama>")
        yield console


@pytest.fixture(scope="module")
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client("gallery") as client:
        yield client


def send(client: httpx.Client, *photos: str | bytes, accept: str = "text/html", **fields: str) -> httpx.Response:
    files = [
        ("images", (each, photo(each))) if isinstance(each, str) else ("images", (f"{at}.png", each))
        for at, each in enumerate(photos)
    ]
    # What a browser sends for a file input that is empty.
    return client.post("/console/enrol", data=fields, files=files or {"images": ("", b"")}, headers={"Accept": accept})


def text(page: httpx.Response) -> str:
    """What is read on the page."""
    return " ".join(plain(unescape(TAG.sub(" ", page.text.partition("<main")[2]))).split())


def plain(text: str) -> str:
    """Without the marks that isolate names of another direction."""
    return text.translate({0x2068: None, 0x2069: None})


def value_of(page: httpx.Response, field: str) -> str:
    (value,) = re.findall(rf'<input id="{field}"[^>]* value="([^"]*)"', page.text)
    return unescape(value)


def stored(console: Console, user_id: str) -> dict[str, Any] | None:
    with console.api() as api:
        answer = api.get(f"/people/{user_id}")
    return answer.json() if answer.status_code == 200 else None  # type: ignore[no-any-return]


def blurred() -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo("hopper-1984.jpg"))).filter(ImageFilter.GaussianBlur(5)).save(file, "PNG")
    return file.getvalue()


def check(client: httpx.Client, picture: bytes, **query: str | float) -> Any:
    headers = {**JSON, "Content-Type": "image/jpeg"}
    answer = client.post("/console/enrol/check", content=picture, params=query, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.json()


def actions(data: Path) -> list[tuple[str, str]]:
    """What the trail has so far, with the results."""
    place = Place(f"sqlite:///{data}/gallery.sqlite", f"sqlite:///{data}/gallery-keys.sqlite")
    with closing(place.open()) as gallery, gallery.database.reading() as connection:
        return [(entry.action, entry.result) for entry in reversed(reading.page(connection, 1000))]


def test_who_is_enrolled_is_shown_with_small_pictures(console: Console, client: httpx.Client) -> None:
    fields = {"id": "biden", "name": " Joe Biden ", "consent": "form 7", "expires_at": "2099-01-31T08:30"}
    answer = send(client, "biden-2010.jpg", **fields)
    assert answer.status_code == 303
    assert answer.next_request is not None
    page = client.get(answer.next_request.url)
    assert "Joe Biden is enrolled" in text(page)
    assert "One photo. To this person" in text(page)
    assert "fair Hold your head upright." in text(page)
    person = stored(console, "biden")
    assert person is not None
    assert (person["name"], person["consent"], person["expires_at"]) == ("Joe Biden", "form 7", "2099-01-31T08:30:00Z")
    (small,) = [str(page.url.join(unescape(link))) for link in re.findall(r'<img src="([^"]*)"', page.text)]
    picture = client.get(small)
    assert (picture.status_code, picture.headers["content-type"]) == (200, "image/jpeg")
    assert picture.headers["cache-control"] == "no-store"
    assert max(Image.open(io.BytesIO(picture.content)).size) <= 160
    for name, status in (("match", 403), (SITE, 404), (None, 303)):
        with console.client(name) as other:
            assert other.get(small).status_code == status
    with console.api() as api:
        assert api.delete("/enroll_faces/biden").status_code == 200
    assert client.get(small).status_code == 404


def test_a_face_of_somebody_else_is_a_question_and_nothing_is_lost(console: Console, client: httpx.Client) -> None:
    fields = {"id": "44b", "name": "Some Body", "consent": "form 8"}
    page = send(client, "hopper-1984.jpg", "obama-2010.jpg", **fields)
    assert page.status_code == 409
    assert "This face is already enrolled as Barack <Obama> (obama). Is this really somebody else?" in text(page)
    assert '<input type="checkbox" name="force" value="1"' in page.text
    assert 'src="data:image/jpeg;base64,' in page.text
    assert "choose them again" in text(page)
    assert {name: value_of(page, name) for name in fields} == fields
    assert stored(console, "44b") is None
    said = send(client, "obama-2010.jpg", accept="application/json", **fields)
    assert (said.status_code, said.json()["ask"], said.json()["photo"]) == (409, "force", 0)
    done = send(client, "obama-2010.jpg", accept="application/json", force="1", **fields)
    assert done.json() == {"location": "../console/enrol?enrolled=44b"}
    assert stored(console, "44b") is not None
    with console.api() as api:
        api.delete("/enroll_faces/44b")


def test_a_fifth_photo_may_replace_the_others(console: Console, client: httpx.Client) -> None:
    few = {"id": "hopper", "name": "Grace Hopper"}
    variants = [turned(degrees) for degrees in range(5)]
    assert send(client, *variants[:3], **few).status_code == 303
    page = send(client, *variants[3:], **few)
    assert page.status_code == 409
    question = "Grace Hopper (hopper) has 3 photos already, and four are the most. Replace them by the new ones?"
    assert question in text(page)
    assert send(client, *variants[3:], replace="1", **few).status_code == 303
    assert len((stored(console, "hopper") or {})["photos"]) == 2


def turned(degrees: int) -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(photo("hopper-1984.jpg"))).rotate(degrees).save(file, "PNG")
    return file.getvalue()


def test_a_photo_unlike_the_others_is_a_question(console: Console, client: httpx.Client) -> None:
    page = send(client, "biden-2010.jpg", id="obama", name="Barack <Obama>")
    assert page.status_code == 409
    said = "This photo is unlike the photos that Barack <Obama> (obama) has. Is it the same person?"
    assert said in text(page)
    page = send(client, "obama-2010.jpg", "biden-2010.jpg", id="new", name="New", force="")
    assert "This face is already enrolled" in text(page)
    page = send(client, turned(0), "biden-2010.jpg", id="new", name="New")
    assert "unlike the others" in text(page) or "already enrolled" in text(page)
    assert len((stored(console, "obama") or {})["photos"]) == 2
    assert stored(console, "new") is None


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_bad_photo_is_refused_with_a_sentence_beside_it(console: Console, language: str) -> None:
    sentences = Sentences(language)
    with console.client("gallery") as client:
        client.cookies.set("face128_language", language)
        page = send(client, "biden-2010.jpg", blurred(), id="new", name="New")
        assert page.status_code == 422
        assert sentences.text("enrol.photo", n=2) + " ( 1.png ) " + sentences.text("enrol.poor") in text(page)
        assert sentences.text("quality.blurred") in text(page)
        assert page.text.count("data:image/jpeg;base64,") == 1
        assert (value_of(page, "id"), value_of(page, "name")) == ("new", "New")
        for name, said in (
            ("collins-1999.png", "multiple_faces"),
            (b"no photo", "unsupported_format"),
            (b"", "bad_image"),
        ):
            page = send(client, name, id="new", name="New")
            assert page.status_code in (400, 415, 422)
            assert sentences.text(f"errors.{said}") in text(page)
            assert value_of(page, "name") == "New"
        said = send(client, "biden-2010.jpg", blurred(), accept="application/json", id="new", name="New").json()
        assert (said["photo"], said["ask"], said["code"]) == (1, None, "poor_quality")
        assert sentences.text("quality.blurred") in said["error"]
    assert stored(console, "new") is None


@pytest.mark.parametrize(
    ("fields", "photos", "wrong"),
    [
        ({"id": ""}, 1, "id"),
        ({"id": "x" * 256}, 1, "id"),
        ({"name": ""}, 1, "name"),
        ({"name": "a\x07b"}, 1, "name"),
        ({"id": "007", "reg_no_type": "number"}, 1, "reg_no_type"),
        ({"expires_at": "2020-01-01T00:00"}, 1, "expires_at"),
        ({"expires_at": "tomorrow"}, 1, "expires_at"),
        ({"consent": "x" * 501}, 1, "consent"),
        ({}, 0, "images"),
        ({}, 5, "too_many_files"),
    ],
)
def test_a_wrong_field_has_its_sentence(
    console: Console, client: httpx.Client, fields: dict[str, str], photos: int, wrong: str
) -> None:
    typed = {"id": "new", "name": "New", "consent": "form 9"} | fields
    page = send(client, *["hopper-1984.jpg"] * photos, **typed)
    assert page.status_code in (409, 422)
    assert Sentences("en").text(f"enrol.wrong.{wrong}") in text(page)
    assert page.text.count('aria-invalid="true"') == 1
    assert [value_of(page, name) for name in ("id", "name", "consent")] == [
        typed[each] for each in ("id", "name", "consent")
    ]
    assert stored(console, "new") is None


def test_who_gets_further_photos_is_on_the_form(client: httpx.Client) -> None:
    page = client.get("/console/enrol", params={"id": "obama"})
    assert "Further photos of Barack <Obama>" in text(page)
    assert (value_of(page, "id"), value_of(page, "name")) == ("obama", "Barack <Obama>")
    assert client.get("/console/enrol", params={"id": "nobody"}).status_code == 404
    assert client.get("/console/enrol", params={"enrolled": "nobody"}).status_code == 200


def test_the_check_says_what_an_enrolment_would_and_stores_nothing(
    console: Console, client: httpx.Client, data: Path
) -> None:
    before = actions(data)
    good = check(client, photo("hopper-1984.jpg"))
    assert (good["verdict"], good["sentences"], good["refused"]) == ("good", [], False)
    with console.api() as api:
        assert good["face"] == api.post("/detect", files={"image": photo("hopper-1984.jpg")}).json()["faces"][0]["bbox"]
    assert check(client, blurred())["refused"] is True
    assert "Hold still, and wipe the lens." in check(client, blurred())["sentences"]
    for name in (b"no photo", b"", b"x" * (13 * 2**20), photo("collins-1999.png")):
        said = check(client, name)
        assert (said["verdict"], said["refused"], len(said["sentences"])) == ("none", True, 1)
    taken = check(client, photo("obama-2010.jpg"), compare=1)
    assert plain(taken["warning"]["error"]) == "This face is already enrolled as Barack <Obama> (obama)."
    assert "warning" not in check(client, photo("obama-2010.jpg"), compare=1, id="obama", name="Barack <Obama>")
    unlike = check(client, photo("biden-2010.jpg"), compare=1, id="obama", name="\x07")
    assert unlike["warning"]["code"] == "inconsistent_person"
    assert actions(data) == [*before, ("read", "duplicate"), ("read", "ok")]  # who was named
    with console.client(SITE) as site:  # another collection has nobody
        assert "warning" not in check(site, photo("obama-2010.jpg"), compare=1)


def test_a_small_copy_is_judged_by_the_size_of_the_photo(client: httpx.Client) -> None:
    image = Image.open(io.BytesIO(photo("hopper-1984.jpg")))
    file = io.BytesIO()
    image.resize((image.width // 4, image.height // 4)).save(file, "PNG")
    assert "Step closer." in check(client, file.getvalue())["sentences"]
    assert "Step closer." not in check(client, file.getvalue(), scale=4)["sentences"]
    for scale in ("0", "17", "nan", "-1", "x"):
        answer = client.post("/console/enrol/check", content=b"x", params={"scale": scale}, headers=JSON)
        assert answer.status_code == 422


def test_enrolments_over_the_api_have_small_pictures_too(console: Console, client: httpx.Client) -> None:
    with console.api() as api:
        made = api.post(
            "/records", files={"image": photo("hopper-1984.jpg")}, data={"name": "Grace"}, params={"force": True}
        )
        record = made.json()["record"]["id"]
        photos = [*api.get("/people/obama").json()["photos"], *api.get(f"/people/{record}").json()["photos"]]
        assert len(photos) == 3
        for each in photos:
            assert each["thumbnail_until"] > each["created_at"]
            assert client.get("/console/thumbnail", params={"id": each["id"]}).status_code == 200
        assert api.delete(f"/records/{record}").status_code == 200
    assert client.get("/console/thumbnail", params={"id": record}).status_code == 404
    assert client.get("/console/thumbnail", params={"id": "\x00"}).status_code == 404


def test_without_the_setting_there_are_none_and_the_page_says_so(fake_service: httpx.Client) -> None:
    """Without keys, too: on this machine the console is open."""
    assert "Photos are not stored: only what" in text(fake_service.get("/console/enrol"))
    origin = {"Origin": str(fake_service.base_url).rstrip("/")}
    files = {"images": ("grace.jpg", photo("hopper-1984.jpg"))}
    answer = fake_service.post("/console/enrol", data={"id": "g1", "name": "Grace"}, files=files, headers=origin)
    assert answer.status_code == 303
    done = fake_service.get("/console/enrol?enrolled=g1")
    assert "Grace is enrolled" in text(done)
    assert "/thumbnail" not in done.text
    assert "thumbnail_until" not in fake_service.get("/people/g1").json()["photos"][0]
    assert fake_service.delete("/enroll_faces/g1").status_code == 200


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_reason_has_its_sentence(language: str) -> None:
    said = {reason: Sentences(language).text(f"quality.{reason}") for reason in get_args(Reason)}
    assert len(set(said.values())) == len(ADVICE)
    assert (said == ADVICE) == (language == "en")
