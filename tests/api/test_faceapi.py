"""face-api.js's descriptors and dlib's, met over HTTP: enrolled in a browser, seen by the server."""

from __future__ import annotations

import time
from collections.abc import Iterator

import faceapi_truth
import httpx
import numpy as np
import pytest
from serving import photo, serving

BROWSER = {
    # Enrolled with the real face-api.js, as a browser scales photos.
    1029: ("Barack Obama", "obama-2012.jpg"),
    1030: ("Joe Biden", "biden-2010.jpg"),
    1031: ("Grace Hopper", "hopper-1984.jpg"),
    1032: ("Eileen Collins", "collins-1999.png"),
}
SEEN = {"obama-2009.jpg": 1029, "obama-2010.jpg": 1029, "biden-2010.jpg": 1030, "hopper-1984.jpg": 1031}


@pytest.fixture(scope="module")
def service() -> Iterator[httpx.Client]:
    models = str(faceapi_truth.models())
    with serving(FACE128_ENGINES="dlib,faceapi", FACE128_FACEAPI_MODELS=models) as client:
        # The service is ready when its first engine is.
        while (state := client.get("/ready").json()["engines"]["faceapi"]) == "loading":
            time.sleep(0.1)
        assert state == "ready"
        yield client


@pytest.fixture(scope="module")
def enrolled() -> list[dict[str, object]]:
    return [
        {
            "regNo": reg_no,
            "name": name,
            "descriptor": faceapi_truth.golden(file, "ssd", "canvas")[0].descriptor.tolist(),
            "model": "faceapi-resnet-v1",
        }
        for reg_no, (name, file) in BROWSER.items()
    ]


def encode(service: httpx.Client, name: str, engine: str) -> dict[str, object]:
    answer = service.post("/encode-image", params={"engine": engine, "faces": "largest"}, files={"image": photo(name)})
    assert answer.status_code == 200, answer.text
    encoded: dict[str, object] = answer.json()
    return encoded


@pytest.mark.parametrize("engine", ["faceapi", "dlib"])
@pytest.mark.parametrize("name", SEEN)
def test_whom_a_browser_enrolled_the_server_recognises(
    service: httpx.Client,
    enrolled: list[dict[str, object]],
    name: str,
    engine: str,
    record_property: pytest.RecordProperty,
) -> None:
    probe = encode(service, name, engine)
    body = {"descriptor": probe["descriptor"], "model": probe["model"], "enrolled": enrolled, "threshold": 0.5}
    answer = service.post("/match?explain=true", json=body).json()
    print(f"{name} by {engine}: {answer['distance']:.3f}, the next {answer['runner_up']['distance']:.3f}")
    record_property("distance", answer["distance"])
    assert answer["regNo"] == SEEN[name]
    assert answer.get("mixed_models", False) == (engine == "dlib")
    # In the one network strangers are further away than this, whoever made the descriptors.
    assert answer["runner_up"]["distance"] > 0.6


@pytest.mark.parametrize("name", ["obama-2012.jpg", "hopper-1984.jpg"])
def test_a_photo_sent_to_the_server_has_the_very_descriptor_of_the_browser(service: httpx.Client, name: str) -> None:
    answer = encode(service, name, "faceapi")
    assert answer["model"] == "faceapi-resnet-v1"
    (truth,) = faceapi_truth.golden(name, "ssd", "canvas")
    assert np.linalg.norm(np.array(answer["descriptor"]) - truth.descriptor) <= 1e-5


def test_a_member_without_a_model_is_taken_for_the_probes(
    service: httpx.Client, enrolled: list[dict[str, object]]
) -> None:
    probe = encode(service, "obama-2012.jpg", "faceapi")
    members = [{"regNo": member["regNo"], "name": "", "descriptor": member["descriptor"]} for member in enrolled]
    body = {"descriptor": probe["descriptor"], "model": probe["model"], "enrolled": members}
    answer = service.post("/match?explain=true", json=body).json()
    assert answer["regNo"] == 1029
    assert "mixed_models" not in answer


def test_every_route_that_takes_an_engine_takes_this_one(service: httpx.Client) -> None:
    image, params = {"image": photo("hopper-1984.jpg")}, {"engine": "faceapi"}
    assert service.post("/detect", files=image, params=params).json()["face_count"] == 1
    assert service.post("/verify-face", files=image, params=params).json()["face_detected"] is True
    assert service.post("/extract-embedding", files=image, params=params).json()["model"] == "faceapi-resnet-v1"
    pair = {"image1": image["image"], "image2": image["image"]}
    assert service.post("/compare", files=pair, params=params).json()["same_person"] is True
