"""512 numbers over real HTTP: the decision of /match, two engines in one service, unusable packs."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import dlib_truth
import httpx
import insight_packs
import numpy as np
import pytest
from serving import STARTUP_TIMEOUT_S, environment, photo, serving

MODEL = "insightface-w600k_mbf_int8-7caa7fb0"  # of the golden embeddings
OBAMA, OBAMA_AGAIN, BIDEN = "obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg"


def descriptor(name: str) -> list[float]:
    return [float(number) for number in insight_packs.golden_descriptors(name)[0]]


def request(*members: dict[str, Any], **fields: Any) -> dict[str, Any]:
    enrolled = [{"regNo": i, "name": str(i), **member} for i, member in enumerate(members)]
    return {"descriptor": descriptor(OBAMA), "model": MODEL, "enrolled": enrolled, **fields}


@pytest.fixture(scope="module")
def both() -> Iterator[httpx.Client]:
    with serving(
        FACE128_ENGINES="dlib,insightface", FACE128_INSIGHTFACE_PACK=str(insight_packs.sample_pack())
    ) as client:
        assert state_of_pack(client) == "ready"
        yield client


def state_of_pack(client: httpx.Client) -> str:
    """The state of the second engine in /ready, once it is loaded or has failed."""
    deadline = time.monotonic() + STARTUP_TIMEOUT_S
    state = "loading"
    while state == "loading" and time.monotonic() < deadline:
        time.sleep(0.05)
        state = client.get("/ready").json()["engines"]["insightface"]
    return state


def test_match_takes_512_numbers_where_the_model_is_named(fake_service: httpx.Client) -> None:
    """The service has no pack: the model's name is enough."""
    body = request({"descriptor": descriptor(BIDEN)}, {"descriptor": descriptor(OBAMA_AGAIN)})
    assert fake_service.post("/match", json=body).json() == {"regNo": 1, "name": "1"}
    explained = fake_service.post("/match?explain=true", json=body).json()
    cosine = np.array(descriptor(OBAMA)) @ descriptor(OBAMA_AGAIN)
    assert explained["distance"] == pytest.approx(1 - cosine, abs=1e-6)
    assert (explained["threshold"], explained["model"]) == (0.45, MODEL)
    assert fake_service.post("/match", json=request({"descriptor": descriptor(BIDEN)})).json() == {"match": False}


def test_the_threshold_of_the_card_decides(fake_service: httpx.Client) -> None:
    for distance, matches in ((0.449, True), (0.451, False)):
        probe, member = np.zeros((2, 512))
        probe[0], member[:2] = 2, (1 - distance, np.sqrt(1 - (1 - distance) ** 2))
        answer = fake_service.post("/match", json=request({"descriptor": member.tolist()}, descriptor=probe.tolist()))
        assert ("regNo" in answer.json()) is matches


@pytest.mark.parametrize("model", ["dlib-resnet-v1", "insightface-w600k_mbf_int8-00000000", "insightface"])
def test_a_member_of_another_model_is_never_compared(fake_service: httpx.Client, model: str) -> None:
    answer = fake_service.post("/match", json=request({"descriptor": descriptor(OBAMA), "model": model}))
    assert (answer.status_code, answer.json()["code"]) == (409, "model_mismatch")


def test_128_numbers_are_no_descriptor_of_this_model(fake_service: httpx.Client) -> None:
    short = dlib_truth.descriptors(OBAMA)[0].tolist()
    answer = fake_service.post("/match", json=request({"descriptor": short}))
    assert (answer.status_code, answer.json()["field"]) == (422, "enrolled[0].descriptor")
    body = {"embedding_a": descriptor(OBAMA), "embedding_b": short}
    answer = fake_service.post("/compare-faces", json=body)
    assert (answer.status_code, answer.json()["code"]) == (409, "model_mismatch")


def test_compare_faces_knows_the_model(fake_service: httpx.Client) -> None:
    body = {"embedding_a": descriptor(OBAMA), "embedding_b": descriptor(OBAMA_AGAIN), "model": MODEL}
    assert fake_service.post("/compare-faces", json=body).json()["metric"] == "cosine"
    answer = fake_service.post("/compare-faces", json=body | {"model_b": "insightface-w600k_r50-00000000"})
    assert (answer.status_code, answer.json()["code"]) == (409, "model_mismatch")


def test_one_service_may_hold_both_engines(both: httpx.Client) -> None:
    lengths = {}
    for engine in ("dlib", "insightface"):
        answer = both.post("/encode-image", files={"image": photo(OBAMA)}, params={"engine": engine}).json()
        lengths[answer["model"]] = len(answer["descriptor"])
    assert lengths == {"dlib-resnet-v1": 128, MODEL: 512}


