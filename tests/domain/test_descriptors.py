from __future__ import annotations

import base64
import binascii
import json
import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from dlib_truth import ONE_FACE_PHOTOS, descriptors
from face_recognition import face_distance
from hypothesis import given, settings
from hypothesis import strategies as st

from face128.domain.descriptors import distance, distances, from_base64, parse, to_base64
from face128.errors import InvalidDescriptor

float32 = st.floats(width=32, allow_nan=False, allow_infinity=False)
doubles = st.floats(-1e100, 1e100)
pairs = st.lists(st.tuples(doubles, doubles), min_size=1, max_size=140)


def in_index_order(a: list[float], b: list[float]) -> float:
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total += (x - y) * (x - y)
    return math.sqrt(total)


@settings(deadline=None)
@given(st.lists(float32, min_size=1, max_size=140), st.randoms())
def test_every_form_of_a_descriptor_is_the_same_numbers(numbers: list[float], random: Any) -> None:
    keyed = list(enumerate(numbers))
    random.shuffle(keyed)
    as_object = json.loads(json.dumps(dict(keyed)))
    as_base64 = base64.b64encode(np.array(numbers, "<f4").tobytes()).decode()
    url_safe = as_base64.replace("+", "-").replace("/", "_")
    for form in (numbers, as_object, as_base64, url_safe, url_safe.rstrip("=")):
        if form == as_base64.rstrip("=") != as_base64:
            continue  # without a letter of the URL-safe alphabet it is the standard one, which has padding
        vector = parse(form, len(numbers))
        assert vector.dtype == np.float64
        assert vector.tolist() == numbers


@settings(deadline=None)
@given(st.lists(st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(2**63), 2**64), min_size=1))
def test_json_numbers_keep_all_their_bits(numbers: list[float]) -> None:
    assert parse(numbers, len(numbers)).tolist() == [float(number) for number in numbers]


@pytest.mark.parametrize(
    "value",
    [
        None, True, 0.1, "", "AAAAAAAA", {}, [], [[1.0, 2.0, 3.0]], [1.0, 2.0], [1.0, 2.0, 3.0, 4.0], [1.0, 2.0, None],
        [1.0, 2.0, True], [1.0, 2.0, "3"], [1.0, 2.0, [3.0]], [1.0, 2.0, math.nan], [1.0, 2.0, -math.inf],
        [1.0, 2.0, 10**400], {"0": 1.0, "1": 2.0}, {"0": 1.0, "1": 2.0, "3": 3.0}, {"0": 1.0, "1": 2.0, "02": 3.0},
        {"0": 1.0, "1": 2.0, "2": 3.0, "3": 4.0}, {"0": 1.0, "1": 2.0, "2": None},
        to_base64(np.float32([1, 2, np.nan])), to_base64(np.float32([1, 2])), to_base64(np.float32([1, 2, 3])) + "=",
        " " + to_base64(np.float32([1, 2, 3])), "é" * 16, "-" + to_base64(np.float32([1, 2, 3])), "AAAAAAAAAAAAAA-_=",
        "AAAAAAAAAAAA-===", "AAAAAAAAAAAAA-=A", "AAAAAAAAAAA-*AAA",
    ],
)  # fmt: skip
def test_anything_but_so_many_finite_numbers_is_refused_by_name(value: object) -> None:
    assert parse([1, 2.5, 3], 3).tolist() == [1, 2.5, 3]
    with pytest.raises(InvalidDescriptor) as refused:
        parse(value, 3, "enrolled[17].descriptor", regNo=1029)
    assert refused.value.context == {"field": "enrolled[17].descriptor", "regNo": 1029}


@settings(deadline=None)
@given(st.binary(max_size=9).map(lambda data: base64.b64encode(data).decode()) | st.text("AZaz09+/=-_ \n", max_size=12))
def test_base64_is_taken_as_strictly_as_the_standard_library_takes_it_in_either_alphabet(text: str) -> None:
    standard = text.replace("-", "+").replace("_", "/")
    if standard != text:
        standard += "=" * (-len(text) % 4)
    try:
        data = binascii.a2b_base64(standard, strict_mode=True)
    except binascii.Error:
        data = b"not base64"
    if len(data) % 4:
        with pytest.raises(ValueError, match=r"base64|buffer size"):
            from_base64(text)
    else:
        assert from_base64(text).tobytes() == data


@settings(deadline=None)
@given(st.lists(float32, min_size=1, max_size=20))
def test_base64_comes_back_to_the_bit(numbers: list[float]) -> None:
    vector = np.array(numbers, np.float32)
    assert to_base64(vector) == base64.b64encode(vector.astype("<f4").tobytes()).decode()
    assert from_base64(to_base64(vector)).tobytes() == vector.tobytes()


@settings(deadline=None)
@given(pairs)
def test_a_distance_is_a_sum_in_index_order_to_the_last_bit(pairs: list[tuple[float, float]]) -> None:
    a, b = map(list, zip(*pairs, strict=True))
    assert distance(np.array(a), np.array(b), "euclidean") == in_index_order(a, b)


def test_numpys_own_order_would_find_other_bits() -> None:
    """Or the test above could not fail."""
    rows = np.random.default_rng(1).normal(size=(1000, 128))
    exact = distances(rows, rows[0], "euclidean")
    assert exact.tolist() == [in_index_order(row, rows[0].tolist()) for row in rows.tolist()]
    assert (np.linalg.norm(rows - rows[0], axis=1) != exact).any()


@settings(deadline=None)
@given(st.lists(float32, min_size=3, max_size=3), st.lists(float32, min_size=3, max_size=3))
def test_float32_is_widened_before_anything_is_computed(a: list[float], b: list[float]) -> None:
    assert distance(np.float32(a), np.float32(b), "euclidean") == in_index_order(a, b)


def test_distances_between_photos_are_face_recognitions() -> None:
    people = np.array([descriptors(name)[0] for name in ONE_FACE_PHOTOS])
    for person in people:
        np.testing.assert_allclose(distances(people, person, "euclidean"), face_distance(people, person), atol=1e-14)


@settings(deadline=None)
@given(st.lists(st.floats(-10, 10), min_size=4, max_size=4), st.lists(st.floats(-10, 10), min_size=4, max_size=4))
def test_the_cosine_distance_is_one_less_the_cosine(a: list[float], b: list[float]) -> None:
    norms = math.sqrt(math.fsum(x * x for x in a)) * math.sqrt(math.fsum(x * x for x in b))
    if norms > 1e-100:
        wanted = 1 - math.fsum(x * y for x, y in zip(a, b, strict=True)) / norms
        assert distance(np.array(a), np.array(b), "cosine") == pytest.approx(wanted, abs=1e-14)


@pytest.mark.parametrize(
    ("a", "b", "metric"), [([1e200, 0], [0, 0], "euclidean"), ([0, 0], [1, 0], "cosine"), ([1, 0], [0, 0], "cosine")]
)
def test_where_there_is_no_distance_none_is_told(a: list[float], b: list[float], metric: Any) -> None:
    with pytest.raises(InvalidDescriptor):
        distance(np.array(a, float), np.array(b, float), metric)


def test_a_descriptor_that_left_as_numbers_is_at_distance_0_from_its_base64() -> None:
    vector: npt.NDArray[np.float32] = descriptors("obama-2012.jpg")[0].astype(np.float32)
    left = json.loads(json.dumps(vector.tolist()))
    assert distance(parse(left, 128), parse(to_base64(vector), 128), "euclidean") == 0
