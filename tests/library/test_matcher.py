"""face128.Matcher against POST /match of a real service: the same answers and the same errors."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import numpy as np
import pytest
from match_bodies import GOOD, as_base64, as_object

import face128
from face128.encoding.encode import Encoding
from face128.engines.base import Face
from face128.errors import Face128Error, InvalidDescriptor, InvalidRequest, ModelMismatch
from face128.matching.conformal import Cohort
from face128.photos.photo import Photo

RANDOM = np.random.default_rng(128)
CROWD = RANDOM.normal(0, 0.028, (150, 128))
PROBES = np.concatenate([CROWD[:20] + RANDOM.normal(0, 0.02, (20, 128)), RANDOM.normal(0, 0.03, (20, 128))])
FORMS = {
    "list": list,
    "object": as_object,
    "base64": as_base64,
    "JSON text": json.dumps,
}


def members(form: Any = list) -> list[dict[str, Any]]:
    return [{"regNo": i, "name": f"name {i}", "descriptor": form(row.tolist())} for i, row in enumerate(CROWD)]


def ask(client: httpx.Client, body: dict[str, Any], **query: Any) -> Any:
    return client.post("/match", json=body, params=query).json()


@pytest.mark.parametrize("form", FORMS)
def test_answers_are_those_of_the_service_in_every_form(fake_service: httpx.Client, form: str) -> None:
    enrolled = members(FORMS[form])
    matcher = face128.Matcher(enrolled, threshold=0.3)
    assert len(matcher) == len(enrolled)
    for probe in PROBES[::5].tolist():
        body = {"descriptor": FORMS[form](probe), "enrolled": enrolled, "threshold": 0.3}
        assert matcher.match(FORMS[form](probe)) == ask(fake_service, body)
        assert matcher.match(FORMS[form](probe), explain=True) == ask(fake_service, body, explain="true")


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_arrays_are_the_numbers_that_they_hold(fake_service: httpx.Client, dtype: Any) -> None:
    rows, probes = CROWD.astype(dtype), PROBES.astype(dtype)
    plain = [{"regNo": i, "name": None, "descriptor": row.tolist()} for i, row in enumerate(rows)]
    for make in (lambda row: row, list, tuple):  # a list of numpy's numbers
        arrays = [{"regNo": np.int64(i), "name": None, "descriptor": make(row)} for i, row in enumerate(rows)]
        matcher = face128.Matcher(arrays)
        for probe in probes[::8]:
            body = {"descriptor": probe.tolist(), "enrolled": plain}
            assert matcher.match(make(probe), explain=True) == ask(fake_service, body, explain="true")


@pytest.mark.parametrize(
    "decision",
    [
        {"rule": "cohort", "alpha": 0.02},
        {"rule": "cohort", "alpha": 0.05, "tail": "exact", "review_alpha": 0.3},
        {"rule": "threshold", "review_alpha": 0.1},
    ],
)
def test_each_rule_decides_as_in_the_service(fake_service: httpx.Client, decision: dict[str, Any]) -> None:
    matcher = face128.Matcher(members(), rule=decision)
    for probe in PROBES[::6].tolist():
        body = {"descriptor": probe, "enrolled": members(), "decision": decision}
        for explain in (False, True):
            assert matcher.match(probe, explain=explain) == ask(fake_service, body, explain=explain)


def test_a_rule_by_its_name_alone(fake_service: httpx.Client) -> None:
    matcher, body = face128.Matcher(members(), rule="cohort"), {"enrolled": members(), "decision": {"rule": "cohort"}}
    for probe in PROBES[::13].tolist():
        assert matcher.match(probe) == ask(fake_service, body | {"descriptor": probe})


def test_several_photos_templates_and_models(fake_service: httpx.Client) -> None:
    retail = RANDOM.normal(0, 1, (4, 256))
    enrolled = [
        {"regNo": "a", "name": "A", "descriptors": [CROWD[0].tolist(), CROWD[1].tolist()]},
        {
            "regNo": "b",
            "name": "B",
            "descriptors": {"dlib-resnet-v1": CROWD[2].tolist(), "retail-0095": retail[0].tolist()},
        },
        {"regNo": "c", "name": "C", "descriptor": CROWD[3].tolist(), "model": "faceapi-resnet-v1"},
        {"regNo": "d", "name": "D", "descriptor": None},
    ]
    probe = {"dlib-resnet-v1": CROWD[2].tolist(), "retail-0095": (retail[0] + 0.1).tolist()}
    for template in ("nearest", "mean"):
        matcher = face128.Matcher(enrolled, template=template)
        body = {"enrolled": enrolled, "template": template}
        expected = ask(fake_service, body | {"descriptors": probe}, explain="true")
        assert matcher.match(descriptors=probe, explain=True) == expected
        assert expected["regNo"] == "b"
        expected = ask(fake_service, body | {"descriptor": CROWD[0].tolist()}, explain="true")
        assert matcher.match(CROWD[0], explain=True) == expected


def encoding(descriptor: Any, model: str = "dlib-resnet-v1", **companions: Any) -> Encoding:
    photo = Photo.from_rgb(np.zeros((9, 9, 3), np.uint8))
    face = Face((0, 0, 9, 9), (), 1.0)
    named = {name.replace("_", "-"): np.asarray(each, np.float32) for name, each in companions.items()}
    return Encoding(np.asarray(descriptor, np.float32), model, face, 1, photo, companions=named)


def test_what_an_encoder_returned_is_a_probe_with_its_model(fake_service: httpx.Client) -> None:
    retail = np.ones(256, np.float32)
    enrolled = [
        {"regNo": 1, "name": "A", "descriptors": {"dlib-resnet-v1": CROWD[0].tolist(), "retail-0095": retail.tolist()}},
    ]
    matcher = face128.Matcher(enrolled, decision_models="dlib+retail")
    found = matcher.match(encoding(CROWD[0], retail_0095=retail), explain=True)
    assert (found["regNo"], found["model"]) == (1, "dlib-resnet-v1+retail-0095")
    alone = matcher.match(encoding(CROWD[0]), explain=True)
    body = {"descriptor": CROWD[0].astype(np.float32).tolist(), "enrolled": enrolled}
    assert alone == ask(fake_service, body, explain="true")
    with pytest.raises(ModelMismatch):
        face128.Matcher(members()).match(encoding(retail, "retail-0095"))


WRONG: dict[str, tuple[list[Any], Any, dict[str, Any]]] = {
    "short": ([], GOOD[:-1], {}),
    "infinite": ([{"regNo": 7, "name": "A", "descriptor": [1e39, *GOOD[1:]]}], [2e308, *GOOD[1:]], {}),
    "nested": ([{"regNo": 7, "name": "A", "descriptor": [GOOD[:64], GOOD[64:]]}], GOOD, {}),
    "half base64": ([{"regNo": 7, "name": "A", "descriptor": as_base64(GOOD)[:-2]}], GOOD, {}),
    "boolean": ([{"regNo": 7, "name": "A", "descriptor": [True, *GOOD[1:]]}], GOOD, {}),
    "no regNo": ([{"name": "A", "descriptor": GOOD}], GOOD, {}),
    "no member": ([7], GOOD, {}),
    "model": ([{"regNo": 7, "name": "A", "descriptor": GOOD, "model": "insightface-pack-01234567"}], GOOD, {}),
    "threshold": ([], GOOD, {"threshold": 3}),
    "rule": ([], GOOD, {"decision": {"rule": "guess"}}),
    "template": ([], GOOD, {"template": "median"}),
    "own model": ([], GOOD, {"model": "unknown"}),
    "few members": ([{"regNo": 7, "name": "A", "descriptor": GOOD}], GOOD, {"decision": {"rule": "cohort"}}),
}


@pytest.mark.parametrize("kind", WRONG)
def test_errors_are_those_of_the_service(fake_service: httpx.Client, kind: str) -> None:
    enrolled, probe, options = WRONG[kind]
    named = {"rule" if name == "decision" else name: value for name, value in options.items()}
    with pytest.raises(Face128Error) as caught:
        face128.Matcher(enrolled, **named).match(probe)
    body = json.dumps({"descriptor": probe, "enrolled": enrolled, **options}).replace("Infinity", "2e308")
    assert caught.value.body() == fake_service.post("/match", content=body).json()


@pytest.mark.parametrize(
    "array",
    [np.zeros((1, 128), np.float32), np.zeros(127, np.float32), np.full(128, np.nan), np.full(128, np.nan, "f4")],
)
def test_arrays_that_are_no_descriptor_are_refused(array: Any) -> None:
    with pytest.raises(InvalidDescriptor):
        face128.Matcher([]).match(array)
    with pytest.raises(InvalidDescriptor) as caught:
        face128.Matcher([{"regNo": 7, "name": "A", "descriptor": array}])
    assert caught.value.context == {"field": "enrolled[0].descriptor", "regNo": 7}


def test_no_members_and_no_probe() -> None:
    assert face128.Matcher([]).match(GOOD) == {"match": False}
    with pytest.raises(InvalidDescriptor):
        face128.Matcher([]).match()
    for wrong in ({"members": "ab"}, {"rule": None}, {"decision_models": "both"}, {"threshold": "0.3"}):
        with pytest.raises(InvalidRequest):
            face128.Matcher(**{"members": [], **wrong})
    assert face128.Matcher([], threshold=np.float64(0.3)).match(GOOD) == {"match": False}


def test_many_threads_get_the_answers_of_one_and_build_one_cohort(monkeypatch: pytest.MonkeyPatch) -> None:
    alone = face128.Matcher(members(), rule="cohort")
    expected = [alone.match(probe, explain=True) for probe in PROBES]
    shared = face128.Matcher(members(), rule="cohort")  # its cohort is not built yet
    built: list[Any] = []
    build = Cohort.of

    def counted(*arguments: Any) -> Cohort:
        built.append(arguments)
        return build(*arguments)

    monkeypatch.setattr(Cohort, "of", counted)
    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(lambda probe: shared.match(probe, explain=True), PROBES)) == expected
    assert len(built) == 1
