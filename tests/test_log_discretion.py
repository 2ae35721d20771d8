"""No key, photo, descriptor or name in a log or a trace: every route is driven with marked values, at level debug."""

from __future__ import annotations

import base64
import hashlib
import io
import json
import re
import socket
import sqlite3
import tempfile
from pathlib import Path
from typing import IO, Any

import fake_photos
import httpx
import numpy as np
import poisoned
import pytest
from otlp_receiver import receiving
from PIL import Image
from serving import started

from face128 import api_keys

KEY, WRONG = "marked-key-" + "k" * 32, "marked-wrong-" + "w" * 32
NAME, USER, TAG, FILE, EXIF = "Marked Quill", "marked-user", "marked-tag", "marked-file.jpg", "marked-by-the-camera"
REG_NO, PASSWORD = 918273645, "marked-password"
DESCRIPTOR = [0.0271828182] + [0.0314159265] * 127
MARKED_VALUES = (KEY, WRONG, NAME, USER, "marked-", str(REG_NO), "0271828", "0314159")
PROBES = ("/health", "/ready", "/metrics")
RUN = 12  # consecutive characters of base64


def portrait(seed: int) -> bytes:
    """A JPEG of a person of its own, with words in its EXIF."""
    image = Image.open(io.BytesIO(fake_photos.fake_photo(seed)))
    exif = image.getexif()
    exif[270], exif[315], exif[37510] = EXIF, EXIF, b"ASCII\0\0\0" + EXIF.encode()
    file = io.BytesIO()
    image.save(file, "JPEG", exif=exif, quality=95)
    return file.getvalue()


def coded(data: bytes) -> str:
    return base64.b64encode(data).decode()


ONE, OTHER, DAMAGED = portrait(1), portrait(2), portrait(3)[:900]
PLAIN = io.BytesIO()
Image.new("RGB", (64, 64), "red").save(PLAIN, "PNG")
NOBODY = PLAIN.getvalue()
VECTOR = coded(np.array(DESCRIPTOR, "<f4").tobytes())
CODED = (coded(ONE), coded(OTHER), coded(DAMAGED), VECTOR)


