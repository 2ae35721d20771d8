"""Finds faces with dlib's HOG detector: exactly as face_recognition does, or about as well and many times faster.

``exact`` searches the whole photo with one upsampling. ``fast`` starts with a grey copy of at most 250 pixels on its
longest side, and then searches only where a face is likely:

1. no face yet: scan larger and larger copies with the half-size detector (fhog_state.py), and search a crop around each
   candidate that it reports;
2. one face: scan for more faces down to about 2/5 of its width in the same way;
3. several faces: scan for more down to the finest scale;
4. doubtful detections, or more candidates than are quicker to search one by one: search the whole photo.

A small photo is scanned at every scale, and exact's own score is computed around each candidate (pyramid.py). The whole
photo is searched only if there is no face at all, or if there are too many candidates.

The finest scale is exact's own (2), as long as the copy has at most 10 megapixels. All copies are levels of exact's own
pyramid (2 * (5/6)^n), in its phase, so that most faces get the very box that exact gives them.
"""

from __future__ import annotations

import copy
import math
import threading
from collections.abc import Callable, Iterable, Sequence
from itertools import chain
from typing import Literal

import dlib
import numpy as np
import numpy.typing as npt

from face128.engines.dlib.detection import HogDetection, distinct, to_detections
from face128.engines.dlib.fhog_state import single_level_detector
from face128.engines.dlib.pyramid import FACE_WIDTH_PX, Pyramid
from face128.engines.dlib.scaled_copy import grey_copy, pyramid_scale
from face128.helper_thread import helper
from face128.memory_limit import this_process
from face128.photos.photo import Photo

FIRST_COPY_SIDE_PX = 250  # longest side of the first copy
LAST_COPY_SIDE_PX = 1000  # of the largest copy that is scanned before the whole photo is searched for a first face
SECOND_FACE_RATIO = 2.5  # a second face is looked for down to about 1/2.5 of the width of the first
# A detection below this score is doubtful: on LFW, .4 of those at 0..0.25 were faces, .7 of those at 0.25..0.5.
MIN_CLEAR_SCORE = 0.5
MAX_COPY_PIXELS = 10_000_000  # of a copy that is searched; at 53 ns a pixel, half a second
SEARCH_BYTES_A_PIXEL = 13  # of a copy that is searched: itself, and 31 floats for each 8 x 8 pixels of every level
MIN_LARGE_PHOTO_PIXELS = 1_000_000  # from here a detector's memory may be released after a photo
MAX_SMALL_PHOTO_PIXELS = 400_000  # after exact's upsampling; a photo up to this size is scanned at every scale

# Scores from which a place is a candidate for a face that exact finds. With these, of 4,667 photos (LFW's view 1, its
# mirror images and crops, 20 others) one mirror image was counted otherwise than by exact: one face less, for a score
# below 0.01; of 160 copies of 26 photos, between 0.3 and 2.2 megapixels, two: one less for a score of 0.15 that is no
# face.
CANDIDATE_SCORE = -0.3  # in a copy: the score in exact's search may be above 0
HALF_SIZE_CANDIDATE_SCORE = -0.7  # of the half-size detector
CROP_CANDIDATE_SCORE = -0.4  # in a crop, where the detector's cells are aligned differently
SCAN_STEP_LEVELS = 2  # levels of the pyramid from one scan with the half-size detector to the next
CROP_FACE_WIDTH_PX = 86  # width of the candidate in its crop, at least: one or two levels above FACE_WIDTH_PX
CROP_MARGIN = 0.6  # of the candidate's width, on every side
MAX_CROPS = 4  # with more candidates, one search of the whole photo is no slower
MAX_CROPS_SMALL_PHOTO = 8


class _Detectors(threading.local):
    """Copies of dlib's detectors, made anew in each thread: a shared one crashes the process.

    Making one takes 0.2 s and holds the GIL, copying it 1 ms.
    """

    def __init__(self, *originals: dlib.fhog_object_detector) -> None:
        # The original, for a photo and its smaller copies; for one level of the pyramid; for copies of half the size.
        whole, self.level, half_size = map(copy.copy, originals)
        # The second of each for this thread's helper, where this object's attributes would be others.
        self.whole, self.half_size = (whole, copy.copy(whole)), (half_size, copy.copy(half_size))

    def release_memory(self) -> None:
        """A detector keeps the features of the last picture it searched, 30 to 800 MB: let it search a small one."""
        for detector in (*self.whole, self.level, *self.half_size):
            detector.run(np.zeros((100, 100), np.uint8), 0, 0.0)


