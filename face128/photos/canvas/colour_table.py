"""The tables of colours in the ICC profiles of printers and scanners, and in all of CMYK, as skcms interpolates them.

ICC.1:2022, 10.10 to 10.12: lut16Type, lut8Type, lutAToBType. The specification is skcms's source (skcms.cc and
Transform_inl.h): float32, every step rounded, linear along each axis.
"""

from __future__ import annotations

import itertools
import math
import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.photos.canvas.skia_curves import LEVELS, LINEAR, Curve, Floats, Table, read_curve, read_fixed

_MFT_HEADER_BYTES = 48
_MAB_HEADER = struct.Struct(">BB2x5I")
_MAX_CHANNELS, _MAX_TABLE_ENTRIES = 4, 4096
_GRID_SIZES_BYTES, _GRID_HEADER_BYTES = 16, 20
_D50 = np.array([0.9642, 1, 0.8249], np.float32)


@dataclass(frozen=True)
class ColourTable:
    input_curves: tuple[Curve, ...]
    grid: Floats | None
    """(n, ..., n, 3) with an axis for each channel; None if there is only the rest."""
    matrix_curves: tuple[Curve, ...]
    matrix: Floats
    """(3, 4)"""
    output_curves: tuple[Curve, ...]
    gives_lab: bool

    @classmethod
    def parse(cls, tag: bytes, gives_lab: bool) -> ColourTable | None:
        readers = {b"mft1": _read_mft, b"mft2": _read_mft, b"mAB ": _read_mab}
        try:
            return readers[tag[:4]](tag, gives_lab)
        except (KeyError, ValueError, struct.error):  # ValueError: NumPy finds fewer bytes than a table needs
            return None

    @property
    def channel_count(self) -> int:
        return 3 if self.grid is None else self.grid.ndim - 1

    def xyz(self, levels: Sequence[npt.NDArray[np.uint8]], inverted: bool) -> Floats:
        """(..., 3): XYZ under D50, from the levels of each channel; ``inverted``: of their inverse."""
        plain = np.float32(1) - LEVELS if inverted else LEVELS
        if self.grid is None:
            colours = np.stack([plain[each] for each in levels], axis=-1)
        else:
            shares = [curve(plain, False).clip(0, 1) for curve in self.input_curves]
            colours = _interpolate(self.grid, [share[each] for share, each in zip(shares, levels, strict=True)])
        if self.matrix_curves:
            colours = _multiply(self.matrix, _apply(self.matrix_curves, colours))
        colours = _apply(self.output_curves, colours)
        return _lab_to_xyz(colours) if self.gives_lab else colours


def _interpolate(grid: Floats, shares: Sequence[Floats]) -> Floats:
    corners = []
    for share, count in zip(shares, grid.shape, strict=False):
        position = share * np.float32(count - 1)
        low = position.astype(np.intp)
        high = np.nextafter(position + np.float32(1), np.float32(0)).astype(np.intp)
        fraction = position - low.astype(np.float32)
        corners.append(((low, np.float32(1) - fraction), (high, fraction)))
    colours = np.zeros((*np.broadcast(*shares).shape, 3), np.float32)
    for combination in itertools.product((0, 1), repeat=len(corners)):
        # skcms counts with the first channel as the lowest bit, and multiplies by it first, then by the last.
        chosen = [corner[bit] for corner, bit in zip(corners, reversed(combination), strict=True)]
        weight = chosen[0][1]
        for _, factor in reversed(chosen[1:]):
            weight = weight * factor
        if weight.any():
            colours += weight[..., np.newaxis] * grid[tuple(index for index, _ in chosen)]
    return colours


def _apply(curves: Sequence[Curve], colours: Floats) -> Floats:
    return np.stack(
        [each if curve == LINEAR else curve(each, False) for curve, each in zip(curves, _split(colours), strict=True)],
        axis=-1,
    )


def _multiply(matrix: Floats, colours: Floats) -> Floats:
    red, green, blue = _split(colours)
    rows = [row[0] * red + row[1] * green + row[2] * blue + row[3] for row in matrix]
    return np.stack(rows, axis=-1)


