"""Descriptors of face-api.js (enrolled in a browser) compared with those of the server's engines, over HTTP."""

from __future__ import annotations

import base64
import io
import json
import time
from collections.abc import Iterator

import faceapi_truth
import httpx
import icc_profiles
import numpy as np
import pytest
from command_line import face128
from image_files import image_file
from PIL import Image
from serving import photo, serving

from face128.photos.photo import Photo, open_photo

BROWSER = {
    # Enrolled with the real face-api.js, as a browser scales photos.
    1029: ("Barack Obama", "obama-2012.jpg"),
    1030: ("Joe Biden", "biden-2010.jpg"),
    1031: ("Grace Hopper", "hopper-1984.jpg"),
    1032: ("Eileen Collins", "collins-1999.png"),
}
SEEN = {"obama-2009.jpg": 1029, "obama-2010.jpg": 1029, "biden-2010.jpg": 1030, "hopper-1984.jpg": 1031}


@pytest.fixture(scope="module")
def service(gallery: dict[str, str]) -> Iterator[httpx.Client]:
    models = str(faceapi_truth.models())
    with serving(FACE128_ENGINES="dlib,faceapi", FACE128_FACEAPI_MODELS=models, **gallery) as client:
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


@pytest.fixture(scope="module")
def gallery(enrolled: list[dict[str, object]], tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Settings of a gallery with the browser's descriptors."""
    folder = tmp_path_factory.mktemp("gallery")
    (folder / "members.json").write_text(json.dumps(enrolled))
    settings = {"FACE128_DATA": str(folder)}
    run = face128("gallery", "import", folder / "members.json", **settings)
    assert run.stdout == "4 faces of faceapi-resnet-v1 in the file, 4 of them new\n", run.stderr
    return settings


def encode(service: httpx.Client, name: str, engine: str) -> dict[str, object]:
    answer = service.post("/encode-image", params={"engine": engine, "faces": "largest"}, files={"image": photo(name)})
    assert answer.status_code == 200, answer.text
    encoded: dict[str, object] = answer.json()
    return encoded


@pytest.mark.parametrize("engine", ["faceapi", "dlib"])
@pytest.mark.parametrize("name", SEEN)
def test_the_server_recognises_members_enrolled_in_a_browser(
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
    # Both are descriptors of one network, in which strangers are further away than this.
    assert answer["runner_up"]["distance"] > 0.6


@pytest.mark.parametrize("engine", ["faceapi", "dlib"])
@pytest.mark.parametrize("name", SEEN)
def test_the_gallery_that_a_browser_filled_recognises_them_too(
    service: httpx.Client, enrolled: list[dict[str, object]], name: str, engine: str
) -> None:
    image = {"image": photo(name)}
    answer = service.post("/records/match", params={"engine": engine}, files=image, data={"threshold": "0.5"}).json()
    probe = np.array(encode(service, name, engine)["descriptor"])
    distances = sorted(np.linalg.norm(probe - np.array(member["descriptor"])) for member in enrolled)
    assert answer["best_match"]["name"] == BROWSER[SEEN[name]][0]
    assert [one["distance"] for one in answer["top_matches"]] == pytest.approx(distances, abs=1e-6)
    print(f"{name} by {engine} in the gallery: {distances[0]:.3f}, the next {distances[1]:.3f}")


def test_another_persons_name_for_a_face_that_a_browser_enrolled_is_refused(service: httpx.Client) -> None:
    for engine in ("faceapi", "dlib"):
        answer = service.post(
            f"/records?engine={engine}", files={"image": photo("hopper-1984.jpg")}, data={"name": "Jane"}
        )
        assert (answer.status_code, answer.json()["name"]) == (409, "Grace Hopper")


@pytest.mark.parametrize("name", ["obama-2012.jpg", "hopper-1984.jpg"])
def test_a_photo_sent_to_the_server_has_the_same_descriptor_as_in_the_browser(service: httpx.Client, name: str) -> None:
    answer = encode(service, name, "faceapi")
    assert answer["model"] == "faceapi-resnet-v1"
    (truth,) = faceapi_truth.golden(name, "ssd", "canvas")
    assert np.linalg.norm(np.array(answer["descriptor"]) - truth.descriptor) <= 1e-5


def test_every_route_sees_a_photo_in_the_colours_of_a_browser(service: httpx.Client) -> None:
    image = Image.open(io.BytesIO(photo("hopper-1984.jpg"))).convert("RGB")
    file = image_file("JPEG", image, icc_profile=icc_profiles.DISPLAY_P3)
    seen, engine = open_photo(file, rendering="browser").canvas(), faceapi_truth.engine()
    assert not np.array_equal(seen, open_photo(file).rgb())
    in_browser = Photo.from_rgb(seen)
    (expected,) = engine.describe(engine.crop(in_browser, engine.detect(in_browser)))
    params = {"engine": "faceapi", "faces": "best"}
    encoded = service.post("/encode-image", files={"image": file}, params=params).json()
    extracted = service.post("/extract-embedding", files={"image": file}, params=params).json()
    batch = service.post("/batch-extract", json={"images": [base64.b64encode(file).decode()]}, params=params).json()
    for found in (encoded["descriptor"], extracted["embedding"], batch["results"][0]["embedding"]):
        assert np.linalg.norm(np.array(found) - expected) <= 1e-6
    record = service.post(
        "/records", params={"engine": "faceapi", "force": "true"}, files={"image": file}, data={"name": "In P3"}
    ).json()["record"]
    matched = service.post("/records/match", params=params, files={"image": file}).json()
    service.delete(f"/records/{record['id']}")
    assert matched["best_match"]["name"] == "In P3"
    assert matched["best_match"]["distance"] == pytest.approx(0, abs=1e-5)


def test_a_member_without_a_model_has_the_model_of_the_probe(
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
