"""Try a photo: the page says what /match_face decides, why, who is near, and what other settings would have decided."""

from __future__ import annotations

import base64
import io
import json
import re
from collections.abc import Iterator
from contextlib import closing
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from console_service import Console, console_service
from image_files import exif
from paths import ROOT
from PIL import Image
from retail_models import tiny_model
from serving import photo

from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, find_card
from face128.domain.probe import Probe
from face128.encoding.quality import advice
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person

STRANGER = (ROOT / "face128" / "encoding" / "self_test.jpg").read_bytes()
"""One face, of somebody who is not enrolled."""
MARKUP = "<b onclick=\"alert('x')\">Grace</b> & Hopper"
TWINS = "twins"
EMPTY = "empty"
REVIEWING = Rule(review_alpha=0.05)
VERDICTS = {"yes": "Recognised", "no": "Not recognised", "look_again": "Look again"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("try")


@pytest.fixture(scope="module")
def console(folder: Path) -> Iterator[Console]:
    settings = {
        "FACE128_DATABASE_URL": f"sqlite:///{folder}/gallery.sqlite",
        "FACE128_ENGINES": "dlib,retail,fake",
        "FACE128_RETAIL_MODEL": str(tiny_model(folder / "retail")),
        "FACE128_DECISION_LOG_DAYS": "30",
        "FACE128_REVIEW_ALPHA": str(REVIEWING.review_alpha),
    }
    with console_service(**settings) as console:
        console.enrol("1029", "obama-2009.jpg", "obama-2010.jpg", name="Ben")
        console.enrol("a/b?c", "biden-2010.jpg", name="Ana")
        console.enrol("7", "hopper-1984.jpg", name=MARKUP)
        console.enrol("5", "obama-2012.jpg", name="By another engine", query="?engine=fake")
        console.enrol("1", "obama-2010.jpg", name="One", query=f"?collection={TWINS}")
        console.enrol("2", "obama-2010.jpg", name="Other", query=f"?collection={TWINS}&force=true")
        yield console


@pytest.fixture(scope="module")
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client() as client:
        yield client


@pytest.fixture(scope="module")
def api(console: Console) -> Iterator[httpx.Client]:
    with console.api() as client:
        yield client


def try_it(client: httpx.Client, image: bytes, query: str = "", **headers: str) -> str:
    answer = client.post(f"/console/try{query}", files={"image": ("face.jpg", image)}, headers=headers)
    assert answer.status_code == 200, answer.text
    return answer.text


def text_of(page: str) -> str:
    """What is read on the page, without the isolates around names."""
    return re.sub(r"\s+", " ", re.sub("[⁨⁩]", "", unescape(re.sub(r"<[^>]*>", " ", page)))).strip()


def verdict_of(page: str) -> str:
    found = re.search(r'<p class="notice (\w+) verdict" role="status">(.*?)</p>', page, re.S)
    assert found, page
    return text_of(found[2])


def rows_of(page: str, table: str) -> list[list[str]]:
    found = re.search(rf'<table class="{table}">(.*?)</table>', page, re.S)
    assert found, page
    body = found[1].partition("<tbody>")[2]
    return [
        [text_of(cell) for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", row, re.S)]
        for row in body.split("</tr>")[:-1]
    ]


def explained(api: httpx.Client, image: bytes, query: str = "") -> dict[str, Any]:
    answer = api.post(f"/match_face?explain=true{query}", files={"image": image})
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


@pytest.mark.parametrize(
    "image", [photo("obama-2012.jpg"), photo("obama-2010.jpg"), STRANGER], ids=["yes", "same", "no"]
)
def test_it_says_what_match_face_decides_and_why_in_both_languages(
    client: httpx.Client, api: httpx.Client, image: bytes
) -> None:
    told = explained(api, image)
    distance, margin = f"{told['distance']:.2f}", f"{told['margin']:.2f}"
    page = try_it(client, image)
    german = try_it(client, image, **{"Accept-Language": "de"})
    if told["verdict"] == "yes":
        assert verdict_of(page) == (
            f"Recognised as Ben: distance {distance} is within the threshold 0.38. "
            f"The next nearest, {rows_of(page, 'cards near')[1][1]}, is {margin} further away."
        )
        assert f"Der Abstand {distance.replace('.', ',')} liegt innerhalb der Schwelle 0,38." in verdict_of(german)
        assert f"ist um {margin.replace('.', ',')} weiter entfernt." in verdict_of(german)
    else:
        nearest = rows_of(page, "cards near")[0][1]
        assert verdict_of(page) == f"Not recognised: the nearest, {nearest}, is at {distance}, above 0.38."
        german_distance = distance.replace(".", ",")
        assert verdict_of(german) == (
            f"Nicht erkannt: Die nächste Person, {nearest}, ist bei {german_distance}, über 0,38."
        )
    assert rows_of(page, "cards near")[0][2] == distance


def test_the_people_are_named_with_links_and_without_markup(client: httpx.Client) -> None:
    page = try_it(client, photo("hopper-1984.jpg"))
    assert "<b onclick" not in page
    assert sorted(row[1] for row in rows_of(page, "cards near")) == sorted([MARKUP, "Ana", "Ben"])
    assert 'href="../console/person?id=a%2Fb%3Fc"' in page


def test_the_faces_are_drawn_where_detect_finds_them_on_a_small_copy(client: httpx.Client, api: httpx.Client) -> None:
    image = photo("collins-1999.png")
    page = try_it(client, image)
    found = api.post("/detect", files={"image": image}).json()["faces"]
    drawn = re.findall(r'<rect x="(\d+)" y="(\d+)" width="(\d+)" height="(\d+)"/>', page)
    boxes = [[int(x), int(y), int(x) + int(width), int(y) + int(height)] for x, y, width, height in drawn]
    assert sorted(boxes) == sorted(face["bbox"] for face in found)
    areas = [(right - left) * (bottom - top) for left, top, right, bottom in boxes]
    assert areas == sorted(areas, reverse=True)
    assert "There are 2 faces in this photo. Only number 1, the largest, was tried." in text_of(page)
    assert "Face 2: quality" in text_of(page)
    refused = api.post("/match_face", files={"image": image})
    assert refused.json()["code"] == "multiple_faces", "the page says that the door refuses such a photo"
    largest = api.post("/encode-image?faces=largest", files={"image": image}).json()
    told = api.post("/match?explain=true", json={"descriptor": largest["descriptor"]}).json()
    assert rows_of(page, "cards near")[0][2] == f"{told['distance']:.2f}"


def test_the_copy_is_small_upright_and_without_metadata(client: httpx.Client) -> None:
    sideways = io.BytesIO()
    original = Image.open(io.BytesIO(photo("biden-2010.jpg"))).convert("RGB")
    original.rotate(90, expand=True).save(sideways, "JPEG", exif=exif(6), comment=b"secret place")
    page = try_it(client, sideways.getvalue())
    source = re.search(r'<image href="data:image/jpeg;base64,([^"]+)" width="(\d+)" height="(\d+)"/>', page)
    assert source
    data = base64.b64decode(source[1])
    copy = Image.open(io.BytesIO(data))
    assert max(copy.size) == 640
    assert (int(source[2]), int(source[3])) == original.size
    assert len(copy.getexif()) == 0
    assert b"secret" not in data
    expected = original.resize(copy.size, Image.Resampling.LANCZOS)
    assert np.abs(np.asarray(copy, float) - np.asarray(expected, float)).mean() < 5
    assert verdict_of(page).startswith("Recognised as Ana")


def test_a_photo_without_a_face_is_shown_with_what_to_do(client: httpx.Client, api: httpx.Client) -> None:
    noise = io.BytesIO()
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 80, 3), np.uint8)).save(noise, "PNG")
    assert api.post("/match_face", files={"image": noise.getvalue()}).json()["code"] == "no_face"
    page = try_it(client, noise.getvalue())
    assert "No face was found in this photo, so the door would refuse it. Come nearer" in text_of(page)
    assert '<image href="data:image/jpeg;base64,' in page
    assert "<table" not in page


