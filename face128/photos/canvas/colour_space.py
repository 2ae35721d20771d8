"""The colour spaces that an image file may name, as Chrome understands them.

The specification is the source of Skia (SkColorSpace), of skcms, and of Chromium's image_decoder.cc.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from face128.photos.canvas.conversions import Conversion, Pixels, SkiaConversion
from face128.photos.canvas.matrices import SRGB_MATRIX, invert, matrix_of_primaries
from face128.photos.canvas.skia_curves import (
    GAMMA_2_2,
    LINEAR,
    SRGB,
    Curve,
    Floats,
    Parametric,
    Table,
    linear_levels,
    srgb_levels,
)

_DISPLAY_P3 = [[0.515102, 0.291965, 0.157153], [0.241182, 0.692236, 0.0665819], [-0.00104941, 0.0418818, 0.784378]]
_REC2020 = [[0.673459, 0.165661, 0.125100], [0.279033, 0.675338, 0.0456288], [-0.00193139, 0.0299794, 0.797162]]

# ITU-T H.273, tables 2 and 3. BT.709 and its like are taken for sRGB's curve, as Chrome does. PQ and HLG are not here.
_CICP_MATRICES = {1: SRGB_MATRIX, 9: np.array(_REC2020, np.float32), 12: np.array(_DISPLAY_P3, np.float32)}
_CICP_CURVES = {1: SRGB, 4: GAMMA_2_2, 5: Parametric(2.8), 6: SRGB, 8: LINEAR, 13: SRGB, 14: SRGB, 15: SRGB}

PNG_UNIT = np.float32(1e-5)
"""Of the numbers in gAMA and cHRM."""
_CURVE_TOLERANCE, _MATRIX_TOLERANCE = 0.001, 0.01  # SkColorSpacePriv.h
_TEST_PIXELS: Pixels = np.random.default_rng(0).integers(0, 256, (84, 3), np.uint8)


@dataclass(frozen=True)
class ColourSpace:
    curves: tuple[Curve, Curve, Curve]
    """From a channel to linear light, 0..1."""
    matrix: Floats
    """(3, 3): from linear light to XYZ under D50."""

    @classmethod
    def of_srgb_primaries(cls, gamma: float) -> ColourSpace:
        return cls((Parametric(gamma),) * 3, SRGB_MATRIX)

    @classmethod
    def of_primaries(cls, gamma: float, chromaticities: Sequence[int]) -> ColourSpace | None:
        """From the numbers of PNG's gAMA and cHRM: x and y of white, red, green, blue, times 100,000."""
        matrix = matrix_of_primaries(np.array(chromaticities, np.float32).reshape(4, 2) * PNG_UNIT)
        return None if matrix is None else cls((Parametric(gamma),) * 3, matrix)

    def to_srgb(self) -> Conversion | None:
        """None where Chrome leaves the pixels as they are: in sRGB, and what looks like it."""
        named = self.named()
        if named is None:
            return None
        levels = None if self._looks_like(named) else np.stack([srgb_levels(each) for each in self.curves], axis=-1)
        return SkiaConversion.from_space(named.curves[0], named.matrix, levels)

    def named(self) -> ColourSpace | None:
        """The space in which Chrome keeps the pixels: Skia has one formula for all channels. None for sRGB."""
        if self._looks_like(SRGB_SPACE):
            return None
        if any(isinstance(each, Table) for each in self.curves) or len(set(self.curves)) > 1:
            return _snap(SRGB, self.matrix)  # Chrome converts to sRGB's curve first, rounding to 8 bits
        return _snap(self.curves[0], self.matrix)

    def _looks_like(self, other: ColourSpace) -> bool:
        """Whether no colour differs by more than a 255th in XYZ (skcms_ApproximatelyEqualProfiles)."""
        return bool(np.abs(self._xyz_bytes() - other._xyz_bytes()).max() <= 1)

    def _xyz_bytes(self) -> npt.NDArray[np.float64]:
        linear = np.stack([linear_levels(curve)[_TEST_PIXELS[:, i]] for i, curve in enumerate(self.curves)], axis=-1)
        with np.errstate(all="ignore"):
            xyz = linear.astype(np.float64) @ self.matrix.T.astype(np.float64)
        return np.floor(255 * np.nan_to_num(xyz).clip(0, 1) + 0.5)


SRGB_SPACE = ColourSpace((SRGB,) * 3, SRGB_MATRIX)


def cicp_conversion(primaries: int, transfer: int) -> tuple[bool, Conversion | None]:
    """Whether these code points (ITU-T H.273) are known, and their conversion: None for sRGB."""
    if primaries not in _CICP_MATRICES or transfer not in _CICP_CURVES:
        return False, None
    named = _snap(_CICP_CURVES[transfer], _CICP_MATRICES[primaries])
    return True, SkiaConversion.from_space(named.curves[0], named.matrix) if named else None


def _snap(curve: Curve, matrix: Floats) -> ColourSpace | None:
    """SkColorSpace::MakeRGB: a curve that is almost sRGB's, 2.2 or a line becomes that. None for sRGB itself."""
    assert isinstance(curve, Parametric)
    if _is_near(curve, SRGB):
        if np.abs(matrix - SRGB_MATRIX).max() < _MATRIX_TOLERANCE:
            return None
        curve = SRGB
    elif curve.d <= 0 and _is_near(curve, GAMMA_2_2, "gabe"):
        curve = GAMMA_2_2
    elif (curve.d <= 0 and _is_near(curve, LINEAR, "gabe")) or (curve.d >= 1 and _is_near(curve, _LINE, "cf")):
        curve = LINEAR
    return ColourSpace((curve,) * 3, matrix) if invert(matrix) is not None else None


_LINE = Parametric(1.0, c=1.0)


def _is_near(curve: Parametric, other: Parametric, names: str = "gabcdef") -> bool:
    return all(abs(getattr(curve, name) - getattr(other, name)) < _CURVE_TOLERANCE for name in names)
