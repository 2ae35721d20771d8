"""Compressed bodies are refused with a sentence that says so; nothing unpacks them."""

from __future__ import annotations

import gzip
import json
import re
import zlib

import httpx
import pytest

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "multipart/form-data; boundary=b"}
BODIES = {
    ("POST", "/match"): JSON,
    ("POST", "/compare-faces"): JSON,
    ("POST", "/batch-extract"): JSON,
    ("POST", "/encode-image"): {"Content-Type": "image/png"},
    ("POST", "/detect"): JSON,
    ("POST", "/verify-face"): FORM,
    ("POST", "/extract-embedding"): FORM,
    ("POST", "/compare"): FORM,
    ("POST", "/match_face"): FORM,
    ("POST", "/verify/{user_id}"): FORM,
    ("POST", "/records"): FORM,
    ("POST", "/records/match"): JSON,
    ("POST", "/enroll_faces/{user_id}"): FORM,
    ("PATCH", "/people/{user_id}"): JSON,
    ("POST", "/people/{user_id}/merge"): JSON,
    ("PUT", "/jobs/{job_id}"): JSON,
    ("PUT", "/lists/{digest}"): JSON,
}
"""Every route that takes a body, with one of its media types."""


def test_these_are_all_routes_that_take_a_body(fake_service: httpx.Client) -> None:
    paths = fake_service.get("/openapi.json").json()["paths"]
    operations = {(method.upper(), path): each for path, methods in paths.items() for method, each in methods.items()}
    taking = {key: operation for key, operation in operations.items() if "requestBody" in operation}
    assert {(method, path.replace(":path", "")) for method, path in taking} == BODIES.keys()
    assert all("415" in operation["responses"] for operation in taking.values())


@pytest.mark.parametrize(("method", "path"), BODIES)
def test_a_compressed_body_is_415_and_names_content_encoding(
    fake_service: httpx.Client, method: str, path: str
) -> None:
    content = gzip.compress(json.dumps({"descriptor": [0] * 128, "enrolled": []}).encode())
    headers = BODIES[method, path] | {"Content-Encoding": "gzip"}
    path = re.sub("{.*}", "a-job", path) if "job_id" in path else re.sub("{.*}", f"sha256-{64 * '0'}", path)
    answer = fake_service.request(method, path, content=content, headers=headers)
    assert answer.status_code == 415
    assert (answer.json()["code"], answer.json()["header"]) == ("unsupported_format", "Content-Encoding")
    assert "Content-Encoding" in answer.json()["error"]
    assert answer.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("encoding", ["GZIP", "deflate", "br", "zstd", "identity, gzip", "nonsense"])
def test_no_encoding_but_identity_is_taken(fake_service: httpx.Client, encoding: str) -> None:
    answer = fake_service.post("/match", content=zlib.compress(b"{}"), headers=JSON | {"Content-Encoding": encoding})
    assert answer.status_code == 415


def test_an_encoding_in_a_second_header_is_seen(fake_service: httpx.Client) -> None:
    headers = [*JSON.items(), ("Content-Encoding", "identity"), ("Content-Encoding", "gzip")]
    assert fake_service.post("/match", content=gzip.compress(b"{}"), headers=headers).status_code == 415


@pytest.mark.parametrize("encoding", ["identity", "Identity", "", "identity , identity"])
def test_identity_is_no_encoding(fake_service: httpx.Client, encoding: str) -> None:
    body = {"descriptor": [0] * 128, "enrolled": []}
    assert fake_service.post("/match", json=body, headers={"Content-Encoding": encoding}).json() == {"match": False}


def test_a_compressed_list_sent_in_chunks_is_refused_before_it_is_read(fake_service: httpx.Client) -> None:
    chunks = (gzip.compress(b"{" + b" " * 100_000) for _ in range(3))
    answer = fake_service.post("/match", content=chunks, headers=JSON | {"Content-Encoding": "gzip"})
    assert answer.status_code == 415