def _lab_to_xyz(colours: Floats) -> Floats:
    lightness, a, b = _split(colours)
    f32 = np.float32
    y = (lightness * f32(100) + f32(16)) * f32(1 / 116)
    x = y + (a * f32(255) - f32(128)) * f32(1 / 500)
    z = y - (b * f32(255) - f32(128)) * f32(1 / 200)
    roots = np.stack([x, y, z], axis=-1)
    cubes = roots * roots * roots
    xyz: Floats = np.where(cubes > f32(0.008856), cubes, (roots - f32(16 / 116)) * f32(1 / f32(7.787))) * _D50
    return xyz


def _split(colours: Floats) -> list[Floats]:
    return [colours[..., i] for i in range(3)]


_IDENTITY = np.eye(3, 4, dtype=np.float32)


def _read_mft(tag: bytes, gives_lab: bool) -> ColourTable | None:
    inputs, outputs, points = tag[8:11]
    in_entries = out_entries = 256
    start, dtype = _MFT_HEADER_BYTES, "u1"
    if tag[:4] == b"mft2":
        in_entries, out_entries = struct.unpack_from(">HH", tag, start)
        start, dtype = start + 4, ">u2"
    sizes = (in_entries, out_entries)
    if (
        outputs != 3
        or not 1 <= inputs <= _MAX_CHANNELS
        or points < 2
        or not 2 <= min(sizes) <= max(sizes) <= (_MAX_TABLE_ENTRIES)
    ):
        return None
    grid_count = points**inputs * 3
    numbers = np.frombuffer(tag, dtype, inputs * in_entries + grid_count + 3 * out_entries, start)
    values = numbers.astype(np.uint8 if dtype == "u1" else np.uint16)
    before, grid, after = np.split(values, np.cumsum([inputs * in_entries, grid_count]))
    return ColourTable(
        tuple(map(Table, before.reshape(inputs, -1))),
        _shares(grid).reshape((points,) * inputs + (3,)),
        (),
        _IDENTITY,
        tuple(map(Table, after.reshape(3, -1))),
        gives_lab,
    )


def _read_mab(tag: bytes, gives_lab: bool) -> ColourTable | None:
    inputs, outputs, b_start, matrix_start, m_start, grid_start, a_start = _MAB_HEADER.unpack_from(tag, 8)
    if outputs != 3 or inputs > _MAX_CHANNELS or not b_start or bool(m_start) != bool(matrix_start):
        return None
    if bool(a_start) != bool(grid_start) or (not a_start and inputs != 3):
        return None
    matrix, grid = _IDENTITY, None
    if matrix_start:
        numbers = read_fixed(np.frombuffer(tag, ">i4", 12, matrix_start))
        factor = np.float32(1 if gives_lab else 65535 / 32768)
        matrix = np.column_stack([numbers[:9].reshape(3, 3), numbers[9:]]) * factor
    if grid_start:
        grid = _read_grid(tag, grid_start, inputs)
    curves = [
        _read_curves(tag, start, count) if start else ()
        for start, count in ((a_start, inputs), (m_start, 3), (b_start, 3))
    ]
    if any(each is None for each in curves) or (grid_start and grid is None):
        return None
    a_curves, m_curves, b_curves = curves
    return ColourTable(a_curves or (), grid, m_curves or (), matrix, b_curves or (), gives_lab)


def _read_grid(tag: bytes, start: int, inputs: int) -> Floats | None:
    sizes, width = tag[start : start + inputs], tag[start + _GRID_SIZES_BYTES : start + _GRID_SIZES_BYTES + 1]
    if not inputs or len(sizes) < inputs or min(sizes) < 2 or width not in (b"\1", b"\2"):
        return None
    dtype, native = (("u1", np.uint8), (">u2", np.uint16))[width[0] - 1]
    numbers = np.frombuffer(tag, dtype, math.prod(sizes) * 3, start + _GRID_HEADER_BYTES)
    return _shares(numbers.astype(native)).reshape(*sizes, 3)


def _read_curves(tag: bytes, start: int, count: int) -> tuple[Curve, ...] | None:
    curves = []
    for _ in range(count):
        read = read_curve(tag[start:])
        if read is None:
            return None
        curve, length = read
        curves.append(curve)
        start += (length + 3) // 4 * 4
    return tuple(curves)


def _shares(values: npt.NDArray[np.uint8 | np.uint16]) -> Floats:
    return values.astype(np.float32) * np.float32(1 / np.iinfo(values.dtype).max)