def test_a_poor_photo_is_named_with_what_to_do(client: httpx.Client, api: httpx.Client) -> None:
    small = io.BytesIO()
    face = Image.open(io.BytesIO(photo("obama-2012.jpg"))).convert("RGB")
    face.resize((face.width // 8, face.height // 8)).resize(face.size).point(lambda p: p // 4).save(small, "PNG")
    quality = api.post("/encode-image?quality=true", files={"image": small.getvalue()}).json()["quality"]
    assert quality["verdict"] == "poor"
    said = text_of(try_it(client, small.getvalue()))
    assert "The photo is poor" in said
    assert quality["reasons"]
    assert advice(quality["reasons"]) in said
    assert "Das Foto ist schlecht" in text_of(try_it(client, small.getvalue(), **{"Accept-Language": "de"}))


def test_what_was_done_to_a_photo_is_said_and_its_box_is_that_of_the_photo_as_it_came(
    client: httpx.Client, api: httpx.Client
) -> None:
    turned = io.BytesIO()
    Image.open(io.BytesIO(photo("obama-2012.jpg"))).convert("RGB").rotate(90, expand=True).save(turned, "JPEG")
    found = api.post("/detect", files={"image": turned.getvalue()}).json()["faces"]
    assert found[0]["adjusted"] == {"turned": 90}
    page = try_it(client, turned.getvalue())
    assert "it was turned by 90°." in text_of(page)
    left, top, right, bottom = found[0]["bbox"]
    assert f'<rect x="{left}" y="{top}" width="{right - left}" height="{bottom - top}"/>' in page
    assert verdict_of(page).startswith("Recognised as Ben")


@pytest.mark.parametrize(
    ("image", "status", "sentence"),
    [
        (photo("obama-2012.jpg")[:2000], 400, "damaged"),
        (b"", 400, "empty"),
        (b"%PDF-1.7", 415, "cannot be read"),
        (b"\xff" * (12 * 2**20 + 100_000), 413, "too large"),
    ],
)
def test_what_is_no_photo_is_said_on_the_form(client: httpx.Client, image: bytes, status: int, sentence: str) -> None:
    answer = client.post("/console/try", files={"image": ("face.jpg", image)})
    assert answer.status_code == status
    found = re.search(r'<p class="notice bad" role="alert">(.*?)</p>', answer.text)
    assert found
    assert sentence in found[1]
    assert '<input id="image"' in answer.text


def test_a_form_without_a_photo_and_without_a_descriptor_asks_for_one(client: httpx.Client) -> None:
    answer = client.post("/console/try", files={"image": ("", b"")}, data={"descriptor": "  "})
    assert answer.status_code == 422
    assert "Choose a photo, or paste a descriptor." in answer.text
    answer = client.post("/console/try", data={"descriptor": "[1]"})  # not multipart
    assert answer.status_code == 400
    assert '<input id="image"' in answer.text


def paste(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/console/try", files={"image": ("", b"")}, data={"descriptor": text})


def test_a_pasted_descriptor_is_decided_as_by_match(client: httpx.Client, api: httpx.Client) -> None:
    encoded = api.post("/encode-image", files={"image": photo("obama-2012.jpg")}).json()
    numbers = encoded["descriptor"]
    told = api.post("/match?explain=true", json={"descriptor": numbers}).json()
    pasted = [numbers, encoded, {"descriptor": numbers, "model": DLIB.name}, {str(i): n for i, n in enumerate(numbers)}]
    as_base64 = base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()
    verdicts = {verdict_of(paste(client, text).text) for text in (*map(json.dumps, pasted), as_base64)}
    assert len(verdicts) == 1
    assert f"distance {told['distance']:.2f} is within the threshold {told['threshold']:.2f}" in verdicts.pop()
    page = paste(client, json.dumps(numbers)).text
    assert "<image" not in page


@pytest.mark.parametrize(
    "text",
    [
        "[1, 2]",
        "{",
        '{"descriptor": [1]}',
        '{"descriptor": [], "model": "x"}',
        "<script>alert(1)</script>",
        "[[" * 9000,
    ],
)
def test_a_wrong_descriptor_is_refused_and_shown_again(client: httpx.Client, text: str) -> None:
    answer = paste(client, text)
    assert answer.status_code in (400, 422)
    assert 'role="alert"' in answer.text
    assert "<script>alert" not in answer.text
    shown = re.search(r"<textarea[^>]*>(.*?)</textarea>", answer.text, re.S)
    assert shown
    assert unescape(shown[1]) == text


def test_nearly_as_near_is_worth_another_look(client: httpx.Client, api: httpx.Client) -> None:
    image = photo("obama-2012.jpg")
    told = explained(api, image, f"&collection={TWINS}")
    assert told["verdict"] == "look_again"
    page = try_it(client, image, f"?collection={TWINS}")
    assert verdict_of(page) == (
        f"Look again: One at {told['distance']:.2f} is within the threshold 0.38, but Other is nearly as near, "
        "only 0.00 further away."
    )
    assert [row[1] for row in rows_of(page, "cards near")] == ["One", "Other"]


def test_an_empty_gallery_leads_to_the_enrolment(client: httpx.Client) -> None:
    page = try_it(client, photo("obama-2012.jpg"), f"?collection={EMPTY}")
    assert "Nobody is enrolled yet, so nobody can be recognised." in text_of(page)
    assert f'href="../console/enrol?collection={EMPTY}"' in page
    assert "<table" not in page
    assert page.count("<rect") == 1


def test_other_settings_decide_as_if_they_were_set(client: httpx.Client, api: httpx.Client, folder: Path) -> None:
    image = photo("obama-2012.jpg")
    rows = {row[0]: row[1:] for row in rows_of(try_it(client, image), "cards")}
    encoded = api.post("/encode-image?companions=true", files={"image": image}).json()
    companions = {name: np.array(own, np.float32) for name, own in encoded["companions"].items()}
    vector = np.array(encoded["descriptor"], np.float32)
    names = {
        "retail": "retail's network first (FACE128_DECISION_MODELS=retail)",
        "dlib+retail": "Both networks together (FACE128_DECISION_MODELS=dlib+retail)",
    }
    for order, name in names.items():
        with closing(Gallery(f"sqlite:///{folder}/gallery.sqlite", template="mean", decision_models=order)) as gallery:  # type: ignore[arg-type]
            decided = gallery.recognise(Probe.of(DLIB, vector, companions), 0, rule=REVIEWING, explain=True)[0]
        assert decided.nearest is not None
        verdict, nearest, distance, _ = rows[name]
        assert verdict.removesuffix(" differs") == VERDICTS[decided.verdict]
        assert verdict.endswith(" differs") == (decided.verdict != "yes" or nearest != "Ben")
        assert nearest == decided.nearest.name
        assert distance == f"{decided.nearest.distance:.2f} of {decided.threshold:.2f}"
    with closing(Gallery(f"sqlite:///{folder}/gallery.sqlite", template="nearest")) as gallery:
        decided = gallery.recognise(Probe.of(DLIB, vector), 0, rule=REVIEWING, explain=True)[0]
    assert decided.nearest is not None
    nearest_row = rows["Each photo by itself (FACE128_TEMPLATE=nearest)"]
    assert nearest_row[1:3] == ["Ben", f"{decided.nearest.distance:.2f} of 0.38"]
    told = explained(api, image, "&engine=fake")
    assert (told["verdict"], told["name"]) == ("yes", "By another engine")
    assert rows["The engine fake (?engine=fake)"][:3] == ["Recognised differs", told["name"], "0.00 of 0.38"]
    assert rows["As this service is set"][0] == "Recognised"
    cohort = rows["The cohort rule at an alpha of 1 % (FACE128_DECISION=cohort)"]
    assert cohort == ["No decision", "The cohort rule needs 30 people for its alpha; there are 3."]


def test_who_has_no_photo_by_the_network_that_decides_is_found_by_the_others_alone(
    client: httpx.Client, api: httpx.Client, folder: Path
) -> None:
    image = photo("obama-2012.jpg")
    encoded = api.post("/encode-image?engine=retail", files={"image": image}).json()
    card, vector = find_card(encoded["model"]), np.array(encoded["descriptor"], np.float32)
    assert card is not None
    with closing(Gallery(f"sqlite:///{folder}/gallery.sqlite")) as gallery:
        gallery.of_collection("retail").enrol(Person("Rita", "r"), [NewFace(vector, b"")], card)
    assert explained(api, image, "&collection=retail")["distance"] is None
    page = try_it(client, image, "?collection=retail")
    assert verdict_of(page) == "Nobody has a photo by this network."
    rows = {row[0]: row[1:] for row in rows_of(page, "cards")}
    assert rows["As this service is set"] == ["Not recognised", "Nobody has a photo by this network."]
    by_retail = rows["retail's network first (FACE128_DECISION_MODELS=retail)"]
    assert by_retail[:3] == ["Recognised differs", "Rita", "0.00 of 0.65"]
    assert '<table class="cards near">' not in page


def test_a_trial_is_no_decision_at_the_door(client: httpx.Client, api: httpx.Client) -> None:
    before = api.get("/decisions").json()["decisions"]
    try_it(client, photo("obama-2012.jpg"))
    assert api.get("/decisions").json()["decisions"] == before
    explained(api, photo("obama-2012.jpg"))
    assert len(api.get("/decisions").json()["decisions"]) == len(before) + 1


def test_a_key_that_may_only_match_sees_no_links_to_people_and_others_see_nothing(console: Console) -> None:
    with console.client("match") as client:
        assert client.get("/console/try").status_code == 200
        page = try_it(client, photo("obama-2012.jpg"))
        assert verdict_of(page).startswith("Recognised as Ben")
        assert "/person?" not in page
        assert "/enrol" not in try_it(client, photo("obama-2012.jpg"), f"?collection={EMPTY}")
    with console.client("encode") as client:
        assert client.get("/console/try").status_code == 403
        files = {"image": ("face.jpg", photo("obama-2012.jpg"))}
        assert client.post("/console/try", files=files).status_code == 403
    with console.client("site") as client:
        page = try_it(client, photo("obama-2012.jpg"))
        assert "Nobody is enrolled yet" in page, "the key is bound to another collection"
