"""The InsightFace and embeddings services over real HTTP: every request of their documents, field by field."""

from __future__ import annotations

import base64
import io
import threading
from typing import Any

import dlib_truth
import httpx
import insight_packs
import numpy as np
import pytest
from PIL import Image
from serving import photo, serving

from face128.domain.model_card import ModelCard, find_card

OBAMA, OBAMA_AGAIN, BIDEN = "obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg"


# The face box of OBAMA (left, top, right, bottom) by face_recognition and by the insightface package.
BOXES = {128: (349, 142, 617, 409), 512: insight_packs.GOLDEN[OBAMA][0]["box"]}


def card_of(service: httpx.Client) -> ModelCard:
    """The card of the service's model."""
    card = find_card(service.get("/health").json()["model"])
    assert card is not None
    return card


def true_distance(card: ModelCard, a: str, b: str) -> float:
    """Distance of the faces in two photos, as face_recognition or the insightface package describes them."""
    if card.dimension == 128:
        return float(np.linalg.norm(dlib_truth.descriptors(a)[0] - dlib_truth.descriptors(b)[0]))
    return 1 - float(insight_packs.golden_descriptors(a)[0] @ insight_packs.golden_descriptors(b)[0])


def base64_of(name: str) -> str:
    return base64.b64encode(photo(name)).decode()


def plain_colour() -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (320, 240), "teal").save(file, "PNG")
    return file.getvalue()


def two_people() -> bytes:
    left, right = (Image.open(io.BytesIO(photo(name))) for name in (OBAMA, OBAMA_AGAIN))
    group = Image.new("RGB", (left.width + right.width, 1200))
    group.paste(left, (0, 0))
    group.paste(right, (left.width, 0))
    file = io.BytesIO()
    group.save(file, "JPEG", quality=92)
    return file.getvalue()


# How an image can be sent: multipart in either field, JSON with base64, plain or as a data: URL.
IMAGE_FORMS: dict[str, Any] = {
    "image": lambda data: {"files": {"image": ("face.jpg", data, "image/jpeg")}},
    "file": lambda data: {"files": {"file": ("face.jpg", data, "image/jpeg")}},
    "base64": lambda data: {"json": {"image_base64": base64.b64encode(data).decode()}},
    "data url": lambda data: {
        "json": {"image_base64": "data:image/jpeg;base64," + base64.b64encode(data).decode()},
    },
}


@pytest.mark.parametrize("form", IMAGE_FORMS)
@pytest.mark.parametrize("path", ["/detect", "/verify-face", "/extract-embedding"])
def test_an_image_is_accepted_in_every_form_of_both_services(fake_service: httpx.Client, path: str, form: str) -> None:
    answer = fake_service.post(path, **IMAGE_FORMS[form](photo("hopper-1984.jpg")))
    assert answer.status_code == 200
    assert answer.json() == fake_service.post(path, **IMAGE_FORMS["image"](photo("hopper-1984.jpg"))).json()


class TestDetect:
    def test_one_face_is_answered_as_by_the_insightface_service(self, either_service: httpx.Client) -> None:
        answer = either_service.post("/detect", files={"image": photo(OBAMA)})
        assert answer.status_code == 200
        body = answer.json()
        assert body["detected"] is True
        assert body["face_count"] == 1
        assert 0.8 < body["confidence"] <= 1
        assert body["message"] == "Single face detected successfully"
        (face,) = body["faces"]
        assert set(face) == {"bbox", "confidence", "landmarks"}
        assert face["confidence"] == body["confidence"]
        assert len(face["landmarks"]) == 5
        assert np.abs(np.subtract(face["bbox"], BOXES[card_of(either_service).dimension])).max() < 40

    def test_no_face_is_an_answer_and_no_error(self, either_service: httpx.Client) -> None:
        answer = either_service.post("/detect", files={"image": plain_colour()})
        assert answer.status_code == 200
        expected = {"detected": False, "face_count": 0, "confidence": 0.0, "message": "No face detected", "faces": []}
        assert answer.json() == expected | {"model": card_of(either_service).name}

    def test_several_faces_are_counted_with_a_box_each(self, either_service: httpx.Client) -> None:
        body = either_service.post("/detect", files={"image": two_people()}).json()
        assert (body["detected"], body["face_count"], len(body["faces"])) == (True, 2, 2)
        assert body["message"] == "Multiple faces detected: 2"

    def test_a_corrupt_file_is_an_error_with_detected_false(self, either_service: httpx.Client) -> None:
        answer = either_service.post("/detect", files={"image": photo(OBAMA)[:5000]})
        assert answer.status_code == 400
        assert (answer.json()["code"], answer.json()["detected"]) == ("bad_image", False)


