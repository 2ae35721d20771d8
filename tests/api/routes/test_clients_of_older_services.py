"""The clients of the five older services, as their documents write them, each to its last branch."""

from __future__ import annotations

import base64
import io
import json
import struct
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from paths import FIXTURES
from PIL import Image
from serving import photo, serving

KEY = "a-secret-for-the-clients-of-older-services"
OBAMA, OBAMA_LATER, BIDEN = photo("obama-2009.jpg"), photo("obama-2012.jpg"), photo("biden-2010.jpg")
TWO_PEOPLE = (FIXTURES / "contracts" / "two-people.jpg").read_bytes()
NO_FACE_SENTENCE = "No face detected in image"


def nobody() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (320, 240), "navy").save(stream, "PNG")
    return stream.getvalue()


NO_FACE = nobody()
BAD_FILES = {"text": b"no photo", "PDF": b"%PDF-1.7 \n", "cut off": OBAMA[:2000], "empty": b""}


@pytest.fixture(scope="module")
def client() -> Iterator[httpx.Client]:
    with serving({"Authorization": f"Bearer {KEY}"}, API_KEY=KEY) as client:
        yield client


def as_base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


# The original service: findMemberByFace of a NestJS backend, which matches by itself where it gets no answer.


def find_member_by_face(client: httpx.Client, image: bytes, members: list[dict[str, Any]]) -> Any:
    encoded = client.post("/encode-image", files={"image": ("face.jpg", image)})
    if encoded.status_code != 200:
        return "match locally"
    result = client.post("/match", json={"descriptor": encoded.json()["descriptor"], "enrolled": members})
    if result.status_code != 200:
        return "match locally"
    return None if result.json().get("match") is False else (result.json()["regNo"], result.json()["name"])


def test_the_original_service_s_client(client: httpx.Client) -> None:
    def descriptor(image: bytes) -> Any:
        return client.post("/encode-image", files={"image": image}).json()["descriptor"]

    members = [
        {"regNo": 1029, "name": "Vicky T", "descriptor": descriptor(OBAMA)},
        {"regNo": "1030", "name": "John Doe", "descriptor": descriptor(BIDEN)},
        {"regNo": 1031, "name": "Not enrolled yet", "descriptor": None},
    ]
    assert find_member_by_face(client, OBAMA_LATER, members) == (1029, "Vicky T")
    assert find_member_by_face(client, BIDEN, members) == ("1030", "John Doe")
    assert find_member_by_face(client, photo("hopper-1984.jpg"), members) is None
    assert find_member_by_face(client, OBAMA, []) is None
    for image in (NO_FACE, TWO_PEOPLE, *BAD_FILES.values()):
        assert find_member_by_face(client, image, members) == "match locally"
    assert find_member_by_face(client, OBAMA, [{**members[0], "descriptor": [0.1]}]) == "match locally"


# The InsightFace service: axios sends a buffer, and the backend keeps the embedding as a Float32Array.


def test_the_insightface_service_s_client(client: httpx.Client) -> None:
    health = client.get("/health").json()
    assert (health["status"], health["model_loaded"]) == ("healthy", True)
    for image, count, message in (
        (OBAMA, 1, "Single face detected successfully"),
        (TWO_PEOPLE, 2, "Multiple faces detected: 2"),
        (NO_FACE, 0, "No face detected"),
    ):
        found = client.post("/detect", files={"image": ("image.jpg", image)}).json()
        assert (found["detected"], found["face_count"], found["message"]) == (count > 0, count, message)
        assert found["confidence"] > 0 if count else found["confidence"] == 0
    answer = client.post("/extract-embedding", files={"image": ("image.jpg", OBAMA)}).json()
    assert (answer["success"], len(answer["embedding"])) == (True, answer["embedding_size"])
    for other, same in ((OBAMA_LATER, True), (BIDEN, False)):
        compared = client.post("/compare", files={"image1": OBAMA, "image2": other}).json()
        assert (compared["success"], compared["same_person"]) == (True, same)
        assert compared["confidence"] == pytest.approx(50 * (1 + compared["similarity"]))
    # The error that the document's troubleshooting names.
    for path, files in (
        ("/extract-embedding", {"image": TWO_PEOPLE}),
        ("/compare", {"image1": OBAMA, "image2": TWO_PEOPLE}),
    ):
        refused = client.post(path, files=files)
        assert (refused.status_code, refused.json()["success"]) == (422, False)
        assert "Multiple faces detected" in refused.json()["error"]
    for image in (NO_FACE, *BAD_FILES.values()):
        assert client.post("/extract-embedding", files={"image": image}).json()["success"] is False
        assert client.post("/compare", files={"image1": OBAMA, "image2": image}).json()["success"] is False
        assert client.post("/detect", files={"image": image}).json()["detected"] is False


