"""Matrices from linear RGB to XYZ under D50, in the float32 arithmetic of skcms."""

from __future__ import annotations

import numpy as np

from face128.photos.canvas.skia_curves import Floats

SRGB_MATRIX: Floats = np.array(
    [[0x6FA2, 0x6299, 0x24A0], [0x38F5, 0xB785, 0x0F84], [0x0390, 0x18DA, 0xB6CF]], np.float32
) / np.float32(65536)
"""From linear RGB to XYZ under D50, as an ICC profile holds it (SkNamedGamut::kSRGB)."""

# skcms_AdaptToXYZD50: Bradford's cone response, its inverse, and the white point.
_TO_CONES = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]], np.float32)
_FROM_CONES = np.array(
    [[0.9869929, -0.1470543, 0.1599627], [0.4323053, 0.5183603, 0.0492912], [-0.0085287, 0.0400428, 0.9684867]],
    np.float32,
)
_D50 = np.array([0.96422, 1, 0.82521], np.float32)


def matrix_of_primaries(white_and_primaries: Floats) -> Floats | None:
    """From (4, 2): x and y of white, red, green and blue; None if they span no colours (skcms_PrimariesToXYZD50)."""
    if (white_and_primaries < 0).any() or (white_and_primaries > 1).any() or not white_and_primaries[0, 1]:
        return None
    x, y = white_and_primaries.T
    xyz = np.array([x, y, np.float32(1) - x - y])
    white, primaries = xyz[:, 0] / y[0], xyz[:, 1:]
    inverse = invert(primaries)
    if inverse is None:
        return None
    with np.errstate(all="ignore"):
        scales = multiply(inverse, white[:, np.newaxis])[:, 0]
        cones = multiply(_TO_CONES, np.array([_D50, white]).T)
        adaptation = multiply(_FROM_CONES, multiply(np.diag(cones[:, 0] / cones[:, 1]), _TO_CONES))
        matrix = multiply(adaptation, multiply(primaries, np.diag(scales)))
    return matrix if np.isfinite(matrix).all() else None


def multiply(left: Floats, right: Floats) -> Floats:
    """A product of matrices in float32, each step rounded as in skcms."""
    result: Floats = left[:, :1] * right[:1]
    for i in range(1, left.shape[1]):
        result = result + left[:, i : i + 1] * right[i : i + 1]
    return result


def invert(matrix: Floats) -> Floats | None:
    """None for a singular matrix."""
    try:
        inverse = np.linalg.inv(matrix.astype(np.float64)).astype(np.float32)
    except np.linalg.LinAlgError:
        return None
    return inverse if np.isfinite(inverse).all() else None


def _from_xyz() -> Floats:
    inverse = invert(SRGB_MATRIX)
    assert inverse is not None
    return inverse


FROM_XYZ = _from_xyz()
"""To linear sRGB."""