def _tell_nobody(_: HogDetection) -> None: ...


class HogDetector:
    def __init__(self, mode: Literal["fast", "exact"]) -> None:
        whole = dlib.get_frontal_face_detector()
        self._detectors = _Detectors(whole, single_level_detector(whole), single_level_detector(whole, cell_px=4))
        self._mode = mode

    def find(self, photo: Photo, tell: Callable[[HogDetection], None] = _tell_nobody) -> list[HogDetection]:
        """Every face in the photo, the highest score first.

        ``tell`` is called with the first clear face, if others are looked for after it.
        """
        found = self._exact(photo) if self._mode == "exact" else self._fast(photo, tell)
        if photo.width * photo.height > MIN_LARGE_PHOTO_PIXELS and (self._mode == "exact" or this_process().is_scarce):
            self._detectors.release_memory()
        return found

    def search_copy(self, pixels: npt.NDArray[np.uint8], doublings: int = 0) -> list[HogDetection]:
        """Every face that dlib finds in an RGB or grey picture, which it doubles so often; in the picture's pixels."""
        return to_detections(self._detectors.whole[0].run(pixels, doublings, 0.0))

    def search_copies(self, copies: Sequence[Callable[[], npt.NDArray[np.uint8]]]) -> list[list[HogDetection]]:
        """The same in each of several pictures, without doubling."""
        detectors = self._detectors.whole

        def search(copy: Callable[[], npt.NDArray[np.uint8]], in_helper: bool) -> list[HogDetection]:
            return to_detections(detectors[in_helper].run(copy(), 0, 0.0))

        with helper() as second:
            return second.each(search, copies)

    def search_bytes(self, pixel_count: int) -> int:
        """The memory that ``find`` takes at most for a photo of so many pixels."""
        searched = 4 * pixel_count  # exact doubles both sides
        return SEARCH_BYTES_A_PIXEL * (searched if self._mode == "exact" else min(searched, MAX_COPY_PIXELS))

    def _exact(self, photo: Photo) -> list[HogDetection]:
        # Full image, one upsampling, threshold 0: face_recognition.face_locations(image).
        return to_detections(self._detectors.whole[0].run(photo.rgb(), 1, 0.0))

    def _fast(self, photo: Photo, tell: Callable[[HogDetection], None]) -> list[HogDetection]:
        pixels, side = photo.width * photo.height, max(photo.width, photo.height)
        finest, scale = pyramid_scale(math.sqrt(MAX_COPY_PIXELS / pixels)), pyramid_scale(FIRST_COPY_SIDE_PX / side)
        if scale >= finest:
            return self._search(photo, finest)
        if 4 * pixels <= MAX_SMALL_PHOTO_PIXELS:
            return self._fast_in_small_photo(photo, scale)
        last_scale = min(finest, pyramid_scale(LAST_COPY_SIDE_PX / side))
        found = self._search(photo, scale, CANDIDATE_SCORE)
        faces = _clear(found)
        # 1. Look for a first face.
        in_crops: list[HogDetection] = []
        while not faces:
            candidates = distinct(found, in_crops)
            in_crops += self._search_crops(photo, candidates, finest)
            faces = _clear(in_crops)
            if len(candidates) > MAX_CROPS or not (faces or scale < last_scale):
                return self._search(photo, finest)
            found = []
            if not faces:
                scale = min(last_scale, scale * (6 / 5) ** SCAN_STEP_LEVELS)
                found = self._scan(photo, [scale])
        # 2 and 3. Look for more faces.
        if len(faces) == 1:
            tell(faces[0])
        second = pyramid_scale(FACE_WIDTH_PX * SECOND_FACE_RATIO / faces[0].width, round)
        others_scale = min(finest, second) if len(faces) == 1 else finest
        found += self._scan(photo, _scan_scales(others_scale, scale))
        candidates = distinct(found, faces + in_crops)
        others = distinct([*in_crops, *self._search_crops(photo, candidates, finest)], faces)
        certain = len(candidates) <= MAX_CROPS and len(_clear(others)) == len(others)
        if certain and (not others or others_scale == finest):
            return distinct(faces + others)
        # 4. Search the whole photo.
        detections = self._search(photo, others_scale)
        return detections if len(detections) == 1 or others_scale == finest else self._search(photo, finest)

    def _fast_in_small_photo(self, photo: Photo, scale: float) -> list[HogDetection]:
        whole, half_size = self._detectors.whole, self._detectors.half_size

        def look(scan_scale: float | None, in_helper: bool) -> list[HogDetection]:
            if scan_scale is None:
                return _search(whole[in_helper], photo, scale, CANDIDATE_SCORE)
            return _scan(half_size[in_helper], photo, scan_scale)

        with helper() as second:
            found, *scanned = second.each(look, [None, *_scan_scales(2.0, scale)])
        faces = _clear(found)
        candidates = distinct([*found, *chain.from_iterable(scanned)], faces)
        if len(candidates) > MAX_CROPS_SMALL_PHOTO:
            return self._exact(photo)
        if candidates:
            pyramid, level = Pyramid(photo.rgb()), self._detectors.level
            faces += [HogDetection(*each) for one in candidates for each in pyramid.search_around(level, one.box)]
        return distinct(faces) if faces else self._exact(photo)

    def _scan(self, photo: Photo, scales: Sequence[float]) -> list[HogDetection]:
        """Candidates for faces of the detector's size at these scales."""
        detectors = self._detectors.half_size

        def scan(scale: float, in_helper: bool) -> list[HogDetection]:
            return _scan(detectors[in_helper], photo, scale)

        with helper() as second:
            return list(chain.from_iterable(second.each(scan, scales)))

    def _search_crops(self, photo: Photo, candidates: Sequence[HogDetection], finest: float) -> list[HogDetection]:
        """What the detector finds around these candidates, other candidates included; nothing if they are too many."""
        if len(candidates) > MAX_CROPS:
            return []
        detectors = self._detectors.whole

        def search(candidate: HogDetection, in_helper: bool) -> list[HogDetection]:
            return _search_crop(detectors[in_helper], photo, candidate, finest)

        with helper() as second:
            return distinct(list(chain.from_iterable(second.each(search, candidates))))

    def _search(self, photo: Photo, scale: float, threshold: float = 0.0) -> list[HogDetection]:
        """Search the whole photo at this scale; at scale 2, as ``exact`` does."""
        if scale == 2.0:
            return self._exact(photo)
        return _search(self._detectors.whole[0], photo, scale, threshold)


