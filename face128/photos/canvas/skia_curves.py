"""Transfer functions in the float32 arithmetic of Skia and skcms, which draw for Chrome.

Both replace the power function by an approximation that is wrong by up to 1e-4: with exact powers, 3 % of the bytes of
a converted photo are another grey level than in Chrome. Skia (SkRasterPipeline) fuses multiplications and additions,
as processors with FMA do; skcms rounds each. Found by comparing with Chromium 156: the same to the bit.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]

LEVELS: Floats = np.arange(256, dtype=np.float32) * np.float32(1 / 255)


@dataclass(frozen=True)
class Parametric:
    """ICC.1:2022, 10.18: (a x + b)^g + e from x = d, c x + f below."""

    g: float
    a: float = 1.0
    b: float = 0.0
    c: float = 0.0
    d: float = 0.0
    e: float = 0.0
    f: float = 0.0

    def __call__(self, x: Floats, fused: bool) -> Floats:
        g, a, b, c, d, e, f = np.array([self.g, self.a, self.b, self.c, self.d, self.e, self.f], np.float32)
        size = np.abs(x)
        powers = _power(_multiply_add(size, a, b, fused), g, fused) + e
        below = size <= d if fused else size < d
        return np.copysign(np.where(below, _multiply_add(size, c, f, fused), powers), x)


@dataclass(frozen=True)
class Table:
    """Values at even distances from 0 to 1, as shares of 255 or 65535."""

    values: npt.NDArray[np.uint8 | np.uint16]

    def __call__(self, x: Floats, fused: bool = False) -> Floats:
        one = np.float32(1)
        position = x.clip(0, 1) * np.float32(len(self.values) - 1)
        low = position.astype(np.intp)
        high = np.nextafter(position + one, np.float32(0)).astype(np.intp)
        share = np.float32(1 / np.iinfo(self.values.dtype).max)
        left, right = (self.values[index].astype(np.float32) * share for index in (low, high))
        between: Floats = left + (right - left) * (position - low.astype(np.float32))
        return between


Curve = Parametric | Table

SRGB = Parametric(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB_INVERSE = Parametric(0.416666657, 1.137283325, 0.0, 12.920000076, 0.003130805, -0.054969788, 0.0)
"""As skcms has it: its start at the knee is not the exact inverse's."""
GAMMA_2_2 = Parametric(2.2)
LINEAR = Parametric(1.0)

_PARAMETERS = ("g", "gab", "gabe", "gabcd", "gabcdef")
"""Of each function type of a parametricCurveType, in the order of the file."""


def read_curve(tag: bytes) -> tuple[Curve, int] | None:
    """The curve at the start of a tag of an ICC profile (ICC.1:2022, 10.6 and 10.18), and its length in bytes.

    None for what skcms refuses.
    """
    if len(tag) < 12:
        return None
    if tag[:4] == b"para":
        return _read_parametric(tag)
    count = int.from_bytes(tag[8:12], "big")
    length = 12 + 2 * count
    if tag[:4] != b"curv" or length > len(tag):
        return None
    values = np.frombuffer(tag[12:length], ">u2").astype(np.uint16)
    return Table(values) if count > 1 else Parametric(int(values[0]) / 256 if count else 1.0), length


def _read_parametric(tag: bytes) -> tuple[Curve, int] | None:
    function_type = int.from_bytes(tag[8:10], "big")
    if function_type >= len(_PARAMETERS):
        return None
    names = _PARAMETERS[function_type]
    length = 12 + 4 * len(names)
    if len(tag) < length:
        return None
    values = dict(zip(names, read_fixed(np.frombuffer(tag[12:length], ">i4")).tolist(), strict=True))
    if names in ("gab", "gabe"):
        if not values["a"]:
            return None
        values["d"] = float(np.float32(-values["b"] / values["a"]))
        values["f"] = values.get("e", 0.0)
    curve = Parametric(**values)
    usable = min(curve.g, curve.a, curve.c, curve.d) >= 0 and curve.a * curve.d + curve.b >= 0
    return (curve, length) if usable else None


def read_fixed(numbers: npt.NDArray[np.int32]) -> Floats:
    """From s15Fixed16Number."""
    return numbers.astype(np.float32) * np.float32(1 / 65536)


def linear_levels(curve: Curve) -> Floats:
    """The linear light of each grey level, as Skia computes it."""
    return LEVELS if curve == LINEAR else curve(LEVELS, fused=True)


def srgb_levels(curve: Curve) -> npt.NDArray[np.uint8]:
    """The grey level in sRGB of each grey level, as skcms computes it."""
    encoded = SRGB_INVERSE(curve(LEVELS, fused=False), fused=False)
    return (encoded.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)


def encode_srgb(linear: Floats) -> npt.NDArray[np.uint8]:
    """The grey levels in sRGB of linear light, as Skia computes them.

    The approximated power is uneven by 1e-5, so a level does not start at one number. What lies near a start is
    computed, the rest is looked up.
    """
    found = _level_table().take(linear.view(np.int32) >> _SHIFT, mode="clip")
    near = np.nonzero(found < 0)
    found[near] = _encode(linear[near])
    return found.astype(np.uint8)


_SHIFT = 10  # the rest of the bits of a float32 are steps of 1e-4 of the number
_FIRST_PLACE, _LAST_PLACE = (int(np.float32(number).view(np.int32)) >> _SHIFT for number in (2**-13, 1))


@cache
def _level_table() -> npt.NDArray[np.int16]:
    """The level of every number up to 1 that begins with these bits; -1 where a level starts in or beside them.

    What is less than 2**-13 is black.
    """
    places = np.arange(_FIRST_PLACE - 1, _LAST_PLACE + 3, dtype=np.int32)
    levels = _encode((places << _SHIFT).view(np.float32))
    table = np.zeros(_LAST_PLACE + 1, np.int16)
    table[_FIRST_PLACE:] = np.where(levels[:-3] == levels[3:], levels[1:-2], -1)
    return table


def _encode(linear: Floats) -> npt.NDArray[np.int16]:
    encoded = SRGB_INVERSE(linear, fused=True).clip(0, 1)
    return np.rint(encoded * np.float32(255)).astype(np.int16)


def _multiply_add(x: Floats, factor: np.float32, addend: np.float32 | Floats, fused: bool) -> Floats:
    if fused:  # float64 holds the product exactly
        return (x.astype(np.float64) * np.float64(factor) + addend).astype(np.float32)
    return x * factor + addend


def _power(x: Floats, exponent: np.float32, fused: bool) -> Floats:
    with np.errstate(all="ignore"):
        powers = _exp2(_log2(x, fused) * exponent, fused)
    return np.where((x == 0) | (x == 1), x, powers)


def _log2(x: Floats, fused: bool) -> Floats:
    bits = x.view(np.int32)
    mantissa = ((bits & 0x7FFFFF) | 0x3F000000).view(np.float32)
    start = bits.astype(np.float32) * np.float32(2**-23) - np.float32(124.225514990)
    rough = _multiply_add(mantissa, np.float32(-1.498030302), start, fused)
    return rough - np.float32(1.725879990) / (np.float32(0.3520887068) + mantissa)


def _exp2(x: Floats, fused: bool) -> Floats:
    fraction = x - np.floor(x)
    rough = _multiply_add(fraction, np.float32(-1.490129070), x + np.float32(121.274057500), fused)
    rough = (rough + np.float32(27.728023300) / (np.float32(4.84252568) - fraction)) * np.float32(2**23)
    bits = rough.clip(0, np.float32(0x7F800000))
    return (np.rint(bits) if fused else bits).astype(np.int32).view(np.float32)
