"""FACE128_MAX_ROLL, by every engine: a head that is tilted too far is not enrolled, but still recognised."""

from __future__ import annotations

import io
import time
from collections.abc import Iterator

import faceapi_truth
import httpx
import insight_packs
import pytest
from PIL import Image
from serving import photo, serving

MAX_ROLL = 12  # degrees


def turned(degrees: float) -> bytes:
    """An upright head, turned clockwise."""
    file = io.BytesIO()
    Image.open(io.BytesIO(photo("obama-2012.jpg"))).rotate(-degrees, Image.Resampling.BICUBIC).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(scope="module")
def bounded() -> Iterator[httpx.Client]:
    """A service with all three engines and a limit."""
    packs = {
        "FACE128_FACEAPI_MODELS": str(faceapi_truth.models()),
        "FACE128_INSIGHTFACE_PACK": str(insight_packs.sample_pack()),
    }
    with serving(FACE128_ENGINES="dlib,faceapi,insightface", FACE128_MAX_ROLL=str(MAX_ROLL), **packs) as client:
        while "loading" in (states := client.get("/ready").json()["engines"]).values():
            time.sleep(0.1)
        assert set(states.values()) == {"ready"}
        yield client


@pytest.fixture(params=["dlib", "faceapi", "insightface"])
def engine(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.mark.parametrize("degrees", [-20, 20])
def test_a_tilted_head_is_refused_with_its_roll_to_either_side(
    bounded: httpx.Client, engine: str, degrees: int
) -> None:
    image = turned(degrees)
    record = bounded.post(f"/records?engine={engine}", files={"image": image}, data={"name": "x"})
    files = [("files", ("a.png", turned(0))), ("files", ("b.png", image))]
    enrolled = bounded.post(f"/enroll_faces/7?engine={engine}", files=files, data={"name": "x"})
    for answer in (record, enrolled):
        assert (answer.status_code, answer.json()["code"], answer.json()["max_roll"]) == (422, "head_tilted", MAX_ROLL)
        assert answer.json()["roll"] == pytest.approx(degrees, abs=3)
        assert f"{abs(answer.json()['roll']):g} degrees" in answer.json()["error"]
    assert (enrolled.json()["index"], enrolled.json()["file_name"]) == (1, "b.png")
    assert bounded.get("/records").json()["total_count"] == 0
    encoded = bounded.post(f"/encode-image?engine={engine}", files={"image": image})
    assert encoded.json()["roll"] == record.json()["roll"]


def test_a_head_within_the_bound_is_enrolled_and_then_recognised_tilted(bounded: httpx.Client, engine: str) -> None:
    enrolled = bounded.post(
        f"/enroll_faces/7?engine={engine}", files={"files": turned(8)}, data={"name": "Barack Obama"}
    )
    assert (enrolled.json()["status"], enrolled.json()["faces_stored"]) == ("success", 1)
    seen = bounded.post(f"/match_face?engine={engine}", files={"image": turned(14)})
    assert seen.json() == {"status": "access_granted", "user_id": "7", "name": "Barack Obama"}
    assert bounded.delete("/enroll_faces/7").json()["faces_deleted"] == 1


def test_by_default_any_head_is_enrolled(service: httpx.Client) -> None:
    record = service.post("/records", files={"image": turned(20)}, data={"name": "x"})
    assert record.status_code == 200
    service.delete(f"/records/{record.json()['record']['id']}")
