"""The quality of a photo in the answers: on request, at every enrolment, and as a bound for enrolments."""

from __future__ import annotations

import io
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from PIL import Image, ImageFilter
from serving import photo, serving

MEASURES = {"eye_distance", "sharpness", "brightness", "contrast", "yaw", "pitch", "roll", "margin"}
GOOD = photo("obama-2012.jpg")


def blurred() -> bytes:
    file = io.BytesIO()
    Image.open(io.BytesIO(GOOD)).filter(ImageFilter.GaussianBlur(8)).save(file, "PNG")
    return file.getvalue()


BLURRED = blurred()


@pytest.fixture(scope="module")
def strict() -> Iterator[httpx.Client]:
    with serving(FACE128_MIN_QUALITY="fair") as client:
        yield client


def assert_quality(quality: dict[str, Any], verdict: str, *reasons: str) -> None:
    assert (quality["verdict"], quality["reasons"]) == (verdict, list(reasons))
    assert quality["measures"].keys() == MEASURES
    assert {type(value) for value in quality["measures"].values()} <= {float, int}


@pytest.mark.parametrize("path", ["/encode-image", "/detect"])
def test_it_is_in_the_answer_where_it_is_asked_for(service: httpx.Client, path: str) -> None:
    for image, expected in ((GOOD, ("good",)), (BLURRED, ("poor", "blurred"))):
        plain = service.post(path, files={"image": image}).json()
        asked = service.post(f"{path}?quality=true", files={"image": image}).json()
        assert_quality(asked.pop("quality"), *expected)
        if path == "/detect":
            (face,) = asked["faces"]
            assert_quality(face.pop("quality"), *expected)
        assert asked == plain
        assert service.post(f"{path}?quality=false", files={"image": image}).json() == plain


def test_each_of_several_faces_has_its_own(service: httpx.Client) -> None:
    both = Image.new("RGB", (1820, 1137))
    both.paste(Image.open(io.BytesIO(GOOD)), (0, 0))
    both.paste(Image.open(io.BytesIO(BLURRED)), (910, 0))
    file = io.BytesIO()
    both.save(file, "PNG")
    answer = service.post("/detect?quality=true", files={"image": file.getvalue()}).json()
    verdicts = {face["bbox"][0] < 910: face["quality"]["verdict"] for face in answer["faces"]}
    assert verdicts == {True: "good", False: "poor"}
    assert answer["quality"] == answer["faces"][0]["quality"]


def test_a_photo_without_a_face_has_none(service: httpx.Client) -> None:
    file = io.BytesIO()
    Image.new("RGB", (90, 90)).save(file, "PNG")
    answer = service.post("/detect?quality=true", files={"image": file.getvalue()}).json()
    assert (answer["detected"], answer["faces"], "quality" in answer) == (False, [], False)


def test_a_poor_photo_is_enrolled_by_default_and_its_quality_is_kept(service: httpx.Client) -> None:
    files = [("files", ("a.jpg", GOOD)), ("files", ("b.png", BLURRED))]
    enrolled = service.post("/enroll_faces/quality-1", files=files, data={"name": "A"}).json()
    assert enrolled["faces_stored"] == 2
    assert_quality(enrolled["quality"][0], "good")
    assert_quality(enrolled["quality"][1], "poor", "blurred")
    record = service.post("/records?force=true", files={"image": BLURRED}, data={"name": "B"}).json()
    assert_quality(record["quality"], "poor", "blurred")
    assert record["record"]["quality"] == record["quality"]
    stored = service.get("/records?limit=1000").json()["records"]
    kept = [each["quality"]["verdict"] for each in stored if each["name"] in ("A", "B")]
    assert kept == ["good", "poor", "poor"]
    assert service.get(f"/records/{record['record']['id']}").json()["quality"] == record["quality"]
    for path in ("/enroll_faces/quality-1", f"/records/{record['record']['id']}"):
        assert service.delete(path).status_code == 200


def test_below_the_bound_an_enrolment_is_refused_with_reasons_and_what_to_do(strict: httpx.Client) -> None:
    files = [("files", ("a.jpg", GOOD)), ("files", ("b.png", BLURRED))]
    door = strict.post("/enroll_faces/7", files=files, data={"name": "A"})
    record = strict.post("/records", files={"image": BLURRED}, data={"name": "B"})
    for answer in (door, record):
        body = answer.json()
        assert (answer.status_code, body["code"], body["min_quality"]) == (422, "poor_quality", "fair")
        assert_quality(body, "poor", "blurred")
        assert body["error"] == "The photo is poor; to enrol it must be fair or good. Hold still, and wipe the lens."
    assert (door.json()["index"], door.json()["file_name"]) == (1, "b.png")
    assert strict.get("/records").json()["total_count"] == 0


def test_the_bound_is_for_enrolments_alone(strict: httpx.Client) -> None:
    assert strict.post("/enroll_faces/7", files={"files": GOOD}, data={"name": "A"}).status_code == 200
    assert strict.post("/match_face", files={"image": BLURRED}).status_code == 200
    assert strict.post("/encode-image?quality=true", files={"image": BLURRED}).json()["quality"]["verdict"] == "poor"
    assert strict.delete("/enroll_faces/7").status_code == 200


def test_an_engine_without_landmarks_has_the_measures_of_the_pixels(fake_service: httpx.Client) -> None:
    measures = fake_service.post("/encode-image?quality=true", files={"image": GOOD}).json()["quality"]["measures"]
    unknown = {name for name, value in measures.items() if value is None}
    assert unknown == MEASURES - {"sharpness", "brightness", "contrast"}
