"""The wire forms of a descriptor, and the distance between two descriptors.

A request may send a descriptor as a list of numbers, as the object that ``JSON.stringify(Float32Array)`` makes
(``{"0": .., "127": ..}``), or as base64 of little-endian float32. Answers contain ``vector.tolist()``: the exact
doubles of its float32 numbers, so that all three forms of one descriptor are at distance 0 from each other.
"""

from __future__ import annotations

import binascii
import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pybase64

from face128.domain.base64_text import standard_base64
from face128.errors import InvalidDescriptor

Metric = Literal["euclidean", "cosine"]
Vector = npt.NDArray[np.float64]
"""(dimension,) float64: the numbers of the JSON text, or base64's float32 widened exactly."""
Matrix = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""(rows, dimension), one descriptor per row."""
NO_FINITE_DISTANCE = "There is no finite distance between these descriptors."
MAX_JSON_CHARACTERS = 64 * 1024  # of a member's descriptors as JSON text; 512 numbers take about 12,000
Descriptors = npt.NDArray[np.float32]
"""(n, dimension) float32, one row per face, as an engine returns them."""


def parse(value: object, dimension: int, field: str = "descriptor", **context: Any) -> Vector:
    """The descriptor in a decoded JSON value, in any of the three forms.

    Raises InvalidDescriptor, with ``field`` and ``context``, unless it is exactly ``dimension`` finite numbers.
    """

    def invalid(sentence: str) -> InvalidDescriptor:
        return InvalidDescriptor(sentence, field=field, **context)

    if isinstance(value, str) and value.lstrip().startswith(("[", "{")):
        try:
            value = parse_json(value)
        except InvalidDescriptor as error:
            raise invalid(str(error)) from None
    if isinstance(value, str):
        try:
            vector = from_base64(value).astype(np.float64)
        except ValueError:
            raise invalid("A descriptor in base64 is little-endian float32, with padding.") from None
    else:
        if isinstance(value, dict):
            keys = _object_keys(dimension)
            if value.keys() != keys.keys():
                raise invalid(f'A descriptor as an object has the keys "0" to "{dimension - 1}".')
            value = [value[key] for key in keys]
        # Compare exact types: bool is a subclass of int, but not a JSON number.
        if not isinstance(value, list) or not {int, float}.issuperset(map(type, value)):
            raise invalid(f"A descriptor is {dimension} finite numbers.")
        try:
            vector = np.array(value, np.float64)
        except OverflowError:
            raise invalid("A number of the descriptor is too large.") from None
    if len(vector) != dimension:
        raise invalid(f"A descriptor is {dimension} numbers; this one has {len(vector)}.")
    if not np.isfinite(vector).all():
        raise invalid("A descriptor is finite numbers; this one has NaN or an infinite one.")
    return vector


def parse_json(text: str) -> Any:
    """The value of a text: databases hand out JSON as text. Raises InvalidDescriptor unless it is JSON."""
    try:
        # Python's objects may take thirty times the memory of a text: none is made of one that is no descriptor.
        return json.loads(text) if len(text) <= MAX_JSON_CHARACTERS else None
    except (ValueError, RecursionError):
        raise InvalidDescriptor("A descriptor that is text must be JSON or base64.") from None


def parse_several(text: str, field: str) -> list[Any] | dict[str, Any]:
    """The list or object in a text that has several descriptors. Raises InvalidDescriptor with the ``field``."""
    try:
        value = parse_json(text)
    except InvalidDescriptor as error:
        raise InvalidDescriptor(str(error), field=field) from None
    if not isinstance(value, list | dict):
        raise InvalidDescriptor("Descriptors that are text must be a list or an object, in JSON.", field=field)
    return value


def is_list_of_descriptors(value: Sequence[Any]) -> bool:
    """Whether a list is one of descriptors, not one of the numbers of a descriptor."""
    return len(value) > 0 and type(value[0]) not in (int, float, bool)


@cache
def _object_keys(dimension: int) -> dict[str, None]:
    return dict.fromkeys(map(str, range(dimension)))


def from_base64(text: str) -> npt.NDArray[np.float32]:
    """Decode strict base64 of little-endian float32. Raises ValueError (binascii.Error is a subclass)."""
    return np.frombuffer(pybase64.b64decode(standard_base64(text), None, True), "<f4")


def to_base64(vector: npt.NDArray[np.float32]) -> str:
    """Base64 of little-endian float32: exact, and a quarter of the size of decimal numbers."""
    return binascii.b2a_base64(vector.astype("<f4").tobytes(), newline=False).decode("ascii")


def distances(vectors: Matrix, probe: Matrix | Vector, metric: Metric) -> Vector:
    """The distance of each row to the probe, or to the same row of another matrix: (rows,) float64.

    Not finite where a pair has no distance (see ``distance``). This is the definition, to the last bit: IEEE doubles,
    summed in index order. A loop in any language finds the same bits; BLAS and numpy's sum add in another order, and
    could decide differently exactly at the threshold.
    Euclidean: sqrt(sum((a - b)^2)). Cosine: 1 - sum(a * b) / (sqrt(sum(a^2)) * sqrt(sum(b^2))).
    """
    a, b = vectors.astype(np.float64), probe.astype(np.float64)
    with np.errstate(all="ignore"):
        if metric == "euclidean":
            return np.sqrt(_row_sums(np.square(a - b)))
        norms = np.sqrt(_row_sums(np.square(a))) * np.sqrt(_row_sums(np.square(np.atleast_2d(b))))
        return np.asarray(1 - _row_sums(a * b) / norms)


def _row_sums(terms: Vector) -> Vector:
    """The sum of each row, added from left to right."""
    return np.asarray(np.add.accumulate(terms, axis=1)[:, -1])


def distance(a: Matrix | Vector, b: Matrix | Vector, metric: Metric) -> float:
    """The distance between two descriptors of one dimension, as ``distances`` defines it.

    Raises InvalidDescriptor if there is none: squares of numbers above 1e154 overflow, and the cosine distance is
    undefined for a zero vector.
    """
    result = float(distances(a[None], b, metric)[0])
    if not math.isfinite(result):
        raise InvalidDescriptor(NO_FINITE_DISTANCE)
    return result
