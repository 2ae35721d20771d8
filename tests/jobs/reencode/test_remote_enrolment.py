"""face128 reencode --post, into a real service with a gallery."""

from __future__ import annotations

from pathlib import Path

import httpx
import pytest
from command_line import face128
from reencoding import failed
from serving import photo, serving

from face128.jobs.reencode.remote_enrolment import MAX_RETRY_AFTER_S, _retry_after_s

KEY = "a-key-of-this-test"


def members(folder: Path) -> Path:
    (folder / "1029_Barack Obama").mkdir(parents=True)
    for name in ("obama-2009.jpg", "obama-2010.jpg"):
        (folder / "1029_Barack Obama" / name).write_bytes(photo(name))
    (folder / "1030_Joe Biden.jpg").write_bytes(photo("biden-2010.jpg"))
    (folder / "1031_Nobody.jpg").write_bytes(b"")
    return folder


def enrols(client: httpx.Client) -> bool:
    return any(path.startswith("/enroll_faces") for path in client.get("/openapi.json").json()["paths"])


def test_members_are_enrolled_once_and_found_at_the_door(tmp_path: Path) -> None:
    settings = {"API_KEY": KEY, "FACE128_DATA": str(tmp_path / "data")}
    with serving({"X-API-Key": KEY}, **settings) as client:
        if not enrols(client):
            pytest.skip("this service has no gallery")
        folder, out = members(tmp_path / "photos"), tmp_path / "enrolled.json"
        terms = ("--consent", "form 9", "--expires", "2099-01-31T00:00:00Z")
        command = ("reencode", folder, "--out", out, "--post", str(client.base_url), *terms)
        run = face128(*command, API_KEY=KEY)
        assert run.returncode == 1, run.stderr
        assert failed(out) == {"1031_Nobody.jpg": "bad_image"}
        assert "2 members are enrolled" in run.stderr
        granted = client.post("/match_face", files={"image": photo("obama-2012.jpg")}).json()
        assert granted == {"status": "access_granted", "user_id": "1029", "name": "Barack Obama"}
        known = client.get("/people/1030").json()
        assert (known["consent"], known["expires_at"]) == ("form 9", "2099-01-31T00:00:00Z")
        without_post = face128("reencode", folder, "--out", out, *terms)
        assert (without_post.returncode, "--post" in without_post.stderr) == (2, True)
        stored = client.get("/records").json()["total_count"]
        assert stored == 3
        assert "2 members are enrolled" in face128(*command, API_KEY=KEY).stderr
        assert client.get("/records").json()["total_count"] == stored
        (folder / "1032_Twin of Joe.jpg").write_bytes(photo("biden-2010.jpg"))
        face128(*command, API_KEY=KEY)
        assert failed(out) == {"1031_Nobody.jpg": "bad_image", "1032_Twin of Joe.jpg": "duplicate"}
        north = {"X-Face-Collection": "north"}
        assert client.get("/records", headers=north).json()["total_count"] == 0
        face128(*command, "--collection", "north", API_KEY=KEY)  # who is done elsewhere is not done there
        assert client.get("/records", headers=north).json()["total_count"] == stored
        assert client.get("/records").json()["total_count"] == stored


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry-After": "3"}, 3),
        ({"Retry-After": "86400"}, MAX_RETRY_AFTER_S),
        ({"Retry-After": "nan"}, 0),
        ({"Retry-After": "Wed, 21 Oct 2026 07:28:00 GMT"}, 1),
        ({}, 1),
    ],
)
def test_a_busy_service_is_tried_again_within_a_minute(headers: dict[str, str], seconds: float) -> None:
    assert _retry_after_s(httpx.Response(503, headers=headers)) == seconds


@pytest.mark.parametrize("url", ["http://127.0.0.1:9", "ftp://127.0.0.1/"])
def test_a_service_that_is_not_there_is_one_sentence_and_exit_status_2(tmp_path: Path, url: str) -> None:
    folder, out = tmp_path / "photos", tmp_path / "enrolled.json"
    folder.mkdir()
    (folder / "1_Ann.jpg").write_bytes(photo("hopper-1984.jpg"))
    run = face128("reencode", folder, "--out", out, "--engine", "fake", "--post", url)
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1


def test_a_wrong_key_is_one_sentence_and_enrols_nobody(tmp_path: Path) -> None:
    with serving(
        {"X-API-Key": KEY}, API_KEY=KEY, FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path / "data")
    ) as client:
        folder = tmp_path / "photos"
        folder.mkdir()
        (folder / "1_Ann.jpg").write_bytes(photo("hopper-1984.jpg"))
        out, url = tmp_path / "enrolled.json", str(client.base_url)
        run = face128("reencode", folder, "--out", out, "--engine", "fake", "--post", url, API_KEY="another-key")
        assert run.returncode == 2
        assert len(run.stderr.splitlines()) == 1
        assert "key" in run.stderr
        assert not out.with_suffix(".journal.jsonl").exists(), "the key was tried after the work"
