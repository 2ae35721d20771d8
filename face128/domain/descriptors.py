"""The wire forms of a descriptor, and the distance between two.

A descriptor arrives as a list of numbers, as the object that ``JSON.stringify(Float32Array)`` makes
(``{"0": .., "127": ..}``), or as base64 of little-endian float32. It leaves as ``vector.tolist()``: the exact doubles
of its float32 numbers, so that all three forms of one descriptor are at distance 0 from each other.
"""

from __future__ import annotations

import binascii
import math
from functools import cache
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pybase64

from face128.errors import InvalidDescriptor

Metric = Literal["euclidean", "cosine"]
Vector = npt.NDArray[np.float64]
"""(dimension,) float64: JSON's numbers as they came, base64's float32 widened exactly."""
Block = npt.NDArray[np.float32] | npt.NDArray[np.float64]
"""(rows, dimension), one descriptor a row."""
Descriptors = npt.NDArray[np.float32]
"""(n, dimension) float32, one row a face: as an engine makes them."""


def parse(value: object, dimension: int, field: str = "descriptor", **context: Any) -> Vector:
    """The descriptor in an already decoded JSON value, in any of its three forms.

    Raises InvalidDescriptor, with ``field`` and ``context``, unless it is exactly ``dimension`` finite numbers.
    """

    def invalid(sentence: str) -> InvalidDescriptor:
        return InvalidDescriptor(sentence, field=field, **context)

    if isinstance(value, str):
        try:
            vector = from_base64(value).astype(np.float64)
        except ValueError:
            raise invalid("A descriptor in base64 is little-endian float32, in the standard alphabet.") from None
    else:
        if isinstance(value, dict):
            keys = _indices(dimension)
            if value.keys() != keys.keys():
                raise invalid(f'A descriptor as an object has the keys "0" to "{dimension - 1}".')
            value = [value[key] for key in keys]
        # bool is an int to Python, but no number to JSON: hence the exact types.
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


@cache
def _indices(dimension: int) -> dict[str, None]:
    return dict.fromkeys(map(str, range(dimension)))


def from_base64(text: str) -> npt.NDArray[np.float32]:
    """Little-endian float32 from strict base64. Raises ValueError (binascii.Error is one) where it is neither."""
    return np.frombuffer(pybase64.b64decode(text, None, True), "<f4")


def to_base64(vector: npt.NDArray[np.float32]) -> str:
    """Base64 of little-endian float32: a quarter of the size of the numbers, and exact."""
    return binascii.b2a_base64(vector.astype("<f4").tobytes(), newline=False).decode("ascii")


def distances(vectors: Block, probe: Block | Vector, metric: Metric) -> Vector:
    """The distance of each row to the probe, or to the same row of a block: (rows,) float64, not finite if it has none.

    These bits are the definition: IEEE doubles, summed in index order. A loop in any language finds the same bits;
    BLAS and numpy's own sum add in another order, and could decide otherwise at the very threshold.
    Euclidean: sqrt(sum((a - b)^2)). Cosine: 1 - sum(a * b) / (sqrt(sum(a^2)) * sqrt(sum(b^2))).
    """
    a, b = vectors.astype(np.float64), probe.astype(np.float64)
    with np.errstate(all="ignore"):
        if metric == "euclidean":
            return np.sqrt(_sums(np.square(a - b)))
        norms = np.sqrt(_sums(np.square(a))) * np.sqrt(_sums(np.square(np.atleast_2d(b))))
        return np.asarray(1 - _sums(a * b) / norms)


def _sums(terms: Vector) -> Vector:
    """The sum of each row, added from left to right."""
    return np.asarray(np.add.accumulate(terms, axis=1)[:, -1])


def distance(a: Block | Vector, b: Block | Vector, metric: Metric) -> float:
    """The distance between two descriptors of one dimension, as ``distances`` defines it.

    Raises InvalidDescriptor where there is none: numbers beyond 1e154, or zeros where an angle is asked for.
    """
    result = float(distances(a[None], b, metric)[0])
    if not math.isfinite(result):
        raise InvalidDescriptor("There is no finite distance between these descriptors.")
    return result
