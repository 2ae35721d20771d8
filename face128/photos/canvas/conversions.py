"""Conversions of pixels to sRGB, as Chrome computes them: by Skia from a curve and a matrix, by skcms from a table."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from face128.photos.canvas.colour_table import ColourTable
from face128.photos.canvas.matrices import FROM_XYZ, SRGB_MATRIX, invert, multiply
from face128.photos.canvas.skia_curves import SRGB, SRGB_INVERSE, Curve, Floats, encode_srgb, linear_levels

Pixels = npt.NDArray[np.uint8]
"""(..., 3) RGB."""


class Conversion(Protocol):
    """To sRGB."""

    def __call__(self, pixels: Pixels) -> Pixels: ...

    def unrounded(self, pixels: Pixels) -> Floats:
        """The same as shares of 255; not limited to 0..1."""


@dataclass(frozen=True)
class SkiaConversion:
    levels: npt.NDArray[np.uint8] | None
    """(256, 3): replaces the levels of each channel first, if not None."""
    products: tuple[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64], Floats], ...]
    """For each channel of sRGB what each level of red, green and blue adds to its linear light."""
    replacement: npt.NDArray[np.uint8] | None
    """(256,): the result for each level, where the primaries are those of sRGB."""

    @classmethod
    def from_space(cls, curve: Curve, matrix: Floats, levels: npt.NDArray[np.uint8] | None = None) -> SkiaConversion:
        linear = linear_levels(curve)
        same_primaries = np.array_equal(matrix, SRGB_MATRIX)
        factors = np.eye(3, dtype=np.float32) if same_primaries else multiply(FROM_XYZ, matrix)
        wide = linear.astype(np.float64)
        products = tuple((wide * red, wide * green, linear * blue) for red, green, blue in factors)
        return cls(levels, products, encode_srgb(linear) if same_primaries else None)

    def __call__(self, pixels: Pixels) -> Pixels:
        converted = np.empty(pixels.shape, np.uint8)
        if self.replacement is not None:
            for i, channel in enumerate(self._channels(pixels)):
                converted[..., i] = self.replacement[channel]
            return converted
        for i, linear in enumerate(self._linear_light(pixels)):
            converted[..., i] = encode_srgb(linear)
        return converted

    def unrounded(self, pixels: Pixels) -> Floats:
        return np.stack([SRGB_INVERSE(linear, fused=True) for linear in self._linear_light(pixels)], axis=-1)

    def _channels(self, pixels: Pixels) -> list[Pixels]:
        channels = [pixels[..., i] for i in range(3)]
        return channels if self.levels is None else [self.levels[each, i] for i, each in enumerate(channels)]

    def _linear_light(self, pixels: Pixels) -> Iterator[Floats]:
        """Of each channel of sRGB."""
        red, green, blue = (channel.astype(np.intp) for channel in self._channels(pixels))
        for of_red, of_green, of_blue in self.products:
            # Each sum is rounded to float32 once, as a fused multiplication and addition is.
            linear = of_blue.take(blue)
            np.add(of_green.take(green), linear, out=linear, casting="same_kind")
            np.add(of_red.take(red), linear, out=linear, casting="same_kind")
            yield linear


@dataclass(frozen=True)
class TableConversion:
    """By the table of a profile, as skcms converts; where the profile has formulas as well, by way of their space."""

    table: ColourTable
    is_ink: bool
    """The table is for CMYK: it gets the inverted pixels, and no black."""
    detour: Floats | None
    """The matrix of the space, with sRGB's curve, by way of which Chrome converts; if not None."""

    def __call__(self, pixels: Pixels) -> Pixels:
        from_xyz = FROM_XYZ if self.detour is None else invert(self.detour)
        assert from_xyz is not None
        shares = self._in_space(pixels, from_xyz)
        levels = (shares.clip(0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
        return levels if self.detour is None else SkiaConversion.from_space(SRGB, self.detour)(levels)

    def unrounded(self, pixels: Pixels) -> Floats:
        return self._in_space(pixels, FROM_XYZ)

    def _in_space(self, pixels: Pixels, from_xyz: Floats) -> Floats:
        full = np.full((1,) * (pixels.ndim - 1), 255, np.uint8)
        levels = [*np.moveaxis(pixels, -1, 0), full][: self.table.channel_count]
        x, y, z = np.moveaxis(self.table.xyz(levels, inverted=self.is_ink), -1, 0)
        linear = [row[0] * x + row[1] * y + row[2] * z for row in from_xyz]
        return np.stack([SRGB_INVERSE(each, fused=False) for each in linear], axis=-1)
