"""One photo, both networks: ?companions= of the routes, what enrolment stores, and which networks decide."""

from __future__ import annotations

import base64
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from retail_models import REAL_MODEL, STEM, tiny_model
from serving import photo, serving, started

from face128.domain.fusion import fuse

ME, ME_EARLIER, OTHER = "obama-2012.jpg", "obama-2009.jpg", "biden-2010.jpg"
BOTH = {"FACE128_ENGINES": "dlib,retail"}
BY_BOTH = {"FACE128_DECISION_MODELS": "dlib+retail"}


@pytest.fixture(scope="module")
def deciding() -> Iterator[httpx.Client]:
    """Both networks decide; with the real files where they are."""
    with tempfile.TemporaryDirectory() as folder:
        model = REAL_MODEL if REAL_MODEL.is_dir() else tiny_model(Path(folder))
        with serving(**BOTH, **BY_BOTH, FACE128_RETAIL_MODEL=str(model)) as client:
            yield client


@pytest.fixture(scope="module")
def beside() -> Iterator[httpx.Client]:
    """dlib's network decides, the other is there; photos are worked on in threads."""
    with tempfile.TemporaryDirectory() as folder:
        model = tiny_model(Path(folder))
        with serving(**BOTH, FACE128_RETAIL_MODEL=str(model), FACE128_ISOLATION="thread") as client:
            yield client


@pytest.fixture(params=["deciding", "beside"])
def client(request: pytest.FixtureRequest) -> httpx.Client:
    service: httpx.Client = request.getfixturevalue(request.param)
    return service


def ask(client: httpx.Client, path: str, of: str = ME, **fields: str) -> Any:
    answer = client.post(path, files={"image": photo(of)}, data=fields)
    assert answer.status_code == 200, answer.text
    return answer.json()


def both(client: httpx.Client, name: str = ME) -> dict[str, Any]:
    """The descriptors of a photo by the models' names, dlib's first."""
    answer = ask(client, "/encode-image?companions=true", name)
    return {answer["model"]: answer["descriptor"], **answer["companions"]}


def distance(model: str, one: dict[str, Any], other: dict[str, Any]) -> float:
    a, b = ([np.array(of[each]) for each in model.split("+")] for of in (one, other))
    return float(np.linalg.norm(fuse(*a) - fuse(*b) if len(a) > 1 else a[0] - b[0]))


@pytest.mark.parametrize("query", ["", "&num_jitters=2", "&passes=mirror"])
def test_a_companions_descriptor_is_the_one_of_its_own_engine(client: httpx.Client, query: str) -> None:
    alone = [ask(client, f"/encode-image?engine={name}{query}") for name in ("dlib", "retail")]
    for (first, second), engine in zip((alone, alone[::-1]), ("dlib", "retail"), strict=True):
        answer = ask(client, f"/encode-image?companions=true&engine={engine}{query}")
        assert answer.pop("companions") == {second["model"]: second["descriptor"]}
        assert answer == first  # without its companions the answer is as ever
    assert [len(each["descriptor"]) for each in alone] == [128, 256]
    assert np.linalg.norm(alone[1]["descriptor"]) == pytest.approx(1, abs=1e-6)


def test_every_route_that_describes_photos_gives_the_same(client: httpx.Client) -> None:
    expected = {name: both(client, name) for name in (ME, OTHER)}
    names = [ME, OTHER] * 5
    images = [base64.b64encode(photo(name)).decode() for name in names]
    batch = client.post("/batch-extract?companions=true", json={"images": [*images[:9], "no photo", images[9]]}).json()
    assert (batch["successful"], batch["failed"]) == (10, 1)
    good = [result for result in batch["results"] if result["face_detected"]]
    assert [{batch["model"]: each["embedding"], **each["companions"]} for each in good] == [
        expected[name] for name in names
    ]
    assert "companions" not in batch["results"][9]
    extracted = ask(client, "/extract-embedding?companions=true")
    assert {extracted["model"]: extracted["embedding"], **extracted["companions"]} == expected[ME]


def test_they_are_not_there_unless_they_are_asked_for(client: httpx.Client) -> None:
    for query in ("", "?companions=false"):
        assert "companions" not in ask(client, f"/encode-image{query}")
        assert "companions" not in ask(client, f"/extract-embedding{query}")
        batch = client.post(f"/batch-extract{query}", json={"images": [base64.b64encode(photo(ME)).decode()]}).json()
        assert "companions" not in batch["results"][0]


