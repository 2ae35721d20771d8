"""What was done to a turned photo stands in every answer about it, in the gallery, and in a re-encoding."""

from __future__ import annotations

import base64
import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlib_truth
import httpx
import numpy as np
import pytest
from command_line import face128
from PIL import Image
from serving import photo, serving

NAME = "obama-2012.jpg"
TURNED = {"turned": 90}


def sideways() -> bytes:
    """Turned by 90 degrees against the clock, without EXIF."""
    file = io.BytesIO()
    Image.open(io.BytesIO(photo(NAME))).transpose(Image.Transpose.ROTATE_90).save(file, "PNG")
    return file.getvalue()


SIDEWAYS = sideways()


@pytest.fixture(scope="module")
def own_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[httpx.Client, Path]]:
    folder = tmp_path_factory.mktemp("data")
    with serving(FACE128_DATA=str(folder), FACE128_MAX_ROLL="12") as client:
        yield client, folder


def asked(client: httpx.Client, path: str, image: bytes) -> dict[str, Any]:
    response = client.post(path, files={"image": image})
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def test_every_answer_about_a_photo_says_that_it_was_turned(own_service: tuple[httpx.Client, Path]) -> None:
    client, _ = own_service
    encoded = asked(client, "/encode-image", SIDEWAYS)
    truth = dlib_truth.descriptors(NAME)[0]
    assert encoded["adjusted"] == TURNED
    assert np.linalg.norm(np.array(encoded["descriptor"]) - truth) < 0.1
    assert abs(encoded["roll"]) < 15
    upright = asked(client, "/encode-image", photo(NAME))
    left, top, right, bottom = upright["bbox"]
    width = Image.open(io.BytesIO(photo(NAME))).width
    assert np.abs(np.subtract(encoded["bbox"], (top, width - 1 - right, bottom, width - 1 - left))).max() <= 3
    detected = asked(client, "/detect", SIDEWAYS)
    assert detected["adjusted"] == detected["faces"][0]["adjusted"] == TURNED
    assert asked(client, "/verify-face", SIDEWAYS)["adjusted"] == TURNED
    assert asked(client, "/extract-embedding", SIDEWAYS)["adjusted"] == TURNED
    batch = client.post("/batch-extract", json={"images": [base64.b64encode(SIDEWAYS).decode()]}).json()
    assert batch["results"][0]["adjusted"] == TURNED
    compared = client.post("/compare", files={"image1": photo(NAME), "image2": SIDEWAYS}).json()
    assert compared["adjusted"] == {"image2": TURNED}
    assert compared["distance"] < 0.1


def test_an_ordinary_photo_is_answered_without_it(own_service: tuple[httpx.Client, Path]) -> None:
    client, _ = own_service
    for path in ("/encode-image", "/detect", "/verify-face", "/extract-embedding"):
        assert "adjusted" not in json.dumps(asked(client, path, photo(NAME)))
    batch = client.post("/batch-extract", json={"images": [base64.b64encode(photo(NAME)).decode()]})
    compared = client.post("/compare", files={"image1": photo(NAME), "image2": photo(NAME)})
    assert "adjusted" not in batch.text + compared.text


def test_an_enrolment_says_it_and_the_gallery_keeps_it(own_service: tuple[httpx.Client, Path]) -> None:
    client, folder = own_service
    # FACE128_MAX_ROLL does not refuse a head that is upright once the photo is turned.
    files = [("files", ("a.jpg", photo(NAME))), ("files", ("b.png", SIDEWAYS))]
    enrolled = client.post("/enroll_faces/44", files=files, data={"name": "Barack Obama"})
    assert (enrolled.status_code, enrolled.json()["adjusted"]) == (200, [{}, TURNED])
    record = client.post("/records?force=true", files={"image": SIDEWAYS}, data={"name": "Barack"}).json()["record"]
    assert record["adjusted"] == TURNED
    listed = client.get("/records").json()["records"]
    assert [each.get("adjusted") for each in listed] == [None, TURNED, TURNED]
    lines = face128("gallery", "list", FACE128_DATA=str(folder)).stdout.splitlines()
    assert [json.loads(line).get("adjusted") for line in lines] == [None, TURNED, TURNED]
    assert client.post("/match_face", files={"image": SIDEWAYS}).json() == {
        "status": "access_granted",
        "user_id": "44",
        "name": "Barack Obama",
    }


def test_a_re_encoding_says_it_in_its_journal_its_list_and_its_report(tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "44_Barack.png").write_bytes(SIDEWAYS)
    (photos / "45_Joe.jpg").write_bytes(photo("biden-2010.jpg"))
    done = face128("reencode", photos, "--out", tmp_path / "enrolled.json")
    assert done.returncode == 0, done.stderr
    assert "1 photo was adjusted before it was encoded (1 turned)" in " ".join(done.stderr.split())
    lines = (tmp_path / "enrolled.journal.jsonl").read_text().splitlines()
    journal = {entry["photo"]: entry["photo_facts"].get("adjusted") for entry in map(json.loads, lines)}
    assert journal == {"44_Barack.png": TURNED, "45_Joe.jpg": None}
    members = json.loads((tmp_path / "enrolled.json").read_text())["enrolled"]
    assert [member["faces"][0]["photo_facts"].get("adjusted") for member in members] == [TURNED, None]