class TestVerifyFace:
    def test_a_face_is_answered_as_by_the_embeddings_service(self, either_service: httpx.Client) -> None:
        answer = either_service.post("/verify-face", files={"file": photo(OBAMA)})
        assert answer.status_code == 200
        body = answer.json()
        assert set(body) == {"face_detected", "confidence", "bbox", "message"}
        assert body["face_detected"] is True
        assert body["message"] == "Face detected successfully"
        assert [type(side) for side in body["bbox"]] == [int] * 4

    def test_no_face_is_an_answer_with_an_error_field(self, either_service: httpx.Client) -> None:
        answer = either_service.post("/verify-face", files={"file": plain_colour()})
        assert answer.status_code == 200
        assert answer.json() == {"face_detected": False, "error": "No face detected in image"}


class TestExtractEmbedding:
    def test_it_has_the_fields_of_both_services_and_the_numbers_of_encode_image(
        self, either_service: httpx.Client
    ) -> None:
        answer = either_service.post("/extract-embedding", files={"image": photo(OBAMA)})
        assert answer.status_code == 200
        body = answer.json()
        encoded = either_service.post("/encode-image", files={"image": photo(OBAMA)}).json()
        assert body == {
            "success": True,
            "embedding": encoded["descriptor"],
            "confidence": encoded["confidence"],
            "embedding_size": card_of(either_service).dimension,
            "face_detected": True,
            "bbox": encoded["bbox"],
            "model": card_of(either_service).name,
        }
        assert len(body["embedding"]) == body["embedding_size"]

    @pytest.mark.parametrize(
        ("image", "status", "code"),
        [
            (plain_colour(), 422, "no_face"),
            (two_people(), 422, "multiple_faces"),
            (b"no photo", 415, "unsupported_format"),
            (b"", 400, "bad_image"),
        ],
        ids=["no face", "two faces", "text", "empty"],
    )
    def test_a_photo_without_one_face_is_an_error_with_the_fields_of_both_services(
        self, either_service: httpx.Client, image: bytes, status: int, code: str
    ) -> None:
        answer = either_service.post("/extract-embedding", files={"image": image})
        assert answer.status_code == status
        body = answer.json()
        assert (body["code"], body["success"], body["face_detected"]) == (code, False, False)

    def test_the_largest_of_several_can_be_asked_for(self, either_service: httpx.Client) -> None:
        answer = either_service.post("/extract-embedding?faces=largest", files={"image": two_people()})
        assert answer.status_code == 200


@pytest.mark.parametrize(("choice", "expected"), [("largest", "right"), ("best", "left")])
def test_the_largest_and_the_best_of_several_faces(fake_service: httpx.Client, choice: str, expected: str) -> None:
    """The fake engine finds a face in each half, the left one with more confidence; the right one is a pixel wider."""
    halves = {"left": Image.new("RGB", (50, 60), "teal"), "right": Image.new("RGB", (51, 60), "orange")}
    image = Image.new("RGB", (101, 60))
    image.paste(halves["left"], (0, 0))
    image.paste(halves["right"], (50, 0))
    file = io.BytesIO()
    image.save(file, "PNG")
    box = {"left": [0, 0, 50, 60], "right": [50, 0, 101, 60]}[expected]
    params, upload = {"faces": choice}, {"image": file.getvalue()}
    assert fake_service.post("/encode-image", params=params, files=upload).json()["bbox"] == box
    assert fake_service.post("/extract-embedding", params=params, files=upload).json()["bbox"] == box
    encoded = {"images": [base64.b64encode(file.getvalue()).decode()]}
    batch = fake_service.post("/batch-extract", params=params, json=encoded).json()
    assert batch["results"][0]["bbox"] == box
    compared = fake_service.post(
        "/compare", params=params, files={"image1": upload["image"], "image2": upload["image"]}
    )
    assert compared.json()["same_person"] is True


