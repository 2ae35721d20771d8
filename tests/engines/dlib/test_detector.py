"""Fast detection against exact: the same faces, or a stated difference."""

from __future__ import annotations

import io

import numpy as np
import pytest
from paths import LFW
from PIL import Image
from serving import photo

from face128.engines.dlib.detection import HogDetection
from face128.engines.dlib.detector import MIN_CLEAR_SCORE, HogDetector
from face128.photos.photo import Photo, open_photo

FAST, EXACT = HogDetector("fast"), HogDetector("exact")


def with_a_second_face(ratio: float) -> Photo:
    """A portrait, and beside it another whose face is ``ratio`` times as wide."""
    first, second = (Image.open(io.BytesIO(photo(f"obama-{year}.jpg"))) for year in (2012, 2009))
    small = second.resize((round(second.width * ratio), round(second.height * ratio)), Image.Resampling.LANCZOS)
    both = Image.new("RGB", (first.width + small.width, first.height), "grey")
    both.paste(first, (0, 0))
    both.paste(small, (first.width, 40))
    return Photo.from_rgb(np.asarray(both))


@pytest.mark.parametrize("ratio", [1.0, 0.8, 0.6, 0.5, 0.42])
def test_a_second_face_down_to_two_fifths_of_the_first_is_found(ratio: float) -> None:
    both = with_a_second_face(ratio)
    assert len(EXACT.find(both)) == 2
    assert len(FAST.find(both)) == 2


@pytest.mark.parametrize("factor", [0.15, 0.25, 0.5, 1.0, 2.0, 4.0])
def test_the_face_is_found_at_every_size_of_photo(factor: float) -> None:
    image = Image.open(io.BytesIO(photo("obama-2012.jpg")))
    image = image.resize((round(image.width * factor), round(image.height * factor)), Image.Resampling.LANCZOS)
    file = io.BytesIO()
    image.save(file, "JPEG", quality=92)
    (hit,) = FAST.find(open_photo(file.getvalue()))
    # face_recognition finds it at (349, 142, 617, 409) in the original.
    wanted = np.array([349, 142, 617, 409]) * factor
    assert np.abs(np.array(hit.box) - wanted).max() < 0.15 * 268 * factor


def test_a_small_face_in_a_large_photo_is_found_in_a_crop() -> None:
    portrait = Image.open(io.BytesIO(photo("hopper-1984.jpg"))).resize((171, 200), Image.Resampling.LANCZOS)
    wide = Image.new("RGB", (2000, 1500), "grey")
    wide.paste(portrait, (1500, 1000))
    (hit,) = FAST.find(Photo.from_rgb(np.asarray(wide)))
    assert 1500 < hit.box[0] < hit.box[2] < 1671


def test_a_photo_without_a_face_has_none_at_any_size() -> None:
    noise = np.random.default_rng(1).integers(0, 256, (40, 50, 3), np.uint8)
    for size in ((60, 50), (700, 500), (3000, 2500)):
        image = Image.fromarray(noise).resize(size, Image.Resampling.BICUBIC)
        assert FAST.find(Photo.from_rgb(np.asarray(image))) == []


@pytest.mark.parametrize("size", [(1, 1), (1, 900), (3000, 1), (79, 79), (16, 2000)])
def test_photos_of_odd_shapes_are_searched_without_error(size: tuple[int, int]) -> None:
    assert FAST.find(Photo.from_rgb(np.zeros((size[1], size[0], 3), np.uint8))) == []


def test_a_doubtful_detection_makes_it_search_as_exact_does() -> None:
    collins = open_photo(photo("collins-1999.png"))
    hits = FAST.find(collins)
    assert [hit.box for hit in hits] == [hit.box for hit in EXACT.find(collins)]
    assert hits[1].score < MIN_CLEAR_SCORE


def test_confidence_is_half_at_the_detectors_own_threshold_and_rises() -> None:
    scores = [0.0, 0.2, 0.5, 1.0, 2.0, 4.0]
    confidences = [HogDetection((0, 0, 1, 1), score).confidence for score in scores]
    assert confidences[0] == 0.5
    assert confidences == sorted(set(confidences))
    assert confidences[-1] < 1


LFW_IMAGES = LFW / "images"
# In each exact finds two faces, the second with a score of 0.29, 0.17, 0.08, 0.02, and 36 to 75 pixels wide.
FAINT = ("Simon_Cowell_0001", "Rod_Blagojevich_0001", "Patrick_Leahy_0001", "Sofyan_Dawood_0001")


@pytest.mark.skipif(not LFW_IMAGES.exists(), reason="../shared/data/lfw-view1 is not there")
@pytest.mark.parametrize("name", FAINT)
def test_a_faint_second_face_of_a_small_photo_is_counted(name: str) -> None:
    small = open_photo((LFW_IMAGES / name[:-5] / f"{name}.jpg").read_bytes())
    assert len(EXACT.find(small)) == len(FAST.find(small)) == 2


def test_a_small_portrait_is_not_searched_exactly(monkeypatch: pytest.MonkeyPatch) -> None:
    portrait = Image.open(io.BytesIO(photo("obama-2012.jpg"))).crop((250, 50, 720, 520)).resize((250, 250))
    small = Photo.from_rgb(np.asarray(portrait))
    (wanted,) = EXACT.find(small)
    fast = HogDetector("fast")
    monkeypatch.setattr(fast, "_exact", lambda _: pytest.fail("it was searched exactly"))
    (hit,) = fast.find(small)
    assert np.abs(np.array(hit.box) - wanted.box).max() < 0.15 * wanted.width


@pytest.mark.parametrize("name", ["obama-2010.jpg", "biden-2010.jpg"])
def test_after_the_first_copy_only_crops_of_a_portrait_are_searched(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    image = Image.open(io.BytesIO(photo(name))).convert("RGB")
    scale = 1100 / max(image.size)
    portrait = Photo.from_rgb(np.asarray(image.resize((round(image.width * scale), round(image.height * scale)))))
    (wanted,) = EXACT.find(portrait)
    fast, searched = HogDetector("fast"), []
    search = fast._search
    monkeypatch.setattr(fast, "_search", lambda *call: searched.append(call) or search(*call))
    (hit,) = fast.find(portrait)
    assert len(searched) == 1
    assert np.abs(np.array(hit.box) - wanted.box).max() < 0.1 * wanted.width


def test_two_clear_faces_of_a_small_photo_are_counted_without_an_exact_search(monkeypatch: pytest.MonkeyPatch) -> None:
    both = Image.fromarray(with_a_second_face(1.0).rgb()).resize((312, 200), Image.Resampling.LANCZOS)
    small = Photo.from_rgb(np.asarray(both))
    wanted = sorted(hit.box for hit in EXACT.find(small))
    fast = HogDetector("fast")
    monkeypatch.setattr(fast, "_exact", lambda _: pytest.fail("it was searched exactly"))
    assert np.abs(np.array(sorted(hit.box for hit in fast.find(small))) - wanted).max() < 10
    assert len(wanted) == 2
