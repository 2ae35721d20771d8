"""A photo as it is searched, turned or lightened, and the way from its pixels back to the photo as it was sent."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from face128.domain.adjustments import NOT_ADJUSTED, Adjustments
from face128.engines.dlib.detection import Box, PointMap
from face128.engines.dlib.lightening import lighten
from face128.photos.photo import SHRINKS, Photo

MAX_VIEW_PIXELS = 4_000_000  # of a changed copy; a larger photo is shrunk. Its finest search sees 10 megapixels anyway
VIEW_BYTES_A_PIXEL = 16  # its RGB, once more as it was before, its grey copy, and one of Pillow's with four bytes


@dataclass(frozen=True)
class View:
    photo: Photo
    to_sent: PointMap = lambda x, y: (x, y)
    adjusted: Adjustments = NOT_ADJUSTED

    def turned(self, degrees: int) -> View:
        """Turned clockwise by 90, 180 or 270 degrees."""
        shrink = _view_shrink(self.photo)
        rgb = self.photo.rgb(shrink)
        height, width = rgb.shape[:2]
        to_upright: PointMap = {
            90: lambda x, y: (y, height - 1 - x),
            180: lambda x, y: (width - 1 - x, height - 1 - y),
            270: lambda x, y: (width - 1 - y, x),
        }[degrees]
        adjusted = replace(self.adjusted, turned=degrees)  # type: ignore[arg-type]
        return self._changed(turn(rgb, degrees), lambda x, y: _scaled(to_upright(x, y), shrink), adjusted)

    def lightened(self, gain: float) -> View:
        shrink = _view_shrink(self.photo)
        rgb = lighten(self.photo.rgb(shrink), gain)
        adjusted = replace(self.adjusted, lightened=True)
        return self._changed(rgb, lambda x, y: _scaled((x, y), shrink), adjusted)

    def with_margin(self) -> View:
        """The margin is only searched with: the pixels stay the same."""
        return replace(self, adjusted=replace(self.adjusted, margin_added=True))

    def box_to_sent(self, box: Box) -> Box:
        (x1, y1), (x2, y2) = self.to_sent(*box[:2]), self.to_sent(*box[2:])
        return min(x1, x2), min(y1, y2), max(x1, x2), max(y1, y2)

    def _changed(self, rgb: npt.NDArray[np.uint8], to_before: PointMap, adjusted: Adjustments) -> View:
        return View(Photo.from_rgb(rgb), lambda x, y: self.to_sent(*to_before(x, y)), adjusted)


def turn(pixels: npt.NDArray[np.uint8], degrees: int) -> npt.NDArray[np.uint8]:
    """Clockwise, by a multiple of 90 degrees."""
    # Not np.ascontiguousarray: it leaves the strides of a single row or column as they are, which dlib refuses.
    return np.rot90(pixels, -degrees // 90).copy()


def _view_shrink(photo: Photo) -> int:
    pixels = photo.width * photo.height
    return next((shrink for shrink in SHRINKS if pixels <= MAX_VIEW_PIXELS * shrink**2), SHRINKS[-1])


def _scaled(point: tuple[int, int], scale: int) -> tuple[int, int]:
    return point[0] * scale, point[1] * scale