# The records service: the document's Python client, which asks the answer of every search for "recognized".


def recognise(client: httpx.Client, image: bytes) -> str:
    response = client.post("/records/match", files={"image": image}, data={"top_k": 5, "threshold": 0.45})
    result = response.json()
    if result["recognized"]:
        return f"Recognized: {result['best_match']['name']}, {result['best_match']['confidence']:.2%}"
    assert (result["best_match"], result["face_detected"]) == (None, response.status_code == 200)
    return f"Unknown person {response.status_code}, {len(result['top_matches'])} near"


def test_the_records_service_s_client(client: httpx.Client) -> None:
    metadata = {"department": "Engineering", "employee_id": "EMP001"}
    data = {"name": "John Doe", "metadata": json.dumps(metadata)}
    created = client.post("/records", files={"image": ("john_doe.jpg", OBAMA)}, data=data).json()
    record = created["record"]
    assert created["message"] == "Face record created successfully for 'John Doe'"
    assert record["metadata"] == metadata
    assert client.get("/records").json() == {"total_count": 1, "records": [record]}
    assert client.get("/records", params={"skip": 1, "limit": 100_000}).json() == {"total_count": 1, "records": []}
    assert recognise(client, OBAMA_LATER).startswith("Recognized: John Doe, 6")
    assert recognise(client, BIDEN) == "Unknown person 200, 1 near"
    # The table of statuses: 400 for a bad file, 404, 422 for a photo without a face.
    for image, status in ((NO_FACE, 422), (TWO_PEOPLE, 422), *((bad, 400) for bad in BAD_FILES.values())):
        assert recognise(client, image) == f"Unknown person {status}, 0 near"
        refused = client.post("/records", files={"image": image}, data={"name": "Jane"})
        assert (refused.status_code, refused.json()["success"]) == (status, False)
    assert client.post("/records", files={"image": NO_FACE}, data={"name": "Jane"}).json()["error"] == NO_FACE_SENTENCE
    assert client.get("/records").json()["total_count"] == 1
    assert client.post("/maintenance/rebuild-index").json()["success"] is True
    deleted = client.delete(f"/records/{record['id']}").json()
    assert deleted == {
        "success": True,
        "message": "Successfully deleted record for 'John Doe'",
        "deleted_id": record["id"],
    }
    gone = [client.request(method, f"/records/{record['id']}") for method in ("GET", "DELETE")]
    assert [answer.status_code for answer in gone] == [404, 404]
    assert gone[0].json() == gone[1].json()
    assert recognise(client, OBAMA_LATER) == "Unknown person 200, 0 near"


# The door service: a door that reads only "status" opens for "access_granted" alone.


def test_the_door_service_s_client(client: httpx.Client) -> None:
    def opens(image: bytes) -> str | None:
        answer = client.post("/match_face", files={"file": ("camera.jpg", image)}).json()
        return answer["user_id"] if answer["status"] == "access_granted" else {"access_denied": None}[answer["status"]]

    def enrol(*images: bytes) -> dict[str, Any]:
        files = [("files", (f"{index}.jpg", image)) for index, image in enumerate(images)]
        answer: dict[str, Any] = client.post("/enroll_faces/user123", files=files, data={"name": "John Doe"}).json()
        return answer

    assert opens(OBAMA) is None
    for images in ([OBAMA, NO_FACE], [OBAMA, TWO_PEOPLE], [OBAMA] * 5, *([OBAMA, bad] for bad in BAD_FILES.values())):
        assert enrol(*images)["status"] == "error"
    assert opens(OBAMA) is None
    enrolled = enrol(OBAMA, photo("obama-2010.jpg"), OBAMA_LATER)
    assert (enrolled["status"], enrolled["faces_stored"]) == ("success", 3)
    assert opens(OBAMA_LATER) == "user123"
    for image in (BIDEN, NO_FACE, TWO_PEOPLE, *BAD_FILES.values()):
        assert opens(image) is None
    assert client.delete("/enroll_faces/user123").json() == {"status": "success", "faces_deleted": 3}
    assert opens(OBAMA_LATER) is None


