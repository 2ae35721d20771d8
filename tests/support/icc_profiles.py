"""ICC profiles, built from primaries and curves: those that phones, cameras and presses embed in photos."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

D50 = np.array([0.9642, 1, 0.8249])
_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def profile(space: bytes, tags: Mapping[bytes, bytes], connection: bytes = b"XYZ ", version: int = 4) -> bytes:
    table, content = struct.pack(">I", len(tags)), b""
    for name, tag in tags.items():
        table += name + struct.pack(">II", 132 + 12 * len(tags) + len(content), len(tag))
        content += tag + bytes(-len(tag) % 4)
    size = 128 + len(table) + len(content)
    kind = b"prtr" if space == b"CMYK" else b"mntr"
    header = struct.pack(">I4sB3x4s4s4s12x4s28x", size, b"none", version, kind, space, connection, b"acsp")
    return (header + _fixed(*D50)).ljust(128, b"\0") + table + content


def matrix_profile(matrix: npt.NDArray[np.float64], *curves: bytes) -> bytes:
    """Of RGB; one curve is that of each channel."""
    return profile(b"RGB ", _TEXTS | _formula_tags(matrix, *curves))


def _formula_tags(matrix: npt.NDArray[np.float64], *curves: bytes) -> dict[bytes, bytes]:
    curves = curves * 3 if len(curves) == 1 else curves
    columns = {name: xyz(column) for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), matrix.T, strict=True)}
    return columns | dict(zip((b"rTRC", b"gTRC", b"bTRC"), curves, strict=True))


def grey_profile(curve: bytes) -> bytes:
    return profile(b"GRAY", _TEXTS | {b"kTRC": curve})


def cmyk_profile() -> bytes:
    """Ink that absorbs 90 to 95 % of its part of the light."""
    ink = _grid(5, 4)
    light = (1 - ink[:, :3] * [0.9, 0.95, 0.9]) * (1 - 0.95 * ink[:, 3:])
    linear = np.where(light <= 0.04045, light / 12.92, ((light + 0.055) / 1.055) ** 2.4)
    straight = bytes(range(256))
    tag = _table_header(b"mft1", 4, 5) + straight * 4 + _bytes(_lab_shares(linear @ SRGB_MATRIX.T)) + straight * 3
    return profile(b"CMYK", _TEXTS | {b"A2B0": tag}, b"Lab ", version=2)


def scanner_profile(**formulas: bytes) -> bytes:
    """RGB as a table of Lab with 16 bits; ``formulas`` are further tags."""
    points, entries = _grid(7, 3), struct.pack(">HH", 33, 17)
    before, after = (_words(np.linspace(0, 1, count) ** power) * 3 for count, power in ((33, 1.1), (17, 1)))
    tag = _table_header(b"mft2", 3, 7) + entries + before + _words(_lab_shares(points**2.2 @ P3_MATRIX.T)) + after
    return profile(
        b"RGB ", _TEXTS | {b"A2B0": tag} | {name.encode(): value for name, value in formulas.items()}, b"Lab "
    )


def four_stage_profile() -> bytes:
    """RGB by every stage that version 4 knows: curves, a table with 8 bits, curves and a matrix, curves; to XYZ."""
    line = parametric(0, 1)
    matrix = _fixed(*(P3_MATRIX * 32768 / 65535).ravel(), 0, 0, 0)
    middle = gamma(2.2) + bytes(2)
    grid = bytes([7] * 3 + [0] * 13 + [1, 0, 0, 0]) + _bytes(_grid(7, 3))
    first = table(np.linspace(0, 1, 34) ** 1.1)
    parts = [line * 3, matrix, middle * 3, grid + bytes(-len(grid) % 4), first * 3]
    starts = 32 + np.cumsum([0, *map(len, parts)])[:-1]
    tag = b"mAB \0\0\0\0" + bytes([3, 3, 0, 0]) + struct.pack(">5I", *starts) + b"".join(parts)
    return profile(b"RGB ", _TEXTS | {b"A2B0": tag})


def xyz(values: npt.NDArray[np.float64]) -> bytes:
    return b"XYZ \0\0\0\0" + _fixed(*values)


def _grid(points: int, axes: int) -> npt.NDArray[np.float64]:
    return np.array(list(itertools.product(np.linspace(0, 1, points), repeat=axes)))


def _lab_shares(values: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Lab as a table holds it, 0..1, from XYZ under D50."""
    relative = values / D50
    x, y, z = np.where(relative > 216 / 24389, np.cbrt(relative), (24389 / 27 * relative + 16) / 116).T
    return np.stack([(116 * y - 16) / 100, (500 * (x - y) + 128) / 255, (200 * (y - z) + 128) / 255], axis=1)


