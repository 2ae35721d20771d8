"""/health, /ready, request ids and the shape of errors, over real HTTP."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from serving import environment, free_port, photo, serving

from face128 import __version__
from face128.domain.model_card import DLIB


def test_health_has_the_fields_of_both_services(service: httpx.Client) -> None:
    answer = service.get("/health")
    assert answer.status_code == 200
    assert answer.json() == {
        "status": "healthy",
        "model": "dlib-resnet-v1",
        "model_loaded": True,
        "version": __version__,
        "licences": {DLIB.name: DLIB.licence},
    }


def test_ready_names_the_engines(service: httpx.Client) -> None:
    answer = service.get("/ready").json()
    answer.pop("database", None)  # another test may have asked for the gallery
    assert answer == {"status": "ready", "engines": {"dlib": "ready"}}


def test_every_answer_has_a_request_id_and_a_callers_own_is_kept(fake_service: httpx.Client) -> None:
    ids = {fake_service.get("/health").headers["X-Request-ID"] for _ in range(3)}
    assert len(ids) == 3
    mine = fake_service.post("/match", content="{", headers={"X-Request-ID": "nest-42"})
    assert mine.headers["X-Request-ID"] == "nest-42"


def test_a_request_id_that_could_forge_a_log_line_is_replaced(fake_service: httpx.Client) -> None:
    answer = fake_service.get("/health", headers={"X-Request-ID": "a b\tc"})
    assert re.fullmatch(r"[0-9a-f]{32}", answer.headers["X-Request-ID"])


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [("GET", "/nothing", 404, "not_found"), ("GET", "/match", 405, "method_not_allowed")],
)
def test_routing_errors_have_the_same_shape(
    fake_service: httpx.Client, method: str, path: str, status: int, code: str
) -> None:
    answer = fake_service.request(method, path)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert isinstance(answer.json()["error"], str)


def test_validation_errors_have_the_same_shape_and_never_echo_the_input(fake_service: httpx.Client) -> None:
    answer = fake_service.post("/encode-image?faces=secret-input", files={"image": photo("hopper-1984.jpg")})
    assert answer.status_code == 422
    assert (answer.json()["code"], answer.json()["field"]) == ("invalid_request", "faces")
    assert "secret-input" not in answer.text
    assert "detail" not in answer.json()


def test_openapi_has_real_examples_that_match(fake_service: httpx.Client) -> None:
    document = fake_service.get("/openapi.json").json()
    body = document["paths"]["/match"]["post"]["requestBody"]["content"]["application/json"]["example"]
    assert fake_service.post("/match", json=body).json() == {"regNo": 1029, "name": "Barack Obama"}
    assert fake_service.get("/docs").status_code == 200


def test_match_works_while_the_engine_cannot_be_loaded_and_ready_says_why(tmp_path: Path) -> None:
    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "--factory", "face128.api.app:create_app", "--port", str(port)]
    process = subprocess.Popen(command, env=environment(FACE128_WEIGHTS=str(tmp_path)))
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            ready = wait_for(client)
            assert (ready.status_code, ready.json()["code"]) == (503, "not_ready")
            assert "is missing" in ready.json()["error"]
            assert str(tmp_path) not in ready.text
            encoded = client.post("/encode-image", files={"image": photo("hopper-1984.jpg")})
            assert (encoded.status_code, encoded.json()["code"]) == (503, "not_ready")
            assert client.get("/health").json()["model_loaded"] is False
            matched = client.post("/match", json={"descriptor": [0] * 128, "enrolled": []})
            assert matched.json() == {"match": False}
    finally:
        process.kill()
        process.wait()


def wait_for(client: httpx.Client) -> httpx.Response:
    """The first answer of /ready that is not "still starting"."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            answer = client.get("/ready")
            if "starting" not in answer.text:
                return answer
        except httpx.TransportError:
            pass
        time.sleep(0.05)
    raise AssertionError("The service did not answer.")


def test_a_full_queue_is_overloaded_and_says_when_to_come_back() -> None:
    with serving(FACE128_ENGINES="dlib", FACE128_THREADS="1", FACE128_QUEUE="0", FACE128_DETECTION="exact") as client:
        answers = flood(client, 6)
        assert {answer.status_code for answer in answers} == {200, 503}
        refused = next(answer for answer in answers if answer.status_code == 503)
        assert refused.json()["code"] == "overloaded"
        assert int(refused.headers["Retry-After"]) >= 1
        assert refused.json()["face_detected"] is False
        count = sum(answer.status_code == 503 for answer in answers)
        sample = 'face128_requests_total{code="503",method="POST",route="/encode-image"} '
        assert f"{sample}{count}.0" in client.get("/metrics").text
        assert flood(client, 1)[0].status_code == 200


def flood(client: httpx.Client, calls: int) -> list[httpx.Response]:
    image = photo("obama-2012.jpg")
    with ThreadPoolExecutor(calls) as pool:
        return list(pool.map(lambda _: client.post("/encode-image", files={"image": image}), range(calls)))