def test_one_gallery_holds_both_and_compares_only_within_a_model(both: httpx.Client) -> None:
    engines = ("dlib", "insightface")
    for engine in engines:
        enrolled = {"files": {"files": photo(OBAMA_AGAIN)}, "data": {"name": f"By {engine}"}}
        assert both.post(f"/enroll_faces/{engine}?engine={engine}", **enrolled).json()["faces_stored"] == 1
    for engine in engines:
        seen = both.post(f"/match_face?engine={engine}", files={"image": photo(OBAMA)})
        assert seen.json() == {"status": "access_granted", "user_id": engine, "name": f"By {engine}"}
        found = both.post(f"/records/match?engine={engine}", files={"image": photo(OBAMA)}).json()["top_matches"]
        assert [one["name"] for one in found] == [f"By {engine}"]
        probe = both.post(f"/encode-image?engine={engine}", files={"image": photo(OBAMA)}).json()
        asked = {"descriptor": probe["descriptor"], "model": probe["model"]}
        assert both.post("/match", json=asked).json()["regNo"] == engine
    both.delete("/enroll_faces/dlib")
    assert both.post("/match_face?engine=dlib", files={"image": photo(OBAMA)}).json() == {"status": "access_denied"}
    assert both.delete("/enroll_faces/insightface").json()["faces_deleted"] == 1


def test_health_has_the_licences_of_the_weights(both: httpx.Client) -> None:
    licences = both.get("/health").json()["licences"]
    assert set(licences) == {"dlib-resnet-v1", MODEL}
    assert "non-commercial research only" in licences[MODEL]


def test_what_encode_image_gives_is_found_by_match(insight_service: httpx.Client) -> None:
    encoded = {
        name: insight_service.post("/encode-image", files={"image": photo(name)}).json()
        for name in (OBAMA, OBAMA_AGAIN, BIDEN)
    }
    enrolled = [
        {"regNo": i, "name": name, "descriptor": encoded[name]["descriptor"]}
        for i, name in enumerate((BIDEN, OBAMA_AGAIN))
    ]
    body = {"descriptor": encoded[OBAMA]["descriptor"], "model": encoded[OBAMA]["model"], "enrolled": enrolled}
    assert insight_service.post("/match", json=body).json() == {"regNo": 1, "name": OBAMA_AGAIN}


def test_with_jitters_a_face_stays_near_itself(insight_service: httpx.Client) -> None:
    plain, jittered = (
        insight_service.post("/encode-image", files={"image": photo(OBAMA)}, params={"num_jitters": n}).json()
        for n in (1, 10)
    )
    body = {"embedding_a": plain["descriptor"], "embedding_b": jittered["descriptor"]}
    assert 0 < insight_service.post("/compare-faces", json=body).json()["distance"] < 0.2


def missing(folder: Path) -> str:
    (insight_packs.tiny_pack(folder) / "tiny.onnx").unlink()
    return "no recogniser"


def corrupt(folder: Path) -> str:
    (insight_packs.tiny_pack(folder) / "det_tiny.onnx").write_bytes(b"not a network")
    return "det_tiny.onnx"


def wrong(folder: Path) -> str:
    insight_packs.write_recogniser(insight_packs.tiny_pack(folder) / "tiny.onnx", dimension=128)
    return "not an ArcFace network of 512 numbers"


def blind(folder: Path) -> str:
    insight_packs.tiny_pack(folder)
    return "does not find the face"


@pytest.mark.parametrize("spoil", [missing, corrupt, wrong, blind])
def test_a_bad_pack_is_one_sentence_and_the_other_engine_serves(tmp_path: Path, spoil: Any) -> None:
    sentence = spoil(tmp_path / "pack")
    # serving() itself asserts that the log has no traceback.
    with serving(FACE128_ENGINES="fake,insightface", FACE128_INSIGHTFACE_PACK=str(tmp_path / "pack")) as client:
        assert sentence in state_of_pack(client)
        answer = client.post("/encode-image?engine=insightface", files={"image": photo(OBAMA)})
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert sentence in answer.json()["error"]
        assert str(tmp_path) not in answer.text
        assert client.post("/encode-image", files={"image": photo(OBAMA)}).status_code == 200


def test_without_the_engine_nothing_of_it_is_imported() -> None:
    code = (
        "import sys\nfrom face128.api.app import create_app\nfrom face128.engines.loader import load_engine\n"
        "from face128.settings import Settings\ncreate_app(Settings())\nload_engine('dlib', Settings())\n"
        "print([name for name in sys.modules if name.startswith('face128.engines.insightface')])"
    )
    run = subprocess.run([sys.executable, "-c", code], env=environment(), capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