def test_eight_clients_at_once_get_right_answers(client: httpx.Client) -> None:
    expected = {name: both(client, name) for name in (ME, OTHER)}
    names = [ME, OTHER] * 6
    with ThreadPoolExecutor(8) as clients:
        assert list(clients.map(lambda name: both(client, name), names)) == [expected[name] for name in names]


PATHS = ["encode-image", "extract-embedding", "batch-extract", "match_face", "records/match", "verify/44"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("value", ["", "2", "retail", "dlib,retail"])
def test_another_value_is_refused(deciding: httpx.Client, path: str, value: str) -> None:
    body: dict[str, Any] = {"json": {"images": []}} if path == "batch-extract" else {"files": {"image": photo(ME)}}
    answer = deciding.post(f"/{path}?companions={value}", **body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert answer.json()["field"] == "companions"


def test_an_engine_that_looks_at_other_faces_has_no_companions(fake_service: httpx.Client) -> None:
    assert ask(fake_service, "/encode-image?companions=true")["companions"] == {}
    assert ask(fake_service, "/extract-embedding?companions=true")["companions"] == {}


@pytest.fixture(scope="module")
def enrolled(deciding: httpx.Client) -> httpx.Client:
    """This person, and two others as records."""
    ask(deciding, "/enroll_faces/44", ME_EARLIER, name="Barack Obama")
    ask(deciding, "/records", OTHER, name="Joe Biden")
    ask(deciding, "/records?engine=retail", "hopper-1984.jpg", name="Grace Hopper")
    return deciding


@pytest.mark.parametrize(("query", "of_models"), [("", 2), ("companions=true", 2), ("companions=false", 1)])
@pytest.mark.parametrize("engine", ["dlib", "retail"])
def test_a_photo_is_recognised_by_all_networks_that_look_at_it(
    enrolled: httpx.Client, query: str, of_models: int, engine: str
) -> None:
    probe, member = both(enrolled), both(enrolled, ME_EARLIER)
    dlib, retail = probe
    models = [dlib, retail] if of_models == 2 else [retail if engine == "retail" else dlib]
    model, query = "+".join(models), f"engine={engine}&{query}"
    expected = pytest.approx(distance(model, probe, member), abs=1e-6)
    if len(models) == 1 and engine == "retail":
        expected = pytest.approx(1 - np.dot(probe[retail], member[retail]), abs=1e-6)
    found = ask(enrolled, f"/match_face?explain=true&{query}")
    assert (found["model"], found["distance"], found["models"]) == (model, expected, models)
    verified = ask(enrolled, f"/verify/44?{query}")
    assert (verified["model"], verified["distance"]) == (model, expected)
    assert verified["verified"] == (verified["distance"] <= verified["threshold"])
    if REAL_MODEL.is_dir():
        assert (found["status"], found["user_id"], verified["verified"]) == ("access_granted", "44", True)
        matched = ask(enrolled, f"/records/match?{query}")
        assert (matched["best_match"]["name"], matched["best_match"]["distance"]) == ("Barack Obama", expected)


def test_an_enrolment_by_either_engine_keeps_both(enrolled: httpx.Client) -> None:
    for name, person in ((OTHER, "Joe Biden"), ("hopper-1984.jpg", "Grace Hopper")):
        for engine in ("dlib", "retail"):
            for query in ("", "companions=false"):
                found = ask(enrolled, f"/records/match?engine={engine}&{query}", name)["best_match"]
                assert (found["name"], found["distance"]) == (person, pytest.approx(0, abs=1e-6))


def test_descriptors_of_both_networks_are_the_same_probe_as_the_photo(enrolled: httpx.Client) -> None:
    by_photo = ask(enrolled, "/match_face?explain=true")
    body = {"descriptors": both(enrolled)}
    found = enrolled.post("/match?explain=true", json=body).json()
    assert {name: found[name] for name in ("models", "model", "distance", "threshold")} == {
        name: by_photo[name] for name in ("models", "model", "distance", "threshold")
    }
    verified = enrolled.post("/verify/44", json=body).json()
    assert verified == ask(enrolled, "/verify/44")
    dlib, retail = body["descriptors"]
    for threshold, accepted in ((1e-9, False), (2, True)):
        limits = {f"{dlib}+{retail}": threshold, dlib: 1}
        answer = enrolled.post("/verify/44", json={**body, "threshold": limits}).json()
        assert (answer["verified"], answer["threshold"]) == (accepted, threshold)
    number = enrolled.post("/verify/44", json={**body, "threshold": 1e-9}).json()  # for dlib's, which does not decide
    assert number == verified
    with_form = enrolled.post("/verify/44", files={"image": photo(ME)}, data={"threshold": f'{{"{dlib}+{retail}": 2}}'})
    assert with_form.json()["threshold"] == 2
    for wrong in ({"nobody": 1}, {dlib: 3}, {}, "x", [1]):
        answer = enrolled.post("/verify/44", json={**body, "threshold": wrong})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), wrong
    both_at_once = {**body, "image_base64": base64.b64encode(photo(ME)).decode()}
    assert enrolled.post("/verify/44", json=both_at_once).json()["code"] == "invalid_request"


def test_metrics_tell_the_models_apart(enrolled: httpx.Client) -> None:
    dlib, retail = both(enrolled)
    ask(enrolled, "/match_face")
    text = enrolled.get("/metrics").text
    assert f'face128_engine_info{{engine="retail",model="{retail}",pipeline="hog-fast5/' in text
    assert f'face128_match_distance_count{{model="{dlib}+{retail}"' in text
    assert 'model="other"' not in text


def companion_stages(client: httpx.Client) -> int:
    lines = client.get("/metrics").text.splitlines()
    counts = [line for line in lines if line.startswith('face128_stage_duration_seconds_count{stage="companions"}')]
    return int(float(counts[0].split()[1])) if counts else 0


def test_where_dlib_decides_the_second_network_sees_enrolments_and_no_probes(beside: httpx.Client) -> None:
    before = companion_stages(beside)
    ask(beside, "/enroll_faces/44", ME_EARLIER, name="Barack Obama")
    ask(beside, "/records", OTHER, name="Joe Biden")
    assert companion_stages(beside) == before + 2
    for path in ("/match_face?explain=true", "/records/match", "/verify/44"):
        ask(beside, path)
    assert companion_stages(beside) == before + 2
    found = ask(beside, "/match_face?explain=true&companions=true")
    assert companion_stages(beside) == before + 3
    assert (found["model"], found["models"]) == ("dlib-resnet-v1", ["dlib-resnet-v1"])
    # It was enrolled with both: it can be found by the other network as well.
    assert ask(beside, "/verify/44?engine=retail", ME_EARLIER)["distance"] == pytest.approx(0, abs=1e-6)
    assert "decision_models" not in beside.get("/ready").json()


def test_ready_and_health_tell_what_is_loaded(deciding: httpx.Client) -> None:
    ready = deciding.get("/ready").json()
    assert (ready["engines"], ready["decision_models"]) == ({"dlib": "ready", "retail": "ready"}, "ready")
    licences = deciding.get("/health").json()["licences"]
    assert list(licences) == list(both(deciding))


def test_a_damaged_second_network_keeps_nobody_out(tmp_path: Path) -> None:
    """The service says what is missing, and dlib's network decides."""
    weights = tiny_model(tmp_path / "model") / f"{STEM}.bin"
    weights.write_bytes(weights.read_bytes()[:-1])
    with open(tmp_path / "log", "w+b") as log:
        settings = {**BOTH, **BY_BOTH, "FACE128_RETAIL_MODEL": str(weights), "FACE128_DATA": str(tmp_path / "data")}
        with (
            started(stderr=log, **settings) as (_, port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            ready = client.get("/ready").json()
            assert ready["engines"]["dlib"] == "ready"
            assert weights.name in ready["engines"]["retail"]
            sentence = (
                "FACE128_DECISION_MODELS=dlib+retail needs the engine retail, which could not be loaded. "
                "Until then photos are described by dlib."
            )
            assert ready["decision_models"] == sentence
            assert ask(client, "/encode-image?companions=true")["companions"] == {}
            ask(client, "/enroll_faces/44", ME_EARLIER, name="Barack Obama")
            found = ask(client, "/match_face?explain=true")
            assert (found["user_id"], found["model"]) == ("44", "dlib-resnet-v1")
            refused = client.post("/encode-image?engine=retail", files={"image": photo(ME)})
            assert (refused.status_code, refused.json()["code"]) == (503, "not_ready")
            log.seek(0)
            assert sentence in log.read().decode()
