"""face128 audit: it finds each defect that was planted among 2,000 members, and nothing else."""

from __future__ import annotations

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

import dlib_truth
import httpx
import numpy as np
import pytest
from command_line import face128
from paths import FIXTURES
from serving import photo

from face128.domain.descriptors import from_base64, to_base64
from face128.jobs.audit.audit import audit, looks_like_faceapi
from face128.jobs.audit.close_pairs import BLOCK_ROWS, close_pairs


def people(count: int, dimension: int = 128) -> np.ndarray:
    """Descriptors of strangers: norms as dlib's, no two nearer than 1."""
    vectors = np.random.default_rng(0).normal(size=(count, dimension))
    return np.array(1.3 * vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def member(reg_no: Any, *vectors: Any) -> dict[str, Any]:
    values = [vector.tolist() if isinstance(vector, np.ndarray) else vector for vector in vectors]
    described = {"descriptors": values} if len(values) > 1 else {"descriptor": values[0]}
    return {"regNo": reg_no, "name": None, **described}


def moved(vector: np.ndarray, by: float) -> np.ndarray:
    direction = np.zeros_like(vector)
    direction[5] = by
    return np.array(vector + direction)


def found(members: object, **options: Any) -> set[tuple[str, tuple[Any, ...]]]:
    findings = audit(json.dumps(members).encode(), **options).findings
    return {(finding.kind, finding.members) for finding in findings if finding.kind != "origin"}


@pytest.fixture(scope="module")
def clean() -> list[dict[str, Any]]:
    """2,000 members, some with two photos."""
    vectors = people(2000)
    return [member(i, v, moved(v, 0.3)) if i % 10 == 0 else member(i, v) for i, v in enumerate(vectors)]


def test_a_clean_set_has_no_finding(clean: list[dict[str, Any]]) -> None:
    assert found(clean) == set()
    assert not audit(json.dumps(clean[:9]).encode()).needs_person


def test_each_planted_defect_is_found_and_nothing_else(clean: list[dict[str, Any]]) -> None:
    vectors = people(2000)
    members = list(clean)
    members[3] = member(3, vectors[3].tolist()[:-1])
    members[4] = member(4, [float("nan"), *vectors[4].tolist()[1:]])
    members[5] = member(5, to_base64(np.full(128, np.inf, np.float32)))
    members[6] = member(6, np.zeros(128))
    members[7] = member(7, None)
    members[11] = member(11, vectors[1503])
    members[12] = member(12, moved(vectors[1999], 0.379))
    members[13] = member(13, moved(vectors[1998], 0.381))
    members[14] = member(14, vectors[14], moved(vectors[14], 0.39))
    members[15] = member(15, vectors[15]) | {"model": "no-such-model"}
    members[16] = member(None, vectors[16])
    members[17] = member(17, vectors[17], moved(vectors[17], 0.1), vectors[18].tolist()[:5])
    members += [member(21, moved(vectors[21], 0.5)), member("22", vectors[22])]
    assert found(members) == {
        ("invalid_descriptor", (3,)),
        ("invalid_descriptor", (4,)),
        ("invalid_descriptor", (5,)),
        ("all_zero", (6,)),
        ("not_enrolled", (7,)),
        ("duplicate", (11, 1503)),
        ("too_near", (12, 1999)),
        ("perhaps_one_person", (13, 1998)),  # beyond the threshold, and much nearer than any other two
        ("too_far", (14,)),
        ("unknown_model", (15,)),
        ("invalid_member", (None,)),
        ("invalid_descriptor", (17,)),
        ("too_far", (21,)),  # a member who is listed twice is one person
        ("duplicate", (22, "22")),
    }


def test_a_photo_that_is_not_the_members_own_is_named_with_its_place(clean: list[dict[str, Any]]) -> None:
    vectors = people(2000)
    own = [moved(vectors[40], by) for by in (0, 0.1, 0.2)]
    members = [*clean[:40], member(40, own[0], vectors[41], *own[1:]), member(42, vectors[42], vectors[43])]
    members += [member(50, moved(vectors[50], 0.1)), member(50, vectors[50]), member(50, vectors[51])]
    findings = audit(json.dumps(members).encode()).findings
    named = {each.members: each.detail for each in findings if each.kind == "inconsistent_person"}
    assert named.keys() == {(40,), (42,), (50,)}
    assert named[40,].startswith("enrolled[40].descriptors[1]: 1.")
    assert named[50,].startswith("enrolled[44].descriptor: 1.")
    assert "no majority" in named[42,]


def test_a_threshold_of_ones_own_is_obeyed(clean: list[dict[str, Any]]) -> None:
    assert {kind for kind, _ in found(clean[:50], threshold=0.2)} == {"too_far"}


def test_only_what_needs_a_person_sets_the_exit_status(tmp_path: Path, clean: list[dict[str, Any]]) -> None:
    (tmp_path / "good.json").write_text(json.dumps([*clean[:30], member(99, None)]))
    (tmp_path / "bad.json").write_text(
        json.dumps({"model": "dlib-resnet-v1", "enrolled": [*clean[:3], clean[2] | {"regNo": 7}]})
    )
    good, bad = (face128("audit", tmp_path / name, "--json") for name in ("good.json", "bad.json"))
    assert (good.returncode, bad.returncode) == (0, 1)
    assert json.loads(good.stdout)["counts"]["not_enrolled"] == 1
    assert json.loads(bad.stdout)["findings"][0]["members"] == [2, 7]
    table = face128("audit", tmp_path / "bad.json")
    assert table.returncode == 1
    assert "One photo is enrolled under two numbers (1)" in table.stdout


@pytest.mark.parametrize("text", ["no json", "7", '{"enrolled": 7}'])
def test_what_is_no_list_of_members_is_one_sentence_and_exit_status_2(tmp_path: Path, text: str) -> None:
    (tmp_path / "e.json").write_text(text)
    run = face128("audit", tmp_path / "e.json")
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1


@pytest.mark.parametrize("metric", ["euclidean", "cosine"])
def test_near_pairs_are_those_of_brute_force(metric: Any) -> None:
    vectors = people(
        BLOCK_ROWS + 150, dimension=6
    )  # so few dimensions that many are near, across the border of a block
    owners = np.arange(len(vectors)) % 30
    limit = 0.4 if metric == "euclidean" else 0.05
    unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    expected: dict[tuple[int, int], float] = {}
    for i in range(len(vectors)):
        apart = np.linalg.norm(vectors - vectors[i], axis=1) if metric == "euclidean" else 1 - unit @ unit[i]
        for j in np.flatnonzero(apart <= limit).tolist():
            key = int(owners[i]), int(owners[j])
            if key[0] < key[1]:
                expected[key] = min(expected.get(key, np.inf), float(apart[j]))
    pairs = close_pairs(vectors, owners, metric, limit)
    assert len(expected) > 50
    assert {(first, second) for first, second, _ in pairs} == expected.keys()
    for first, second, apart in pairs:
        assert apart == pytest.approx(expected[first, second], abs=1e-6)
    assert [apart for *_, apart in pairs] == sorted(apart for *_, apart in pairs)


def test_dlibs_own_descriptors_are_told_to_be_dlibs(service: httpx.Client) -> None:
    theirs = np.concatenate([dlib_truth.descriptors(name)[:1] for name in dlib_truth.ALL_PHOTOS])
    served = [
        service.post("/encode-image?num_jitters=5", files={"image": photo(name)}).json()
        for name in dlib_truth.ONE_FACE_PHOTOS
    ]
    assert not looks_like_faceapi(np.concatenate([theirs, [answer["descriptor"] for answer in served]])).any()


GOLDEN = FIXTURES / "faceapi" / "golden.json"


def test_face_api_js_own_descriptors_are_told_to_be_its_own() -> None:
    golden = json.loads(GOLDEN.read_text())
    faces = [face for ways in golden.values() for found in ways.values() if isinstance(found, list) for face in found]
    assert len(faces) >= 20
    assert looks_like_faceapi(np.array([from_base64(face["descriptor"]) for face in faces])).all()


def test_descriptors_that_look_foreign_inform_and_do_not_alarm(clean: list[dict[str, Any]]) -> None:
    weights = np.array(json.loads(files("face128.jobs.audit").joinpath("origin.json").read_text())["weights"])
    foreign = member(1, 1.3 * weights / np.linalg.norm(weights))
    result = audit(json.dumps([foreign]).encode())
    assert [finding.kind for finding in result.findings] == ["origin"]
    assert not result.needs_person


def test_a_loose_threshold_alone_accuses_nobody() -> None:
    vectors = people(40, dimension=256)
    vectors[:, 7:] = 0  # so few directions that many are within retail's threshold
    pairs = close_pairs(vectors, np.arange(40), "cosine", 0.65)
    members = [
        {"regNo": i, "name": None, "descriptors": {"retail-0095": row.tolist()}} for i, row in enumerate(vectors)
    ]
    spoiling = {each for each in found(members) if each[0] in ("too_near", "perhaps_one_person")}
    assert len(pairs) > 100
    assert len(spoiling) <= 2
    members.append({"regNo": "again", "descriptors": {"retail-0095": moved(vectors[3], 0.02).tolist()}})
    assert ("too_near", (3, "again")) in found(members)


def test_members_with_both_networks_are_told_once_and_by_both() -> None:
    vectors, others = people(40), people(40, dimension=256)
    listed = [
        {"regNo": i, "name": f"N{i}", "descriptors": {"dlib-resnet-v1": [a.tolist()], "retail-0095": [b.tolist()]}}
        for i, (a, b) in enumerate(zip(vectors, others, strict=True))
    ]
    twin = {"dlib-resnet-v1": moved(vectors[3], 0.3).tolist(), "retail-0095": moved(others[3], 0.1).tolist()}
    result = audit(json.dumps([*listed, {"regNo": 99, "name": "Again", "descriptors": twin}]).encode())
    (finding,) = [each for each in result.findings if each.kind != "origin"]
    assert (finding.kind, finding.members) == ("too_near", (3, 99))
    assert [risk.card.name for risk in result.stranger_risks] == [
        "dlib-resnet-v1+retail-0095",
        "dlib-resnet-v1",
        "retail-0095",
    ]
    assert result.descriptor_count == 82
    alone = [{"regNo": 100, "descriptors": {"retail-0095": others[5].tolist()}}]
    alone += [{"regNo": 101, "descriptor": vectors[6].tolist()}]
    kinds = {each.kind for each in audit(json.dumps([*listed[:5], *alone]).encode()).findings}
    assert "mixed_models" in kinds, "the last two cannot be compared"
    assert "mixed_models" not in {each.kind for each in audit(json.dumps([*listed[:5], alone[1]]).encode()).findings}
