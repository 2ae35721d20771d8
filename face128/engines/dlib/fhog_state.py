"""dlib's face detector for one level of a pyramid, with its own cells or with smaller ones.

With cells of 4 pixels instead of 8 it sees in a photo of half the size what the original sees in the whole: a quarter
of the pixels gives as many cells. The scores are not the original's, but near enough to say where it could find a face
and where it will not: on the photos of Labeled Faces in the Wild in which the original finds several faces, their
mirror images and crops, each further face scores at least -0.6 there.
"""

from __future__ import annotations

import dlib


def single_level(original: dlib.fhog_object_detector, cell: int = 8) -> dlib.fhog_object_detector:
    """The detector with cells so many pixels wide, which makes no pyramid of the picture it is given.

    Its weights are those of ``original``, which is ``dlib.get_frontal_face_detector()``: making one takes long. Raises
    AssertionError for another detector.
    """
    (state,) = original.__getstate__()
    before, after = (
        _head(cell=8, window=80, levels=1000, least=64),
        _head(cell=cell, window=10 * cell, levels=1, least=8 * cell),
    )
    assert state.startswith(before)
    detector = dlib.fhog_object_detector.__new__(dlib.fhog_object_detector)
    detector.__setstate__((after + state[len(before) :],))
    return detector


def _head(cell: int, window: int, levels: int, least: int) -> bytes:
    """How such a detector begins (dlib's object_detector.h and scan_fhog_pyramid.h, ``serialize``).

    Two versions, an empty array (2 numbers), cell, padding, window's width and height, levels, least width and height.
    """
    return b"".join(_number(n) for n in (2, 1, 0, 0, cell, 0, window, window, levels, least, least))


def _number(value: int) -> bytes:
    """An integer: the count of bytes, then the bytes, the lowest first."""
    count = max(1, (value.bit_length() + 7) // 8)
    return bytes([count]) + value.to_bytes(count, "little")