class TestCompare:
    @pytest.mark.parametrize(("other", "same"), [(OBAMA_AGAIN, True), (BIDEN, False), (OBAMA, True)])
    def test_the_decision_is_the_one_of_the_true_distance(
        self, either_service: httpx.Client, other: str, same: bool
    ) -> None:
        card = card_of(either_service)
        distance = true_distance(card, OBAMA, other)
        assert (distance <= card.threshold) is same
        answer = either_service.post("/compare", files={"image1": photo(OBAMA), "image2": photo(other)})
        assert answer.status_code == 200
        body = answer.json()
        assert (body["success"], body["same_person"]) == (True, same)
        assert body["distance"] == pytest.approx(distance, abs=0.1)  # the service detects fast, the truth exactly
        assert body["similarity"] == pytest.approx(1 - body["distance"])
        assert body["confidence"] == pytest.approx(50 * (1 + body["similarity"]))
        assert (body["threshold"], body["model"]) == (card.threshold, card.name)

    def test_the_images_can_come_as_base64(self, fake_service: httpx.Client) -> None:
        body = {"image1": base64_of(OBAMA), "image2": base64_of(OBAMA)}
        answer = fake_service.post("/compare", json=body).json()
        assert (answer["similarity"], answer["confidence"], answer["same_person"]) == (1, 100, True)

    def test_an_error_names_the_image(self, either_service: httpx.Client) -> None:
        answer = either_service.post("/compare", files={"image1": photo(OBAMA), "image2": plain_colour()})
        assert answer.status_code == 422
        body = answer.json()
        assert (body["code"], body["field"], body["success"]) == ("no_face", "image2", False)

    def test_a_missing_image_is_a_bad_request(self, fake_service: httpx.Client) -> None:
        answer = fake_service.post("/compare", files={"image1": photo(OBAMA)})
        assert (answer.status_code, answer.json()["code"], answer.json()["success"]) == (400, "bad_request", False)


class TestCompareFaces:
    def test_128_numbers_are_compared_by_euclidean_distance(self, fake_service: httpx.Client) -> None:
        a, b = dlib_truth.descriptors(OBAMA)[0], dlib_truth.descriptors(OBAMA_AGAIN)[0]
        answer = fake_service.post("/compare-faces", json={"embedding_a": a.tolist(), "embedding_b": b.tolist()})
        assert answer.status_code == 200
        body = answer.json()
        assert body["distance"] == pytest.approx(np.linalg.norm(a - b), abs=1e-12)
        assert body["similarity"] == pytest.approx(1 - body["distance"], abs=1e-12)

    def test_512_numbers_are_compared_by_cosine_distance(self, fake_service: httpx.Client) -> None:
        a, b = np.random.default_rng(4).normal(size=(2, 512))
        body = fake_service.post("/compare-faces", json={"embedding_a": a.tolist(), "embedding_b": b.tolist()}).json()
        cosine = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
        assert body["similarity"] == pytest.approx(cosine, abs=1e-12)
        assert body["distance"] == pytest.approx(1 - cosine, abs=1e-12)

    def test_similarity_is_not_below_minus_one(self, fake_service: httpx.Client) -> None:
        body = {"embedding_a": [1] * 128, "embedding_b": [-1] * 128}
        assert fake_service.post("/compare-faces", json=body).json()["similarity"] == -1

    def test_every_wire_form_is_the_same_descriptor(self, fake_service: httpx.Client) -> None:
        vector = dlib_truth.descriptors(OBAMA)[0].astype("<f4")
        forms = [
            [float(x) for x in vector],
            {str(i): float(x) for i, x in enumerate(vector)},
            base64.b64encode(vector.tobytes()).decode(),
        ]
        for form in forms:
            body = {"embedding_a": forms[0], "embedding_b": form}
            assert fake_service.post("/compare-faces", json=body).json()["distance"] == 0

    @pytest.mark.parametrize(
        ("body", "status", "code", "field"),
        [
            ({"embedding_a": [0] * 128, "embedding_b": [0] * 512}, 409, "model_mismatch", None),
            (
                {"embedding_a": [0] * 512, "embedding_b": [0] * 512, "model": "dlib-resnet-v1"},
                409,
                "model_mismatch",
                None,
            ),
            ({"embedding_a": [0] * 128, "embedding_b": [0] * 127}, 422, "invalid_descriptor", "embedding_b"),
            ({"embedding_a": "???", "embedding_b": [0] * 128}, 422, "invalid_descriptor", "embedding_a"),
            ({"embedding_a": [0] * 128}, 422, "invalid_descriptor", "embedding_b"),
            ({"embedding_a": [0] * 128, "embedding_b": [0] * 128, "model": "x"}, 422, "invalid_request", "model"),
            ({"embedding_a": [0] * 512, "embedding_b": [0] * 512}, 422, "invalid_descriptor", None),
            ([], 422, "invalid_request", "embedding_a"),
        ],
    )
    def test_what_cannot_be_compared_is_refused(
        self, fake_service: httpx.Client, body: Any, status: int, code: str, field: str | None
    ) -> None:
        answer = fake_service.post("/compare-faces", json=body)
        assert (answer.status_code, answer.json()["code"]) == (status, code)
        if field is not None:
            assert answer.json()["field"] == field