def _clear(detections: Iterable[HogDetection]) -> list[HogDetection]:
    return [detection for detection in detections if detection.score >= MIN_CLEAR_SCORE]


def _search(detector: dlib.fhog_object_detector, photo: Photo, scale: float, threshold: float) -> list[HogDetection]:
    grey, to_photo = grey_copy(photo, scale)
    return to_detections(detector.run(grey, 0, threshold), to_photo)


def _scan_scales(first: float, last: float) -> list[float]:
    """From ``first`` down, above ``last``, which has been searched already."""
    scales = []
    while first > last * 1.01:
        scales.append(first)
        first *= (5 / 6) ** SCAN_STEP_LEVELS
    return scales


def _scan(detector: dlib.fhog_object_detector, photo: Photo, scale: float) -> list[HogDetection]:
    """Candidates for faces of the size that a detector of half the size finds in a copy of half this scale."""
    grey, to_photo = grey_copy(photo, scale / 2, phase_px=0)
    return to_detections(detector.run(grey, 0, HALF_SIZE_CANDIDATE_SCORE), to_photo)


def _search_crop(
    detector: dlib.fhog_object_detector, photo: Photo, candidate: HogDetection, finest: float
) -> list[HogDetection]:
    scale = min(finest, pyramid_scale(CROP_FACE_WIDTH_PX / candidate.width, math.floor))
    top = scale == 2.0
    pixels, to_photo = (photo.rgb(), lambda x, y: (x, y)) if top else grey_copy(photo, scale)
    ratio = pixels.shape[1] / photo.width
    box, margin = np.array(candidate.box) * ratio, CROP_MARGIN * candidate.width * ratio
    # Multiples of 48: cells of 8 pixels then lie as in the whole copy, on the first level and on the next.
    left, upper = np.maximum(0, box[:2] - margin).astype(int) // 48 * 48
    right, lower = np.maximum(0, box[2:] + margin).astype(int)
    crop = np.ascontiguousarray(pixels[upper:lower, left:right])
    found = detector.run(crop, int(top), CROP_CANDIDATE_SCORE)
    return to_detections(found, lambda x, y: to_photo(x + left, y + upper))
