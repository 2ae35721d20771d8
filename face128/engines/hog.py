"""Finds faces with dlib's HOG detector: exactly as face_recognition does, or about as well and many times faster.

``exact`` searches the whole photo with one upsampling. ``fast`` searches a grey copy just large enough for the face,
and looks again on a larger copy wherever a second, smaller face could make a difference:

1. a copy with its longest side at most 400 pixels, then one at most 1000, then the finest, until there is a face;
2. one face, clearly seen: look again at the scale that shows faces down to about 2/5 of its width;
3. several faces, or one that is doubtful: look again at the finest scale.

The finest scale is exact's own (2), as long as the copy stays within 10 megapixels. All copies are levels of exact's
own pyramid (2 * (5/6)^n), in its phase, so that most faces get the very box that exact gives them.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import dlib
import numpy as np
from PIL import Image

from face128.images import Photo

FACE = 72  # width in pixels of the box of the smallest face that the detector finds without upsampling
FIRST_SIDES = (400, 1000)
SECOND_FACE = 2.5  # a second face is looked for down to about 1/2.5 of the width of the first
CHIP_FACE = 150  # width of a face in the decoded photo from which the chip is only ever scaled down
DOUBTFUL = 0.5  # below this score a hit is as likely something else: on LFW, .4 of the hits at 0..0.25, .7 at 0.25..0.5
MOST_PIXELS = 10_000_000  # of a copy that is searched; at 53 ns a pixel, half a second
SMALL = 400_000  # up to this many upsampled pixels the exact search costs no more than the detours

# dlib shifts the picture by a fraction of a pixel at each level of its pyramid; at any level it comes to this.
# Found by comparing boxes with exact's: at 0.6 three quarters are the same to a pixel, at 0 one quarter.
PHASE = 0.6


@dataclass(frozen=True)
class Hit:
    """A face that the detector found."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom) in pixels of the photo at full size; it may reach over the edge."""
    score: float
    """The HOG score: the distance to the classifier's plane; above 0 for all that it reports."""

    @property
    def width(self) -> int:
        return self.box[2] - self.box[0]

    @property
    def confidence(self) -> float:
        """The score mapped to 0..1 by the logistic function of 2.2 * score.

        0.5 is the detector's own decision (score 0). The slope is fitted: of the hits on 517 photos of Labeled Faces in
        the Wild, the share at a given score that was the face in the middle runs .65 at 0.4, .77 at 0.6, .92 at 1.1,
        .974 at 1.6.
        """
        return 1 / (1 + math.exp(-2.2 * self.score))


class HogDetector:
    """One detector a thread: a shared one crashes the process.

    Making one costs 0.2 s, in which no other thread runs; a copy, 1 ms. So the first is only ever copied.
    """

    def __init__(self, mode: Literal["fast", "exact"]) -> None:
        self._first = dlib.get_frontal_face_detector()
        self._find = self._exact if mode == "exact" else self._fast
        self._local = threading.local()

    def find(self, photo: Photo) -> list[Hit]:
        """Every face, the highest score first."""
        return self._find(photo)

    def _exact(self, photo: Photo) -> list[Hit]:
        # Full image, one upsampling, threshold 0: face_recognition.face_locations(image).
        return _hits(self._detector.run(photo.rgb(), 1, 0.0))

    def _fast(self, photo: Photo) -> list[Hit]:
        pixels = photo.width * photo.height
        if 4 * pixels <= SMALL:
            return self._exact(photo)
        finest = _level(math.sqrt(MOST_PIXELS / pixels))
        for side in FIRST_SIDES:
            scale = _level(side / max(photo.width, photo.height))
            hits = self._at(photo, scale) if scale < finest else []
            if len(hits) == 1 and hits[0].score >= DOUBTFUL:
                again = _level(FACE * SECOND_FACE / hits[0].width, round)
                if scale < again < finest:
                    hits = self._at(photo, again)
                if len(hits) == 1 and again < finest:
                    return hits
            if hits:
                break
        return self._at(photo, finest)

    def _at(self, photo: Photo, scale: float) -> list[Hit]:
        """Search a grey copy of the photo at this scale (its pixels to one of the photo); at the top, as exact."""
        if scale == 2.0:
            return self._exact(photo)
        shrink = max(n for n in photo.shrinks if n == 1 or (n <= _coarsest(photo) and n * scale <= 1))
        grey = Image.fromarray(photo.rgb(shrink)).convert("L")
        size = round(photo.width * scale), round(photo.height * scale)
        # The copy begins PHASE of its own pixels inside the photo.
        left, top = (PHASE * side / copied for side, copied in zip(grey.size, size, strict=True))
        small = grey.resize(size, Image.Resampling.BOX, box=(left, top, *grey.size))
        x_step, y_step = (photo.width - left * shrink) / size[0], (photo.height - top * shrink) / size[1]
        found = self._detector.run(np.asarray(small), 0, 0.0)
        return _hits(found, lambda x, y: (round(x * x_step + left * shrink), round(y * y_step + top * shrink)))

    @property
    def _detector(self) -> dlib.fhog_object_detector:
        if not hasattr(self._local, "detector"):
            self._local.detector = copy.copy(self._first)
        return self._local.detector


def shrink_for(photo: Photo, face_width: int) -> int:
    """The scale of decoding at which a face of this width still has pixels enough for its chip."""
    return max(n for n in photo.shrinks if n == 1 or (n <= _coarsest(photo) and face_width / n >= CHIP_FACE))


def _coarsest(photo: Photo) -> int:
    """The shrink at which the longest side is still some 1000 pixels: one decoding then serves search and chip."""
    return max(1, max(photo.width, photo.height) // 900)


def _level(scale: float, rounded: Callable[[float], int] = math.ceil) -> float:
    """The scale of exact's pyramid (2 at the top) that is next below this one, or with ``round`` the nearest."""
    steps = math.log(scale / 2) / math.log(5 / 6)
    return 2.0 * (5 / 6) ** max(0, rounded(round(steps, 9)))


def _hits(
    found: tuple[Sequence[dlib.rectangle], Sequence[float], object],
    place: Callable[[int, int], tuple[int, int]] = lambda x, y: (x, y),
) -> list[Hit]:
    """What the detector found, its corners put into place on the photo."""
    return [
        Hit((*place(box.left(), box.top()), *place(box.right(), box.bottom())), score)
        for box, score in zip(found[0], found[1], strict=True)
    ]
