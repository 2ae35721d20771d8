"""Several workers and several services on one database, databases that go away and come back."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import database_servers
import httpx
import numpy as np
import pytest
from fake_photos import create_record, fake_photo
from people import enrol, photo_descriptor, space_search
from serving import serving

from face128.domain.model_card import DLIB
from face128.domain.probe import Probe
from face128.errors import DatabaseUnavailable
from face128.gallery.gallery import Gallery

ROUNDS = 63  # of enrol, match, delete, match from each side: 504 requests


def match(client: httpx.Client, image: bytes) -> str:
    # A new connection may reach any of the workers.
    answer = httpx.post(f"{client.base_url}/match_face", files={"image": image}, timeout=60)
    assert answer.status_code == 200, answer.text
    return str(answer.json().get("user_id", "nobody"))


def changed(change: Callable[[], httpx.Response]) -> httpx.Response:
    """The answer to a change. It may be refused only where the disk keeps another writer waiting for seconds."""
    deadline = time.monotonic() + 60
    while (answer := change()).status_code != 200:
        assert answer.json()["code"] == "gallery_busy", answer.text
        assert time.monotonic() < deadline
        time.sleep(int(answer.headers["Retry-After"]))
    return answer


def test_no_answer_is_stale_whichever_worker_or_service_gives_it(database_url: str) -> None:
    settings = {"FACE128_ENGINES": "fake", "FACE128_DATABASE_URL": database_url}
    with serving(workers=2, **settings) as one, serving(workers=2, **settings) as two:

        def side(number: int, mine: httpx.Client, other: httpx.Client) -> None:
            random = np.random.default_rng(number)
            for turn in range(ROUNDS):
                image = fake_photo(10_000 * (number + 1) + turn)
                created = changed(partial(create_record, mine, image, f"{number}-{turn}"))
                identifier = created.json()["record"]["id"]
                assert match(other, image) == identifier
                eraser = (mine, other)[random.integers(2)]
                changed(partial(eraser.delete, f"/records/{identifier}"))
                assert match((mine, other)[random.integers(2)], image) == "nobody"

        with ThreadPoolExecutor(2) as pool:
            for future in [pool.submit(side, 0, one, two), pool.submit(side, 1, two, one)]:
                future.result()
        assert one.get("/records").json() == two.get("/records").json() == {"total_count": 0, "records": []}


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_a_database_may_go_away_and_come_back(request: pytest.FixtureRequest, kind: str) -> None:
    server: database_servers.Server = request.getfixturevalue(kind)
    with serving(FACE128_ENGINES="fake", FACE128_DATABASE_URL=server.new_gallery()) as client:
        identifier = create_record(client, fake_photo(1)).json()["record"]["id"]
        server.stop()
        try:
            ready = client.get("/ready")
            assert (ready.status_code, ready.json()["code"], ready.json()["database"]) == (503, "gallery_away", "away")
            for answer in (
                create_record(client, fake_photo(2)),
                client.get("/records"),
                client.delete(f"/records/{identifier}"),
            ):
                assert (answer.status_code, answer.json()["code"]) == (503, "gallery_away")
                assert "database" in answer.json()["error"]
                assert "127.0.0.1" not in answer.text
            found = client.post("/records/match", files={"image": fake_photo(1)})
            assert (found.status_code, found.json()["face_detected"]) == (503, False)
            posted = {"descriptor": [0.0] * 128, "enrolled": []}
            assert client.post("/match", json=posted).json() == {"match": False}
        finally:
            server.start()
        assert client.get("/ready").json()["database"] == "ready"
        assert match(client, fake_photo(1)) == identifier
        assert create_record(client, fake_photo(2), "Jane Smith").status_code == 200


@pytest.mark.parametrize("kind", ["mariadb", "postgresql"])
def test_a_connection_that_breaks_during_a_search_is_reported_and_replaced(
    request: pytest.FixtureRequest, kind: str
) -> None:
    server: database_servers.Server = request.getfixturevalue(kind)
    gallery = Gallery(server.new_gallery())
    stored = enrol(gallery, "44", photo_descriptor("obama-2012.jpg"))[0]

    def breaking(*arguments: Any) -> Any:
        server.stop()
        server.start()
        return faces(*arguments)

    searched = space_search(gallery)
    faces, searched._faces = searched._faces, breaking
    with pytest.raises(DatabaseUnavailable):
        gallery.search(Probe.of(DLIB, stored.descriptor), 1)
    searched._faces = faces
    assert gallery.search(Probe.of(DLIB, stored.descriptor), 1)[0].record.id == stored.id
    gallery.close()


def test_a_writer_that_waits_too_long_gets_an_error(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("face128.gallery.storage.database.LOCK_TIMEOUT_S", 1)
    one, other = Gallery(database_url), Gallery(database_url)
    with one.database.writing(), pytest.raises(DatabaseUnavailable):
        enrol(other, "44", photo_descriptor("obama-2012.jpg"))
    assert enrol(other, "44", photo_descriptor("obama-2012.jpg"))
    for gallery in (one, other):
        gallery.close()


def test_a_service_that_starts_before_its_database_finds_it_later(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.write_text("in the way")
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(folder)) as client:
        assert client.get("/records").status_code == 503
        folder.unlink()
        assert create_record(client, fake_photo(1)).status_code == 200
        assert client.get("/ready").json()["database"] == "ready"


def test_a_service_without_a_gallery_opens_none(tmp_path: Path) -> None:
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path)) as client:
        client.post("/match", json={"descriptor": [0.0] * 128, "enrolled": []})
        assert client.get("/ready").json() == {"status": "ready", "engines": {"fake": "ready"}}
        assert not list(tmp_path.iterdir())


def test_an_existing_gallery_is_loaded_at_the_start(tmp_path: Path) -> None:
    for _ in range(2):
        with serving(FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path)) as client:
            create_record(client, fake_photo(1))
            deadline = time.monotonic() + 30
            while "database" not in client.get("/ready").json():
                assert time.monotonic() < deadline
