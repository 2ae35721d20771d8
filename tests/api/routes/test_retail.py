"""?engine=retail over real HTTP, wherever a photo is taken; with the tiny network, so that it runs everywhere."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from retail_models import tiny_model
from serving import photo, serving

from face128.encoding.encode import encode
from face128.encoding.passes import with_passes
from face128.engines.base import Engine
from face128.engines.loader import load_engine
from face128.photos.photo import Limits
from face128.settings import Settings

OBAMA, BIDEN = "obama-2012.jpg", "biden-2010.jpg"
RETAIL = {"engine": "retail"}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_model(tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def engine(model: Path) -> Engine:
    return load_engine("retail", Settings(retail_model=model))


@pytest.fixture(scope="module")
def both(model: Path) -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="dlib,retail", FACE128_RETAIL_MODEL=str(model)) as client:
        yield client


def expected(engine: Engine, name: str, jitters: int = 1) -> list[float]:
    return [float(number) for number in encode(engine, photo(name), Limits(), num_jitters=jitters).descriptor]


@pytest.mark.parametrize(
    "asked", [{}, {"num_jitters": 5}, {"passes": "mirror"}, {"num_jitters": 3, "passes": "mirror"}]
)
def test_encode_image_gives_the_engines_numbers(both: httpx.Client, engine: Engine, asked: dict[str, Any]) -> None:
    answer = both.post("/encode-image", files={"image": photo(OBAMA)}, params=RETAIL | asked).json()
    described_by = with_passes(engine, asked.get("passes", "one"))
    assert answer["descriptor"] == expected(described_by, OBAMA, asked.get("num_jitters", 1))
    assert answer["model"] == engine.card.name
    assert np.linalg.norm(answer["descriptor"]) == pytest.approx(1, abs=1e-6)


def test_dlibs_numbers_do_not_change_beside_it(both: httpx.Client, service: httpx.Client) -> None:
    answers = [client.post("/encode-image", files={"image": photo(OBAMA)}).json() for client in (both, service)]
    assert answers[0] == answers[1]


def test_both_engines_detect_the_same_faces(both: httpx.Client) -> None:
    by_retail, by_dlib = (
        both.post("/detect", files={"file": photo(OBAMA)}, params={"engine": name}).json()
        for name in ("retail", "dlib")
    )
    assert by_retail.pop("model") != by_dlib.pop("model")
    assert by_retail == by_dlib
    assert by_retail["faces"]
    verified = both.post("/verify-face", files={"file": photo(OBAMA)}, params=RETAIL).json()
    assert verified["face_detected"] is True


def test_the_other_routes_that_describe_a_photo(both: httpx.Client, engine: Engine) -> None:
    numbers = expected(engine, OBAMA)
    extracted = both.post("/extract-embedding", files={"file": photo(OBAMA)}, params=RETAIL).json()
    assert (extracted["embedding"], extracted["embedding_size"]) == (numbers, 256)
    images = [base64.b64encode(photo(name)).decode() for name in (OBAMA, BIDEN)]
    batch = both.post("/batch-extract", json={"images": images}, params=RETAIL).json()
    found = [one["embedding"] for one in batch["results"]]
    assert np.abs(np.array(found) - [numbers, expected(engine, BIDEN)]).max() < 1e-6


def test_two_photos_and_two_descriptors_are_compared_by_the_cosine(both: httpx.Client, engine: Engine) -> None:
    first, second = expected(engine, OBAMA), expected(engine, BIDEN)
    cosine = pytest.approx(1 - np.dot(first, second), abs=1e-6)
    photos = {"image1": photo(OBAMA), "image2": photo(BIDEN)}
    compared = both.post("/compare", files=photos, params=RETAIL).json()
    assert (compared["distance"], compared["threshold"]) == (cosine, engine.card.threshold)
    for named in ({}, {"model": engine.card.name}):
        body = {"embedding_a": first, "embedding_b": second, **named}
        answer = both.post("/compare-faces", json=body).json()
        assert (answer["distance"], answer["metric"]) == (cosine, "cosine")


def test_the_gallery_keeps_and_finds_people_by_it_alone(both: httpx.Client) -> None:
    stored = both.post("/enroll_faces/r1", files={"files": photo(OBAMA)}, data={"name": "R"}, params=RETAIL)
    assert stored.json()["faces_stored"] == 1
    seen = both.post("/match_face", files={"image": photo(OBAMA)}, params=RETAIL)
    assert seen.json() == {"status": "access_granted", "user_id": "r1", "name": "R"}
    found = both.post("/records/match", files={"image": photo(OBAMA)}, params=RETAIL).json()["top_matches"]
    assert [one["name"] for one in found] == ["R"]
    verified = both.post("/verify/r1", files={"image": photo(OBAMA)}, params=RETAIL).json()
    assert verified["verified"] is True


def test_a_wrong_engine_is_named_with_the_right_ones(both: httpx.Client) -> None:
    answer = both.post("/encode-image", files={"image": photo(OBAMA)}, params={"engine": "retail-0095"})
    assert answer.status_code == 422
    assert "dlib, retail" in answer.json()["error"]


def test_health_says_the_licence_of_the_weights(both: httpx.Client, engine: Engine) -> None:
    assert both.get("/health").json()["licences"][engine.card.name] == engine.card.licence


def test_a_service_of_this_engine_alone(model: Path, engine: Engine) -> None:
    with serving(FACE128_ENGINES="retail", FACE128_RETAIL_MODEL=str(model)) as client:
        answer = client.post("/encode-image", files={"image": photo(OBAMA)}).json()
        assert answer["descriptor"] == expected(engine, OBAMA)


def test_unusable_files_leave_the_other_engine_working(tmp_path: Path) -> None:
    (tiny_model(tmp_path) / "face-reidentification-retail-0095.bin").unlink()
    with serving(FACE128_ENGINES="dlib,retail", FACE128_RETAIL_MODEL=str(tmp_path)) as client:
        states = client.get("/ready").json()["engines"]
        assert states["dlib"] == "ready"
        assert "retail-0095.bin is missing" in states["retail"]
        assert client.post("/encode-image", files={"image": photo(OBAMA)}).status_code == 200
