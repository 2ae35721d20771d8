"""Reads an ICC profile as skcms does for Chrome: what skcms refuses is no profile.

A profile has formulas, curves and a matrix; or a table of colours; or both. With both, Chrome converts by the table to
the colour space of the formulas, and then to sRGB. Here that detour is made only where that space has sRGB's curve.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass

import numpy as np

from face128.photos.canvas.colour_space import ColourSpace, cicp_conversion
from face128.photos.canvas.colour_table import ColourTable
from face128.photos.canvas.conversions import Conversion, TableConversion
from face128.photos.canvas.skia_curves import SRGB, Floats, read_curve, read_fixed

MAX_PROFILE_BYTES = 4 * 2**20
"""The profiles of printing presses have up to 3 MB. A larger one is ignored."""

_HEADER = struct.Struct(">I4xB3x4s4s4s12x4s28x3i48xI")
_TAG = struct.Struct(">4sII")
_MAX_TAGS = 1000  # a profile has about 20
_D50 = np.array([0.9642, 1, 0.8249])


@dataclass(frozen=True)
class IccProfile:
    data: bytes
    space: str
    """Of the pixels: "RGB", "GRAY" or "CMYK"."""
    connection: bytes
    """The profile leads to b"XYZ " or to b"Lab "."""
    illuminant: Floats
    tags: dict[bytes, slice]
    """Places in ``data``; several may be the same, and as long as the profile."""

    @classmethod
    def parse(cls, data: bytes) -> IccProfile | None:
        """None for what is not a profile of version 4 or below, with every tag inside it."""
        if not _HEADER.size <= len(data) <= MAX_PROFILE_BYTES:
            return None
        size, version, _, space, connection, signature, *white, tag_count = _HEADER.unpack_from(data)
        if signature != b"acsp" or version > 4 or connection not in (b"XYZ ", b"Lab ") or tag_count > _MAX_TAGS:
            return None
        illuminant = read_fixed(np.array(white))
        table_end = _HEADER.size + tag_count * _TAG.size
        if not table_end <= size <= len(data) or np.abs(illuminant - _D50).max() > 0.01:
            return None
        tags: dict[bytes, slice] = {}
        for name, start, length in _TAG.iter_unpack(data[_HEADER.size : table_end]):
            if length < 4 or start + length > size:
                return None
            tags.setdefault(name, slice(start, start + length))
        return cls(data, space.decode("latin-1").strip(), connection, illuminant, tags)

    def to_srgb(self) -> Conversion | None:
        """The conversion of RGB pixels; for CMYK, of those that Chrome makes without looking at the profile.

        They are then ink to the profile, without black. None if the profile is sRGB, or to be ignored.
        """
        code_points = self._tag(b"cicp")
        if self.space != "CMYK" and code_points[:4] == b"cicp" and len(code_points) >= 12:
            known, conversion = cicp_conversion(*code_points[8:10])
            if known:
                return conversion
        space = None if self.space == "CMYK" else self._formulas()
        if b"A2B0" not in self.tags and b"A2B1" not in self.tags:
            return space.to_srgb() if space else None
        tag = self._tag(b"A2B0" if b"A2B0" in self.tags else b"A2B1")
        table = ColourTable.parse(tag, gives_lab=self.connection == b"Lab ")
        named = space.named() if space else None
        detour = named.matrix if named and named.curves[0] == SRGB else None
        return TableConversion(table, self.space == "CMYK", detour) if table else None

    def _formulas(self) -> ColourSpace | None:
        grey = self.space == "GRAY" and b"kTRC" in self.tags
        curves = [read_curve(self._tag(name)) for name in ((b"kTRC",) * 3 if grey else (b"rTRC", b"gTRC", b"bTRC"))]
        matrix = self._grey_matrix() if grey else self._matrix()
        if matrix is None or curves[0] is None or curves[1] is None or curves[2] is None:
            return None
        return ColourSpace((curves[0][0], curves[1][0], curves[2][0]), matrix)

    def _grey_matrix(self) -> Floats | None:
        return np.diag(self.illuminant) if self.connection == b"XYZ " else None

    def _matrix(self) -> Floats | None:
        columns = [self._tag(name) for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        if any(tag[:4] != b"XYZ " or len(tag) < 20 for tag in columns):
            return None
        return np.stack([read_fixed(np.frombuffer(tag[8:20], ">i4")) for tag in columns], axis=-1)

    def _tag(self, name: bytes) -> bytes:
        return self.data[self.tags[name]] if name in self.tags else b""
