"""/metrics over real HTTP, read by Prometheus's own parser: the numbers are those of the requests that were sent."""

from __future__ import annotations

import math
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from fake_photos import fake_photo
from liveness import until
from prometheus_client.parser import text_string_to_metric_families
from serving import photo, serving

from face128 import api_keys
from face128.api.metrics.multiprocess import METRICS_FOLDER_VARIABLE

ADMIN = "the-key-of-prometheus-" + "x" * 20
STAGES = ("decode", "detect", "crop", "describe", "search")
BACKEND = "the-key-of-the-backend-" + "x" * 20


def samples(client: httpx.Client, headers: dict[str, str] | None = None) -> dict[str, float]:
    """Every sample, by name and labels: "name|label=value"."""
    answer = client.get("/metrics", headers=headers)
    assert answer.status_code == 200
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    return {
        sample.name + "".join(f"|{k}={v}" for k, v in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }


def increases(before: dict[str, float], after: dict[str, float]) -> dict[str, float]:
    return {name: value - before.get(name, 0) for name, value in after.items() if value != before.get(name, 0)}


def descriptor_at(distance: float) -> list[float]:
    return [distance] + [0.0] * 127


def ask(client: httpx.Client, *distances: float, **more: object) -> httpx.Response:
    members = [{"regNo": i, "name": "n", "descriptor": descriptor_at(distance)} for i, distance in enumerate(distances)]
    return client.post("/match", json={"descriptor": descriptor_at(0.0), "enrolled": members, **more})


@pytest.fixture(scope="module")
def counted() -> Iterator[httpx.Client]:
    with serving(FACE128_ENGINES="fake") as client:
        yield client


def test_requests_are_counted_by_template_and_code(counted: httpx.Client) -> None:
    before = samples(counted)
    for name in ("Vicky", "nobody/at/all", "x"):
        assert counted.delete(f"/enroll_faces/{name}").status_code == 404
    counted.get("/records?skip=-1")
    counted.get("/somewhere/else")
    counted.request("PROPFIND", "/match")  # WebDAV: known to the HTTP parser, to no route
    new = increases(before, samples(counted))
    counts = {name: value for name, value in new.items() if name.startswith("face128_requests_total")}
    assert counts == {
        "face128_requests_total|code=404|method=DELETE|route=/enroll_faces/{user_id:path}": 3,
        "face128_requests_total|code=422|method=GET|route=/records": 1,
        "face128_requests_total|code=404|method=GET|route=-": 1,
        "face128_requests_total|code=405|method=other|route=/match": 1,
        "face128_requests_total|code=200|method=GET|route=/metrics": 1,
    }
    assert new["face128_request_duration_seconds_count|method=DELETE|route=/enroll_faces/{user_id:path}"] == 3
    assert new["face128_errors_total|code=not_found"] == 4


def test_what_callers_choose_makes_no_new_series(counted: httpx.Client) -> None:
    ask(counted, 0.2, model="insightface-invented-01234567")
    probe = {"descriptor": [0.1] * 512, "model": "insightface-invented-01234567"}
    member = {"regNo": 1, "name": "n", "descriptor": [0.1] * 512, "model": "insightface-invented-01234567"}
    assert counted.post("/match", json={**probe, "enrolled": [member]}).json()["regNo"] == 1
    counted.get("/invented-path", headers={"X-Request-ID": "invented-id"})
    series = samples(counted)
    assert not [name for name in series if "invented" in name]
    assert series["face128_match_distance_count|model=other|result=match"] == 1


def test_decisions_and_their_distances(counted: httpx.Client) -> None:
    before = samples(counted)
    for distances in ((0.2, 0.3), (0.38,), (0.39,), ()):
        assert ask(counted, *distances).status_code == 200
    new = increases(before, samples(counted))
    assert new["face128_decisions_total|result=match"] == 2
    assert new["face128_decisions_total|result=no_match"] == 2
    base = "face128_match_distance"
    assert new[f"{base}_count|model=dlib-resnet-v1|result=match"] == 2
    assert math.isclose(new[f"{base}_sum|model=dlib-resnet-v1|result=match"], 0.58)
    assert new[f"{base}_count|model=dlib-resnet-v1|result=no_match"] == 1
    # The threshold is a bound of the histogram: matches lie within it, others beyond.
    assert new[f"{base}_bucket|le=0.38|model=dlib-resnet-v1|result=match"] == 2
    assert f"{base}_bucket|le=0.38|model=dlib-resnet-v1|result=no_match" not in new
    assert new["face128_stage_duration_seconds_count|stage=search"] == 4


def test_list_cache_hits_and_misses_are_counted(counted: httpx.Client) -> None:
    before = samples(counted)
    for list_of in (200, 200, 300, 200, 10):
        ask(counted, *(distance / 1000 for distance in range(list_of)))
    counted.post("/match", json={"descriptor": descriptor_at(9.0), "more": "x" * 2**17})  # the gallery is asked
    new = increases(before, samples(counted))
    assert (new["face128_lists_total|known=yes"], new["face128_lists_total|known=no"]) == (2, 2)


def test_decisions_of_the_gallery_are_counted_too(counted: httpx.Client) -> None:
    counted.post("/enroll_faces/44", data={"name": "Vicky"}, files={"image": fake_photo(1)})
    before = samples(counted)
    assert counted.post("/match_face", files={"image": fake_photo(1)}).json()["status"] == "access_granted"
    assert counted.post("/match_face", files={"image": fake_photo(2)}).json()["status"] == "access_denied"
    assert counted.post("/records/match", files={"image": fake_photo(1)}).json()["recognized"] is True
    probe = {"descriptor": descriptor_at(9.0), "model": "dlib-resnet-v1"}
    assert counted.post("/match", json=probe).json() == {"match": False}
    new = increases(before, samples(counted))
    assert (new["face128_decisions_total|result=match"], new["face128_decisions_total|result=no_match"]) == (2, 2)
    assert new["face128_match_distance_count|model=fake|result=match"] == 2


@pytest.mark.parametrize("isolation", ["process", "thread"])
def test_a_photo_is_counted_once_a_stage_by_either_isolation(isolation: str) -> None:
    with serving(FACE128_ISOLATION=isolation) as client:
        before = samples(client)
        one, several, broken = photo("obama-2012.jpg"), photo("collins-1999.png"), photo("obama-2012.jpg")[:9000]
        assert client.post("/encode-image", files={"image": one}).status_code == 200
        assert client.post("/detect", files={"image": several}).json()["face_count"] == 2
        assert client.post("/encode-image", files={"image": several}).status_code == 422
        assert client.post("/encode-image", files={"image": broken}).status_code == 400
        after = samples(client)
        new = increases(before, after)
        # The damaged photo is refused before detection.
        stages = {stage: new.get(f"face128_stage_duration_seconds_count|stage={stage}") for stage in STAGES}
        assert stages == {"decode": 4, "detect": 3, "crop": 1, "describe": 1, "search": None}
        assert (new["face128_faces_per_image_count"], new["face128_faces_per_image_sum"]) == (3, 5)
        assert new["face128_errors_total|code=multiple_faces"] == 1
        # The times exclude nested stages: their sum is below that of the requests.
        spent = sum(new.get(f"face128_stage_duration_seconds_sum|stage={stage}", 0) for stage in STAGES)
        requests = sum(v for k, v in new.items() if k.startswith("face128_request_duration_seconds_sum"))
        assert 0 < spent < requests
        assert after["face128_queue_jobs|pool=images"] == 0
        (engine,) = (name for name in after if name.startswith("face128_engine_info"))
        assert "model=dlib-resnet-v1" in engine
        if Path("/proc/self/smaps_rollup").exists():
            assert 50e6 < after["face128_memory_bytes"] < 2e9
            assert after["face128_open_files"] > 5


def test_metrics_needs_the_scope_admin_and_keys_are_counted_by_name() -> None:
    entries = [
        api_keys.key_from_secret("prometheus", ADMIN, "admin").entry,
        api_keys.key_from_secret("backend", BACKEND, "match").entry,
    ]
    with serving(FACE128_ENGINES="fake", FACE128_API_KEYS=",".join(entries)) as client:
        assert client.get("/metrics").status_code == 401
        assert client.get("/metrics", headers={"Authorization": f"Bearer {BACKEND}"}).json()["scope"] == "admin"
        client.headers["X-API-Key"] = BACKEND
        ask(client, 0.1)
        ask(client, 0.1)
        series = samples(client, {"Authorization": f"Bearer {ADMIN}"})
        assert series["face128_key_requests_total|key=backend"] == 2
        assert series["face128_key_requests_total|key=prometheus"] == 1
        assert (series["face128_errors_total|code=unauthorized"], series["face128_errors_total|code=forbidden"]) == (
            1,
            1,
        )


def test_two_workers_are_added_up_and_what_a_dead_one_counted_stays() -> None:
    calls = 40
    with serving(workers=2, FACE128_ENGINES="fake") as client:

        def send() -> None:
            for _ in range(calls):  # a new connection each, so that both workers get some
                assert ask_on_new_connection(client).status_code == 200

        folder = metrics_folder_of(client)
        until(lambda: len(list(folder.glob("gauge_livesum_*.db"))) == 2)  # one may start later
        send()
        series = samples(client)
        match = "face128_requests_total|code=200|method=POST|route=/match"
        assert series[match] == series["face128_decisions_total|result=match"] == calls
        assert series["face128_info|version=" + version()] == 1
        workers = {int(file.stem.rpartition("_")[2]) for file in folder.glob("gauge_livesum_*.db")}
        assert len(workers) == 2
        dead = max(workers)
        os.kill(dead, signal.SIGKILL)
        deadline = time.monotonic() + 30
        while len(list(folder.glob("counter_*.db"))) < 3:  # its successor has started
            assert time.monotonic() < deadline
            time.sleep(0.1)
        series = samples(client)
        assert series[match] == calls
        assert not list(folder.glob(f"gauge_live*_{dead}.db"))
        send()
        assert samples(client)[match] == 2 * calls
    assert not folder.exists()


def ask_on_new_connection(client: httpx.Client) -> httpx.Response:
    with httpx.Client(base_url=client.base_url, timeout=60) as fresh:
        return ask(fresh, 0.1)


def version() -> str:
    from face128 import __version__

    return __version__


def metrics_folder_of(client: httpx.Client) -> Path:
    """The folder of the service on this port, from the environment of one of its worker processes."""
    port = str(client.base_url.port)
    for process in psutil.process_iter(["environ"]):
        variables = process.info["environ"] or {}
        if variables.get("PORT") == port and METRICS_FOLDER_VARIABLE in variables:
            return Path(variables[METRICS_FOLDER_VARIABLE])
    raise AssertionError("no worker was found")
