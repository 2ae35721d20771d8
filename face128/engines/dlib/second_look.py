"""Photos in which the detector finds no face, or a doubtful one: dark, turned, or cropped too tightly.

1. A dark photo is lightened and searched again.
2. If there is still no clear face, reduced copies turned by 90, 180 and 270 degrees are searched. Where one has a face,
   the photo is searched as it is then, and the orientation with the clearly higher score wins. An upside-down face
   often passes as an upright one, with a lower score than it has when it is turned.
3. If there is still no face, it may fill the photo: a small copy in a grey margin is searched, in each orientation.

Of what is found, every dark face is lightened by itself before it is described. Nothing here changes a photo with a
clear face that is not dark. docs/photos.md has the figures.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import NamedTuple

import numpy as np
from PIL import Image

from face128.engines.dlib.detection import HogDetection, scaled
from face128.engines.dlib.detector import HogDetector
from face128.engines.dlib.lightening import face_gain, photo_gain
from face128.engines.dlib.scaled_copy import chip_shrink, grey_copy, pyramid_scale
from face128.engines.dlib.views import MAX_VIEW_PIXELS, VIEW_BYTES_A_PIXEL, View, turn
from face128.photos.photo import Photo

# From here a detection is clear. In view 1 of Labeled Faces in the Wild the scores of upside-down and sideways faces
# stay below it, at most 0.72. 1 photo in 9 has an upright face below it, which costs the search of three turned copies.
CLEAR_SCORE = 0.9
MIN_TURNED_SCORE = 0.3  # of a face in a turned photo; 99 % of the upright faces there have it
# By which it must be higher than that of the best face in the photo as it is. There, each upright face has at least
# 0.21 more than what is found in the same photo when it is turned.
MIN_TURNED_GAIN = 0.1
# Longest side of the copies that are turned. A small photo is enlarged to the first, a large one shrunk to the second:
# a face of 1/8 of the longer side is found.
MIN_TURNED_COPY_PX, MAX_TURNED_COPY_PX = 420, 640

MARGIN = 0.25  # of the photo's longer side, on every side
MARGIN_LEVEL = 128  # grey: found more faces than black, the photo's mean, its edges or its mirror image
FILLING_SIDE_PX = 90  # shorter side of the photo in the copy with a margin: a face that fills it is found at once
MIN_FILLING_FACE = 0.6  # width of a face that fills the photo, of the photo's shorter side
MAX_FILLED_RATIO = 2.0  # longer to shorter side of a photo that a face may fill

ORIENTATIONS = (90, 270, 180)  # degrees clockwise, as often as phones need them


class Sighting(NamedTuple):
    view: View
    detection: HogDetection
    """In pixels of the view."""


class SecondLook:
    def __init__(self, detector: HogDetector) -> None:
        self._detector = detector

    def find(self, photo: Photo, tell: Callable[[Sighting], None] | None = None) -> list[Sighting]:
        """Every face in the photo, the highest score first.

        ``tell`` is called with the first, if it is likely to be the only one, before others are looked for. If it is
        returned, it is the same object.
        """
        plain, told = View(photo), list[Sighting]()

        def tell_first(detection: HogDetection) -> None:
            if tell is not None and not told:
                told.append(_sighting(plain, detection))
                tell(told[0])

        view, found = plain, self._detector.find(photo, tell_first)
        if _best_score(found) < CLEAR_SCORE:
            if len(found) == 1:
                tell_first(found[0])
            view, found = self._look_again(view, found)
        known = {sighting.detection: sighting for sighting in told} if view is plain else {}
        return [known.get(detection) or _sighting(view, detection) for detection in found]

    def _look_again(self, view: View, found: list[HogDetection]) -> tuple[View, list[HogDetection]]:
        gain = photo_gain(view.photo.rgb(_smallest_shrink(view.photo)))
        if gain > 1:
            lighter = view.lightened(gain)
            if found_lighter := self._detector.find(lighter.photo):
                view, found = lighter, found_lighter
            elif not found:
                view = lighter
            if _best_score(found) >= CLEAR_SCORE:
                return view, found
        turned = self._turned(view, found)
        if turned is not None:
            return turned
        return (view, found) if found else self._with_margin(view)

    def _turned(self, view: View, found: Sequence[HogDetection]) -> tuple[View, list[HogDetection]] | None:
        """The photo upright and its faces, if it has a clearly better face turned than those found."""
        side = max(view.photo.width, view.photo.height)
        copy_side = min(MAX_TURNED_COPY_PX, max(MIN_TURNED_COPY_PX, side))
        copy, _ = grey_copy(view.photo, pyramid_scale(copy_side / side))
        found_in_copies = self._detector.search_copies([partial(turn, copy, degrees) for degrees in ORIENTATIONS])
        scores = dict(zip(ORIENTATIONS, map(_best_score, found_in_copies), strict=True))
        # A copy's score may be some tenths off: the photo itself decides.
        for degrees in sorted(scores, key=lambda each: -scores[each]):
            if scores[degrees] == -math.inf:
                break
            turned = view.turned(degrees)
            found_turned = self._detector.find(turned.photo)
            if _best_score(found_turned) >= max(MIN_TURNED_SCORE, _best_score(found) + MIN_TURNED_GAIN):
                return turned, found_turned
        return None

    def _with_margin(self, view: View) -> tuple[View, list[HogDetection]]:
        short, long = sorted((view.photo.width, view.photo.height))
        scale = FILLING_SIDE_PX / short
        if scale > 2 or long > MAX_FILLED_RATIO * short:
            return view, []
        grey = view.photo.grey(_smallest_shrink(view.photo, scale))
        size = max(1, round(view.photo.width * scale)), max(1, round(view.photo.height * scale))
        margin = round(MARGIN * max(size))
        copy = np.asarray(grey.resize(size, Image.Resampling.BILINEAR))
        copy = np.pad(copy, margin, constant_values=MARGIN_LEVEL)
        best: tuple[int, HogDetection] | None = None
        orientations = (0, *ORIENTATIONS)
        found_in_copies = self._detector.search_copies([partial(turn, copy, degrees) for degrees in orientations])
        for degrees, faces in zip(orientations, found_in_copies, strict=True):
            for face in faces:
                least = max(MIN_TURNED_SCORE if degrees else 0.0, best[1].score if best else 0.0)
                if face.score > least and face.width >= MIN_FILLING_FACE * FILLING_SIDE_PX:
                    best = degrees, face
        if best is None:
            return view, []
        degrees, face = best
        turned = view.turned(degrees) if degrees else view
        to_photo = turned.photo.width / (size[1] if degrees in (90, 270) else size[0])
        left, top, right, bottom = (side - margin for side in face.box)
        return turned.with_margin(), [replace(face, box=scaled((left, top, right, bottom), to_photo))]


def view_bytes(pixel_count: int) -> int:
    """The memory that the changed copies of a photo of so many pixels take."""
    return VIEW_BYTES_A_PIXEL * min(pixel_count, MAX_VIEW_PIXELS)


def _sighting(view: View, detection: HogDetection) -> Sighting:
    """The face in the view in which it is described: a lighter one for a dark face."""
    shrink = chip_shrink(view.photo, detection.width)
    gain = face_gain(view.photo.rgb(shrink), scaled(detection.box, 1 / shrink))
    if gain <= 1:
        return Sighting(view, detection)
    lighter = view.lightened(gain)
    scale = lighter.photo.width / view.photo.width
    return Sighting(lighter, replace(detection, box=scaled(detection.box, scale)))


def _smallest_shrink(photo: Photo, scale: float = 0.1) -> int:
    """The largest shrink that the photo is decoded at directly, and that leaves enough pixels for the scale."""
    return max(shrink for shrink in photo.shrinks if shrink == 1 or shrink * scale <= 1)


def _best_score(found: Sequence[HogDetection]) -> float:
    return max((detection.score for detection in found), default=-math.inf)