def _table_header(kind: bytes, channels: int, points: int) -> bytes:
    return kind + bytes([0, 0, 0, 0, channels, 3, points, 0]) + _fixed(*np.eye(3).ravel())


def _bytes(shares: npt.NDArray[np.float64]) -> bytes:
    return (shares * 255).round().clip(0, 255).astype(np.uint8).tobytes()


def _words(shares: npt.NDArray[np.float64]) -> bytes:
    return (shares * 65535).round().clip(0, 65535).astype(">u2").tobytes()


def parametric(function_type: int, *parameters: float) -> bytes:
    return b"para\0\0\0\0" + struct.pack(">HH", function_type, 0) + _fixed(*parameters)


def gamma(exponent: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(256 * exponent))


def table(values: npt.NDArray[np.float64]) -> bytes:
    """From values of 0..1."""
    return b"curv\0\0\0\0" + struct.pack(">I", len(values)) + _words(values)


def primaries(red: _XY, green: _XY, blue: _XY, white: _XY = (0.3127, 0.3290)) -> npt.NDArray[np.float64]:
    """The matrix from linear RGB to XYZ, adapted to D50 by Bradford's method."""
    columns = np.array([[x, y, 1 - x - y] for x, y in (red, green, blue)]).T
    source = np.array([white[0] / white[1], 1, (1 - sum(white)) / white[1]])
    adapted = np.linalg.inv(_BRADFORD) @ np.diag(_BRADFORD @ D50 / (_BRADFORD @ source)) @ _BRADFORD
    result: npt.NDArray[np.float64] = adapted @ (columns * np.linalg.solve(columns, source))
    return result


def _fixed(*numbers: float) -> bytes:
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


_XY = tuple[float, float]
# en-US, "face128"
_TEXT = b"mluc\0\0\0\0" + struct.pack(">IIHHII", 1, 12, 0x656E, 0x5553, 14, 28) + "face128".encode("utf-16-be")
_TEXTS = {b"desc": _TEXT, b"cprt": _TEXT, b"wtpt": xyz(D50)}

SRGB_CURVE = parametric(3, 2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
SRGB_MATRIX = primaries((0.64, 0.33), (0.30, 0.60), (0.15, 0.06))
P3_MATRIX = primaries((0.68, 0.32), (0.265, 0.69), (0.15, 0.06))
ADOBE_MATRIX = primaries((0.64, 0.33), (0.21, 0.71), (0.15, 0.06))
PROPHOTO_MATRIX = primaries((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), (0.3457, 0.3585))
REC2020_MATRIX = primaries((0.708, 0.292), (0.17, 0.797), (0.131, 0.046))

DISPLAY_P3 = matrix_profile(P3_MATRIX, SRGB_CURVE)
ADOBE_RGB = matrix_profile(ADOBE_MATRIX, gamma(563 / 256))
PROPHOTO = matrix_profile(PROPHOTO_MATRIX, gamma(1.8))
REC2020 = matrix_profile(REC2020_MATRIX, parametric(3, 1 / 0.45, 1 / 1.0993, 0.0993 / 1.0993, 1 / 4.5, 0.08145))
TABLE_CURVES = matrix_profile(ADOBE_MATRIX, table(np.linspace(0, 1, 256) ** 1.8))
THREE_CURVES = matrix_profile(P3_MATRIX, gamma(2.2), gamma(1.8), SRGB_CURVE)
GREY = grey_profile(gamma(1.8))
CMYK = cmyk_profile()
SCANNER = scanner_profile()
FOUR_STAGES = four_stage_profile()
TABLE_AND_FORMULAS = scanner_profile(
    **{name.decode(): tag for name, tag in _formula_tags(P3_MATRIX, SRGB_CURVE).items()}
)
CODE_POINTS = profile(
    b"RGB ", _TEXTS | _formula_tags(P3_MATRIX, gamma(1)) | {b"cicp": b"cicp\0\0\0\0" + bytes([12, 13, 0, 1])}
)
