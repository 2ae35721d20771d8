"""The half-size detector against dlib's own, on photos of twice the size."""

from __future__ import annotations

import io

import dlib
import numpy as np
import pytest
from PIL import Image
from serving import photo

from face128.engines.dlib.fhog_state import _state_header, single_level_detector


def test_the_header_that_is_replaced_is_dlibs_to_the_byte() -> None:
    (state,) = dlib.get_frontal_face_detector().__getstate__()
    assert state.startswith(_state_header(cell_px=8, window_px=80, max_levels=1000, min_side_px=64))


def test_it_finds_at_half_the_size_what_dlib_finds_at_full_size() -> None:
    portrait = Image.open(io.BytesIO(photo("obama-2012.jpg"))).convert("L")
    scale = 80 / 268  # dlib's box is 268 pixels wide; its window, 80
    whole, half = (portrait.resize((round(910 * s), round(1137 * s)), Image.Resampling.BOX) for s in (scale, scale / 2))
    (box,), _, _ = dlib.get_frontal_face_detector().run(np.asarray(whole), 0, 0.0)
    found, _, _ = single_level_detector(dlib.get_frontal_face_detector(), cell_px=4).run(np.asarray(half), 0, 0.0)
    corners = [found[0].left(), found[0].top(), found[0].right(), found[0].bottom()]
    assert np.abs(2 * np.array(corners) - [box.left(), box.top(), box.right(), box.bottom()]).max() < 12


def test_another_detector_than_dlibs_is_refused() -> None:
    with pytest.raises(AssertionError):
        single_level_detector(single_level_detector(dlib.get_frontal_face_detector()))