# The embeddings service: API routes of Next.js, with a key, as a file or in base64.


@pytest.mark.parametrize("form", ["file", "base64", "data URL"])
def test_the_embeddings_service_s_client(client: httpx.Client, form: str) -> None:
    def post(path: str, image: bytes) -> tuple[int, dict[str, Any]]:
        if form == "file":
            answer = client.post(path, files={"file": ("face.jpg", image)})
        else:
            prefix = "data:image/jpeg;base64," if form == "data URL" else ""
            answer = client.post(path, json={"image_base64": prefix + as_base64(image)})
        return answer.status_code, answer.json()

    status, answer = post("/verify-face", OBAMA)
    assert (status, answer["face_detected"], answer["message"]) == (200, True, "Face detected successfully")
    assert len(answer["bbox"]) == 4
    assert post("/verify-face", NO_FACE) == (200, {"face_detected": False, "error": NO_FACE_SENTENCE})
    status, answer = post("/extract-embedding", OBAMA)
    assert (status, answer["face_detected"], len(answer["embedding"]), len(answer["bbox"])) == (200, True, 128, 4)
    status, answer = post("/extract-embedding", NO_FACE)
    assert (status, answer["face_detected"], answer["error"]) == (422, False, NO_FACE_SENTENCE)
    for path in ("/verify-face", "/extract-embedding"):
        for bad in BAD_FILES.values():
            status, answer = post(path, bad)
            assert (status in (400, 415), answer["face_detected"], bool(answer["error"])) == (True, False, True)


def test_the_embeddings_service_s_client_compares_and_sends_batches(client: httpx.Client) -> None:
    photos = [as_base64(OBAMA), as_base64(NO_FACE), as_base64(OBAMA_LATER), "no base64!", as_base64(BIDEN)]
    batch = client.post("/batch-extract", json={"images": photos}).json()
    assert (batch["total"], batch["successful"], batch["failed"]) == (5, 3, 2)
    assert [result["index"] for result in batch["results"]] == [0, 1, 2, 3, 4]
    assert batch["results"][1]["error"] == NO_FACE_SENTENCE
    same, other = (
        client.post(
            "/compare-faces",
            json={"embedding_a": batch["results"][0]["embedding"], "embedding_b": batch["results"][index]["embedding"]},
        ).json()
        for index in (2, 4)
    )
    assert same["similarity"] == pytest.approx(1 - same["distance"])
    assert same["distance"] < 0.38 < other["distance"]
    # What the client stored before: 512 numbers, compared by cosine as it did.
    old = [struct.unpack("<f", struct.pack("<f", number / 512))[0] for number in range(1, 513)]
    compared = client.post("/compare-faces", json={"embedding_a": old, "embedding_b": old}).json()
    assert compared["similarity"] == pytest.approx(1)
    body = {"embedding_a": old, "embedding_b": batch["results"][0]["embedding"]}
    assert client.post("/compare-faces", json=body).status_code == 409


def test_the_embeddings_service_s_client_without_its_key_is_unauthorized(client: httpx.Client) -> None:
    for headers in ({}, {"Authorization": "Bearer another-key"}):
        answer = httpx.post(f"{client.base_url}/verify-face", files={"file": OBAMA}, headers=headers, timeout=60)
        assert (answer.status_code, bool(answer.json()["error"])) == (401, True)
    health = httpx.get(f"{client.base_url}/health", timeout=60).json()
    assert {"status", "model", "version"} <= health.keys()