def drive(client: httpx.Client) -> None:
    """Every route, with what it takes and with what it refuses."""
    member = {"regNo": REG_NO, "name": NAME, "descriptor": DESCRIPTOR, "photo": FILE}
    body: dict[str, Any] = {"descriptor": VECTOR, "enrolled": [member]}
    assert client.post("/match?explain=true", json=body).json()["regNo"] == REG_NO
    of_models = {
        "regNo": REG_NO,
        "name": NAME,
        "descriptors": {"dlib-resnet-v1": VECTOR, "retail-0095": 2 * DESCRIPTOR},
    }
    several = {"descriptors": {"retail-0095": 2 * DESCRIPTOR}, "enrolled": [of_models]}
    assert client.post("/match?explain=true", json=several).json()["regNo"] == REG_NO
    for wrong in (
        {"descriptor": DESCRIPTOR[:-1]},
        {"enrolled": [{**member, "descriptor": [*DESCRIPTOR[:-1], NAME]}]},
        {"enrolled": NAME},
        {"threshold": NAME},
        {"model": NAME},
        {"decision": {"rule": NAME}},
        {"descriptors": {NAME: DESCRIPTOR}},
        {"descriptors": {"dlib-resnet-v1": [DESCRIPTOR, NAME]}},
        {"enrolled": [{**member, "descriptors": {NAME: DESCRIPTOR}}]},
        {"enrolled": [{**member, "descriptors": {"retail-0095": DESCRIPTOR}}]},
        {"threshold": {NAME: 0.5}},
    ):
        assert client.post("/match", json={**body, **wrong}).status_code in (409, 422)
    assert client.post("/match", content=json.dumps(body)[:-9]).status_code == 400
    members = json.dumps([member]).encode()
    digest = "sha256-" + hashlib.sha256(members).hexdigest()
    assert client.put(f"/lists/{digest}", content=members).status_code == 201
    assert client.put(f"/lists/{digest}", content=members[:-9]).status_code == 422
    assert client.put(f"/lists/{NAME}", content=members).status_code == 422
    assert client.post("/match", json={"descriptor": VECTOR, "enrolled_ref": digest}).json()["regNo"] == REG_NO
    for wrong in (NAME, digest[:-1]):
        assert client.post("/match", json={"descriptor": VECTOR, "enrolled_ref": wrong}).status_code == 404
    assert client.head(f"/lists/{digest}").status_code == 200
    assert client.delete(f"/lists/{digest}").status_code == 204

    for path in ("/encode-image", "/detect", "/verify-face", "/extract-embedding", "/records/match", "/match_face"):
        for data in (ONE, OTHER, DAMAGED, NOBODY, NAME.encode(), b""):
            client.post(path, files={"image": (FILE, data)}, data={"name": NAME})
        client.post(path, json={"image_base64": CODED[0]})
        client.post(f"{path}?engine={USER}", json={"image_base64": CODED[0][:-3] + NAME})
        client.post(path, content=ONE, headers={"Content-Type": TAG})
    client.post("/compare", files={"image1": (FILE, ONE), "image2": (FILE, OTHER)})
    client.post("/compare-faces", json={"embedding_a": DESCRIPTOR, "embedding_b": VECTOR, "model": NAME})
    client.post("/compare-faces", json={"embedding_a": DESCRIPTOR, "embedding_b": NAME})
    client.post("/batch-extract", json={"images": [CODED[0], CODED[2], NAME]})

    person = {"name": NAME, "metadata": json.dumps({"tag": TAG})}
    created = client.post("/records", files={"image": (FILE, ONE)}, data=person).json()["record"]
    assert client.post("/records", files={"image": (FILE, ONE)}, data={"name": TAG}).status_code == 409
    assert client.post("/records", files={"image": (FILE, ONE)}, data={"name": NAME, "metadata": TAG}).is_error
    enrolled = client.post(f"/enroll_faces/{USER}?force=true", files={"files": (FILE, OTHER)}, data={"name": NAME})
    assert enrolled.json()["faces_stored"] == 1
    assert client.post(f"/enroll_faces/{TAG}", files={"files": (FILE, OTHER)}, data={"name": TAG}).status_code == 409
    client.post(f"/enroll_faces/{USER}", files={"files": (FILE, DAMAGED)}, data={"name": NAME})
    assert client.post("/match_face", files={"image": (FILE, OTHER)}).json()["user_id"] == USER
    verified = client.post(f"/verify/{USER}", files={"image": (FILE, OTHER)}).json()
    assert (verified["user_id"], verified["verified"]) == (USER, True)
    client.post(f"/verify/{USER}", json={"descriptor": NAME})
    client.get(f"/records?limit={NAME}")
    client.get("/records")
    client.get(f"/records/{created['id']}")
    client.get(f"/people?q={NAME}&after={USER}")
    assert client.get(f"/people/{USER}").json()["name"] == NAME
    assert client.patch(f"/people/{USER}", json={"name": NAME, "consent": TAG}).is_success
    client.patch(f"/people/{USER}", json={"expires_at": NAME})
    client.post(f"/people/{USER}/merge", json={"into": NAME})
    client.get(f"/collections?collection={USER}")
    client.get(f"/decisions?user_id={USER}&since={NAME}")
    report = {"state": "running", "stage": "enrolling", "total": 2, "done": 1}
    assert client.put("/jobs/a-job", json=report).is_success
    for path, wrong in ((NAME, report), ("a-job", report | {"state": NAME}), ("a-job", report | {"errors": {NAME: 1}})):
        assert client.put(f"/jobs/{path}", json=wrong).status_code == 422
    client.get("/jobs")
    client.post("/maintenance/rebuild-index")
    client.delete(f"/records/{created['id']}")
    client.delete(f"/enroll_faces/{USER}")
    client.delete(f"/records/{NAME}")
    for path in ("/health", "/ready", "/metrics", f"/{USER}/at?all={NAME}"):
        client.get(path)

    for _ in range(12):  # until the address is throttled
        client.get("/records", headers={"Authorization": f"Bearer {WRONG}", "Cookie": TAG})
    client.get("/records", headers={"Authorization": "", "X-Request-ID": f"{NAME} {USER}"})
    for parent, other in (
        ("00-" + "ab" * 16 + "-" + "cd" * 8 + "-01", f"{USER}={TAG}"),
        (f"00-{USER}", f"{NAME},,={USER}"),
    ):
        client.get("/records", headers={"traceparent": parent, "tracestate": other, "baggage": f"{other},{NAME * 400}"})
        client.get("/records", headers={"traceparent": USER * 60})
    address = client.base_url.host, client.base_url.port
    for noise in (f"{NAME}\r\n\r\n", f"GET /{USER} HTTP/9 {NAME}\r\n\r\n", f"POST /match HTTP/1.1\r\n{NAME}\r\n\r\n"):
        with socket.create_connection(address) as connection:
            connection.sendall(noise.encode())
            connection.recv(1000)
    with socket.create_connection(address) as connection:  # and disconnects before its body is complete
        head = f"POST /match?q={USER} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nX-API-Key: {KEY}\r\n"
        connection.sendall(f"{head}Content-Length: 900\r\n\r\n".encode() + json.dumps(body).encode()[:500])


