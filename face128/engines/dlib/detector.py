"""Finds faces with dlib's HOG detector: exactly as face_recognition does, or about as well and many times faster.

``exact`` searches the whole photo with one upsampling. ``fast`` searches a grey copy with its longest side at most 250
pixels, and beyond that only where there is something:

1. no face: look quickly (single_level.py) at larger and larger copies, and closer at each place where a face could be;
2. one face: look for others down to about 2/5 of its width in the same way;
3. several faces: look for others down to the finest scale;
4. what remains doubtful, and more places than are looked at faster one by one: search the whole photo.

In a small photo it looks quickly at every scale, and wherever a face could be it asks for exact's own score
(pyramid.py): the whole is searched only where there is no face at all, or too many places.

The finest scale is exact's own (2), as long as the copy stays within 10 megapixels. All copies are levels of exact's
own pyramid (2 * (5/6)^n), in its phase, so that most faces get the very box that exact gives them.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Self

import dlib
import numpy as np
import numpy.typing as npt
from PIL import Image

from face128.engines.dlib.fhog_state import single_level
from face128.engines.dlib.pyramid import Pyramid
from face128.photos.photo import Photo

Box = tuple[int, int, int, int]
"""(left, top, right, bottom) in pixels of the photo at full size; it may reach over the edge."""
Place = Callable[[int, int], tuple[int, int]]
"""From a point of the copy to that of the photo at full size."""

FACE = 72  # width in pixels of the box of the smallest face that the detector finds without upsampling
FIRST_SIDE = 250  # pixels of the longest side of the first copy
LAST_SIDE = 1000  # of the largest that is looked at before the whole photo is searched for a first face
SECOND_FACE = 2.5  # a second face is looked for down to about 1/2.5 of the width of the first
CHIP_FACE = 150  # width of a face in the decoded photo from which the chip is only ever scaled down
DOUBTFUL = 0.5  # below this score a hit is as likely something else: on LFW, .4 of the hits at 0..0.25, .7 at 0.25..0.5
MOST_PIXELS = 10_000_000  # of a copy that is searched; at 53 ns a pixel, half a second
SMALL = 400_000  # of a photo with so many upsampled pixels every scale is looked at

# What could be a face that exact finds. With these, of 4,667 photos (LFW's view 1, its mirror images and crops, 20
# others) one mirror image was counted otherwise than by exact: one face less, for a score below 0.01; of 160 copies of
# 26 photos, between 0.3 and 2.2 megapixels, two: one less for a score of 0.15 that is no face.
NEARLY = -0.3  # the score of a hit on the copy that may be above 0 in exact's
POSSIBLE = -0.7  # the half-size detector's score of what may be a face
EVERY = 2  # levels of the pyramid from one look of the half-size detector to the next
CLOSER_NEARLY = -0.4  # NEARLY in a closer look, where the detector's cells lie otherwise
CLOSER = 86  # width in pixels that the face has in a closer look, at least; one or two levels above FACE
AROUND = 0.6  # of its width, on every side: what is searched in a closer look
MOST_CLOSER = 4  # closer looks; where there are more places, one search of the whole is no slower
MOST_PLACES = 8  # the same of a small photo

# dlib shifts the picture by a fraction of a pixel at each level of its pyramid; at any level it comes to this.
# Found by comparing boxes with exact's: at 0.6 three quarters are the same to a pixel, at 0 one quarter.
PHASE = 0.6


@dataclass(frozen=True)
class Hit:
    """A face that the detector found."""

    box: Box
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


@dataclass(frozen=True)
class _Detectors:
    whole: dlib.fhog_object_detector
    """The original: for a photo and its smaller copies."""
    level: dlib.fhog_object_detector
    """For one level of the pyramid."""
    half_size: dlib.fhog_object_detector
    """For a copy of half the size."""

    @classmethod
    def make(cls) -> Self:
        whole = dlib.get_frontal_face_detector()
        return cls(whole, single_level(whole), single_level(whole, cell=4))

    def copy(self) -> Self:
        return type(self)(copy.copy(self.whole), copy.copy(self.level), copy.copy(self.half_size))


class HogDetector:
    """Detectors for each thread: a shared one crashes the process.

    Making one costs 0.2 s, in which no other thread runs; a copy, 1 ms. So the first ones are only ever copied.
    """

    def __init__(self, mode: Literal["fast", "exact"]) -> None:
        self._first = _Detectors.make()
        self._find = self._exact if mode == "exact" else self._fast
        self._local = threading.local()

    def find(self, photo: Photo) -> list[Hit]:
        """Every face, the highest score first."""
        return self._find(photo)

    def _exact(self, photo: Photo) -> list[Hit]:
        # Full image, one upsampling, threshold 0: face_recognition.face_locations(image).
        return _hits(self._detect.whole.run(photo.rgb(), 1, 0.0))

    def _fast(self, photo: Photo) -> list[Hit]:
        pixels, side = photo.width * photo.height, max(photo.width, photo.height)
        finest, scale = _level(math.sqrt(MOST_PIXELS / pixels)), _level(FIRST_SIDE / side)
        if scale >= finest:
            return self._at(photo, finest)
        if 4 * pixels <= SMALL:
            return self._fast_in_small(photo, scale)
        last = min(finest, _level(LAST_SIDE / side))
        seen = self._at(photo, scale, NEARLY)
        faces = [hit for hit in seen if hit.score >= DOUBTFUL]
        closer: list[Hit] = []
        while not faces:
            places = _apart(seen, closer)
            closer += self._look_closer(photo, places, finest)
            faces = [hit for hit in closer if hit.score >= DOUBTFUL]
            if len(places) > MOST_CLOSER or not (faces or scale < last):
                return self._at(photo, finest)
            scale = scale if faces else min(last, scale * (6 / 5) ** EVERY)
            seen = [] if faces else self._look_quickly(photo, scale)
        again = min(finest, _level(FACE * SECOND_FACE / faces[0].width, round)) if len(faces) == 1 else finest
        seen += self._look_quickly_down(photo, again, scale)
        places = _apart(seen, faces + closer)
        others = _apart([*closer, *self._look_closer(photo, places, finest)], faces)
        sure = len(places) <= MOST_CLOSER and all(hit.score >= DOUBTFUL for hit in others)
        if sure and (not others or again == finest):
            return _apart(faces + others)
        hits = self._at(photo, again)
        return hits if len(hits) == 1 or again == finest else self._at(photo, finest)

    def _fast_in_small(self, photo: Photo, scale: float) -> list[Hit]:
        seen = self._at(photo, scale, NEARLY)
        faces = [hit for hit in seen if hit.score >= DOUBTFUL]
        places = _apart(seen + self._look_quickly_down(photo, 2.0, scale), faces)
        if places and len(places) <= MOST_PLACES:
            pyramid = Pyramid(photo.rgb())
            faces += [Hit(*found) for place in places for found in pyramid.around(self._detect.level, place.box)]
        return _apart(faces) if faces and len(places) <= MOST_PLACES else self._exact(photo)

    def _look_quickly_down(self, photo: Photo, first: float, last: float) -> list[Hit]:
        """From one scale down to another, which has been searched."""
        seen = []
        while first > last * 1.01:
            seen += self._look_quickly(photo, first)
            first *= (5 / 6) ** EVERY
        return seen

    def _look_quickly(self, photo: Photo, scale: float) -> list[Hit]:
        """Where there could be a face that shows at this scale."""
        grey, place = _copy(photo, scale / 2, 0)
        return _hits(self._detect.half_size.run(grey, 0, POSSIBLE), place)

    def _look_closer(self, photo: Photo, places: Sequence[Hit], finest: float) -> list[Hit]:
        """What the detector finds at these places, with all that may be a face. Nothing where they are too many."""
        few = places if len(places) <= MOST_CLOSER else ()
        return _apart([hit for place in few for hit in self._around(photo, place, finest)])

    def _around(self, photo: Photo, hit: Hit, finest: float) -> list[Hit]:
        scale = min(finest, _level(CLOSER / hit.width, math.floor))
        top = scale == 2.0
        pixels, place = (photo.rgb(), _itself) if top else _copy(photo, scale, PHASE)
        across = pixels.shape[1] / photo.width
        box, margin = np.array(hit.box) * across, AROUND * hit.width * across
        # Cells of 8 pixels then lie as in the whole copy, on the first level and on the next.
        left, upper = np.maximum(0, box[:2] - margin).astype(int) // 48 * 48
        right, lower = np.maximum(0, box[2:] + margin).astype(int)
        piece = np.ascontiguousarray(pixels[upper:lower, left:right])
        return _hits(self._detect.whole.run(piece, int(top), CLOSER_NEARLY), lambda x, y: place(x + left, y + upper))

    def _at(self, photo: Photo, scale: float, threshold: float = 0.0) -> list[Hit]:
        """Search a grey copy of the photo at this scale (its pixels to one of the photo); at the top, as exact."""
        if scale == 2.0:
            return self._exact(photo)
        grey, place = _copy(photo, scale, PHASE)
        return _hits(self._detect.whole.run(grey, 0, threshold), place)

    @property
    def _detect(self) -> _Detectors:
        if not hasattr(self._local, "detectors"):
            self._local.detectors = self._first.copy()
        detectors: _Detectors = self._local.detectors
        return detectors


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


def _copy(photo: Photo, scale: float, phase: float) -> tuple[npt.NDArray[np.uint8], Place]:
    """A grey copy at this scale, which begins ``phase`` of its own pixels inside the photo, and the way back."""
    shrink = max(n for n in photo.shrinks if n == 1 or (n <= _coarsest(photo) and n * scale <= 1))
    grey = photo.grey(shrink)
    size = max(1, round(photo.width * scale)), max(1, round(photo.height * scale))
    left, top = (phase * side / copied for side, copied in zip(grey.size, size, strict=True))
    small = grey.resize(size, Image.Resampling.BOX, box=(left, top, *grey.size))
    x_step, y_step = (photo.width - left * shrink) / size[0], (photo.height - top * shrink) / size[1]
    return np.asarray(small), lambda x, y: (round(x * x_step + left * shrink), round(y * y_step + top * shrink))


def _same(face: Box, other: Box) -> bool:
    """Whether the detector takes the two for one face: test_box_overlap with the thresholds of dlib's face detector."""
    width = min(face[2], other[2]) - max(face[0], other[0])
    height = min(face[3], other[3]) - max(face[1], other[1])
    if width <= 0 or height <= 0:
        return False
    areas = [(box[2] - box[0]) * (box[3] - box[1]) for box in (face, other)]
    shared = width * height
    return shared > 0.33 * (sum(areas) - shared) or shared > 0.789 * min(areas)


def _itself(x: int, y: int) -> tuple[int, int]:
    return x, y


def _apart(hits: Sequence[Hit], known: Sequence[Hit] = ()) -> list[Hit]:
    """Those hits, the highest score first, that are none of the faces ``known``, nor one with a higher score."""
    apart: list[Hit] = []
    for hit in sorted(hits, key=lambda hit: -hit.score):
        if not any(_same(hit.box, other.box) for other in (*known, *apart)):
            apart.append(hit)
    return apart


def _hits(
    found: tuple[Sequence[dlib.rectangle], Sequence[float], object],
    place: Place = _itself,
) -> list[Hit]:
    """What the detector found, its corners put into place on the photo."""
    return [
        Hit((*place(box.left(), box.top()), *place(box.right(), box.bottom())), score)
        for box, score in zip(found[0], found[1], strict=True)
    ]