class TestBatchExtract:
    def test_descriptors_come_in_order_and_are_those_of_encode_image(self, either_service: httpx.Client) -> None:
        names = [OBAMA, BIDEN, "hopper-1984.jpg", OBAMA_AGAIN] * 3
        answer = either_service.post("/batch-extract", json={"images": [base64_of(name) for name in names]})
        assert answer.status_code == 200
        body = answer.json()
        assert (body["total"], body["successful"], body["failed"]) == (12, 12, 0)
        assert [result["index"] for result in body["results"]] == list(range(12))
        alone = {name: either_service.post("/encode-image", files={"image": photo(name)}).json() for name in set(names)}
        for name, result in zip(names, body["results"], strict=True):
            assert set(result) == {"index", "face_detected", "embedding", "confidence", "bbox"}
            # Chips that share a run of the network may differ in the last bit.
            assert np.allclose(result["embedding"], alone[name]["descriptor"], rtol=0, atol=1e-6)
            assert result["bbox"] == alone[name]["bbox"]

    def test_three_bad_of_eight_fail_alone(self, either_service: httpx.Client) -> None:
        good = base64_of(OBAMA)
        bad = {
            1: ("!!!", "bad_image"),
            4: (base64.b64encode(plain_colour()).decode(), "no_face"),
            6: (base64.b64encode(two_people()).decode(), "multiple_faces"),
        }
        images = [bad[i][0] if i in bad else good for i in range(8)]
        body = either_service.post("/batch-extract", json={"images": images}).json()
        assert (body["total"], body["successful"], body["failed"]) == (8, 5, 3)
        for i, result in enumerate(body["results"]):
            assert result["index"] == i
            assert result["face_detected"] is (i not in bad)
            assert ("embedding" in result) is (i not in bad)
            assert result.get("code") == (bad[i][1] if i in bad else None)
            assert ("error" in result) is (i in bad)

    @pytest.mark.parametrize("image", [None, 7, {}, "", "data:image/png;base64,"])
    def test_what_is_no_image_at_all_fails_alone_too(self, fake_service: httpx.Client, image: Any) -> None:
        body = fake_service.post("/batch-extract", json={"images": [image, base64_of(OBAMA)]}).json()
        assert (body["successful"], body["results"][0]["code"]) == (1, "bad_image")

    def test_an_empty_batch_is_empty(self, fake_service: httpx.Client) -> None:
        body = fake_service.post("/batch-extract", json={"images": []}).json()
        assert body == {"results": [], "total": 0, "successful": 0, "failed": 0, "model": "fake"}

    def test_65_images_are_too_many_and_64_are_not(self, fake_service: httpx.Client) -> None:
        refused = fake_service.post("/batch-extract", json={"images": ["x"] * 65})
        assert (refused.status_code, refused.json()["code"]) == (409, "too_many_images")
        assert fake_service.post("/batch-extract", json={"images": ["x"] * 64}).json()["failed"] == 64

    @pytest.mark.parametrize("body", [{}, {"images": "x"}, []])
    def test_a_body_without_a_list_names_the_field(self, fake_service: httpx.Client, body: Any) -> None:
        answer = fake_service.post("/batch-extract", json=body)
        assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "invalid_request", "images")

    def test_too_many_bytes_are_refused(self) -> None:
        with serving(FACE128_ENGINES="fake", FACE128_MAX_BATCH_BYTES="100000") as client:
            answer = client.post("/batch-extract", json={"images": ["x" * 60_000] * 2})
            assert (answer.status_code, answer.json()["code"]) == (413, "too_large")

    def test_others_get_their_turn_and_a_full_queue_fails_no_image(self) -> None:
        """With one place in the queue, the batch must leave room for others, and none of its photos may be refused."""
        with serving(FACE128_QUEUE="1", FACE128_THREADS="1") as client:
            answers: dict[str, Any] = {}

            def batch() -> None:
                answers["batch"] = client.post("/batch-extract", json={"images": [base64_of(OBAMA)] * 16}).json()

            thread = threading.Thread(target=batch)
            thread.start()
            singles = []
            while thread.is_alive():
                singles.append(client.post("/encode-image", files={"image": photo(OBAMA)}).status_code)
            thread.join()
            assert answers["batch"]["successful"] == 16
            assert singles.count(200) >= 3
            assert set(singles) == {200}


def test_every_route_needs_a_key_sent_as_to_the_embeddings_service() -> None:
    with serving(FACE128_ENGINES="fake", API_KEY="the-key-of-the-embeddings-test") as client:
        paths = ("/detect", "/verify-face", "/extract-embedding", "/compare", "/compare-faces", "/batch-extract")
        assert {client.post(path, json={}).status_code for path in paths} == {401}
        header = {"Authorization": "Bearer the-key-of-the-embeddings-test"}
        answer = client.post("/verify-face", files={"file": photo(OBAMA)}, headers=header)
        assert answer.json()["face_detected"] is True