def break_inside(client: httpx.Client, gallery: Path, photos: list[int]) -> None:
    """Unexpected errors: in a worker, and in the database, whose driver gets the name and the descriptor."""
    for width in photos:
        client.post("/detect", files={"image": (FILE, poisoned.photo(width))})
    shortly = httpx.Timeout(60, read=0.3)
    with pytest.raises(httpx.ReadTimeout):  # it disconnects while its photo is worked on
        client.post("/detect", files={"image": (FILE, poisoned.photo(poisoned.TAKES_TWO_SECONDS))}, timeout=shortly)
    with sqlite3.connect(gallery) as database:
        database.execute("CREATE TRIGGER broken BEFORE INSERT ON faces BEGIN SELECT RAISE(ABORT, 'broken'); END")
    database.close()
    answer = client.post("/records", files={"image": (FILE, portrait(9))}, data={"name": NAME})
    assert answer.json()["code"] == "internal"


def read(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def assert_discreet(log: str) -> None:
    assert not [line for line in log.splitlines() if any(value in line for value in MARKED_VALUES)]
    coded_runs = {text[i : i + RUN] for text in CODED for i in range(len(text) - RUN + 1)}
    assert not [log[i : i + RUN] for i in range(len(log) - RUN + 1) if log[i : i + RUN] in coded_runs]


def assert_discreet_trace(sent: bytes) -> None:
    """Neither as text nor as the bytes of numbers and photos."""
    assert_discreet(sent.decode("latin-1"))
    for form in ("<f4", ">f4", "<f8", ">f8"):
        assert np.array(DESCRIPTOR[:1], form).tobytes() not in sent
    runs = {data[i : i + RUN] for data in (ONE, OTHER, DAMAGED) for i in range(len(data) - RUN + 1)}
    assert not [sent[i : i + RUN] for i in range(len(sent) - RUN + 1) if sent[i : i + RUN] in runs]


@pytest.mark.parametrize(("form", "isolation"), [("lines", "process"), ("json", "thread")])
def test_no_log_and_no_trace_tells_who_or_what_was_sent(tmp_path: Path, form: str, isolation: str) -> None:
    settings = poisoned.settings(
        FACE128_API_KEYS=api_keys.key_from_secret("the-test", KEY).entry,
        FACE128_DATA=str(tmp_path),
        FACE128_ISOLATION=isolation,
        FACE128_LOG_FORMAT=form,
        FACE128_LOG_LEVEL="debug",
        FACE128_TEMPLATE="nearest",  # the one person has photos of two
    )
    with tempfile.TemporaryFile() as file, receiving() as receiver:
        settings |= receiver.settings
        with started(stderr=file, **settings) as (process, port):
            headers = {"Authorization": f"Bearer {KEY}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=60) as client:
                drive(client)
                crashes = [poisoned.CRASHES] if isolation == "process" else []
                break_inside(client, tmp_path / "gallery.sqlite", [poisoned.FAILS, *crashes])
                document = client.get("/openapi.json").json()
            process.terminate()
            assert process.wait(30) == 0
        log = read(file)
    assert_discreet(log)
    # All of it was logged, each route by its template.
    driven = set(re.findall(r"\b(GET|POST|PUT|PATCH|DELETE) (/\S*) \d{3} ", log))
    promised = {(verb.upper(), path) for path, verbs in document["paths"].items() for verb in verbs if verb != "head"}
    assert {(verb, path.replace(":path", "")) for verb, path in driven} >= promised
    for sign in ("internal error", "IntegrityError", "too many wrong API keys", "Invalid HTTP request"):
        assert sign in log
    assert len(re.findall(r"POST /match 499 |POST /detect 499 ", log)) == 2
    assert_discreet_trace(b"".join(receiver.bodies))
    shown = {
        (span.attributes["http.request.method"], span.attributes["http.route"].replace(":path", ""))
        for span in receiver.spans
        if "http.route" in span.attributes
    }
    assert shown >= {(verb, path) for verb, path in promised if path not in PROBES}


def test_a_database_that_is_away_is_told_without_its_password() -> None:
    settings = {
        "FACE128_ENGINES": "fake",
        "FACE128_DATABASE_URL": f"mysql+pymysql://root:{PASSWORD}@127.0.0.1:1/{TAG}",
        "FACE128_LOG_LEVEL": "debug",
    }
    with tempfile.TemporaryFile() as file:
        with started(stderr=file, wait="/health", **settings) as (_, port):
            base = f"http://127.0.0.1:{port}"
            sent = httpx.post(f"{base}/records", files={"image": (FILE, ONE)}, data={"name": NAME}, timeout=60)
            assert (sent.status_code, httpx.delete(f"{base}/enroll_faces/{USER}", timeout=60).status_code) == (503, 503)
        log = read(file)
    assert_discreet(log)
    assert "the gallery's database: " in log
