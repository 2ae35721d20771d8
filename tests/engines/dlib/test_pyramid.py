"""The pyramid's scores and boxes against those of dlib's own search of the whole photo."""

from __future__ import annotations

import io

import dlib
import numpy as np
import pytest
from PIL import Image
from serving import photo

from face128.engines.dlib.fhog_state import single_level_detector
from face128.engines.dlib.pyramid import Pyramid

WHOLE = dlib.get_frontal_face_detector()
LEVEL = single_level_detector(WHOLE)
SIZES = [(150, 187), (187, 150), (251, 250), (316, 316), (90, 640)]
"""Odd and even sides."""


def small(size: tuple[int, int]) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(photo("obama-2012.jpg"))).convert("RGB").resize(size, Image.Resampling.BOX))


def whole(rgb: np.ndarray) -> list[tuple[tuple[int, int, int, int], float]]:
    boxes, scores, _ = WHOLE.run(rgb, 1, 0.0)
    return [((b.left(), b.top(), b.right(), b.bottom()), score) for b, score in zip(boxes, scores, strict=True)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("mistaken", [(0, 0, 1.0), (0.2, -0.2, 1.0), (0.0, 0.2, 1.25), (-0.1, 0.1, 0.8)])
def test_near_a_face_it_gives_dlibs_box_and_score(size: tuple[int, int], mistaken: tuple[float, float, float]) -> None:
    rgb = small(size)
    for (left, top, right, bottom), score in whole(rgb):
        x, y, scale = mistaken
        width = right - left
        middle = (left + right) / 2 + x * width, (top + bottom) / 2 + y * width
        about = [round(m + sign * scale * width / 2) for sign in (-1, 1) for m in middle]
        found = dict(Pyramid(rgb).search_around(LEVEL, tuple(about)))
        assert found.get((left, top, right, bottom)) == pytest.approx(score, abs=1e-5)


def test_the_photos_of_this_test_have_faces_at_several_levels() -> None:
    widths = {box[2] - box[0] for size in SIZES for box, _ in whole(small(size))}
    assert min(widths) < 45 < 85 < max(widths)


@pytest.mark.parametrize("corner", [(0, 0), (1, 0), (0, 1), (1, 1)])
def test_a_face_over_the_edge_has_dlibs_score_too(corner: tuple[int, int]) -> None:
    portrait = Image.open(io.BytesIO(photo("obama-2012.jpg"))).convert("RGB").crop((349, 142, 617, 409))
    rgb = np.full((200, 230, 3), 128, np.uint8)
    x, y = corner[0] * (230 - 70), corner[1] * (200 - 70)
    rgb[y : y + 70, x : x + 70] = np.asarray(portrait.resize((70, 70), Image.Resampling.BOX))
    ((box, score),) = whole(rgb)
    assert dict(Pyramid(rgb).search_around(LEVEL, box)).get(box) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("shift", [80, 28])
def test_a_face_elsewhere_is_not_reported(shift: int) -> None:
    rgb = small((251, 250))
    ((left, top, right, bottom), _) = whole(rgb)[0]
    assert list(Pyramid(rgb).search_around(LEVEL, (left - shift, top, right - shift, bottom))) == []


def test_a_much_larger_face_is_not_reported() -> None:
    rgb = small((251, 250))
    ((left, top, right, bottom), _) = whole(rgb)[0]
    assert list(Pyramid(rgb).search_around(LEVEL, (left + 20, top + 20, right - 20, bottom - 20))) == []
