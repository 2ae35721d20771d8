"""The verdict on a photo: which reason a bad one has, and which one may be enrolled."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import get_args

import dlib_truth
import faceapi_truth
import numpy as np
import pytest
from lfw import LFW, needs_lfw
from PIL import Image

from benchmarks import degrading
from face128.encoding.quality import (
    ADVICE,
    BANDS,
    VERDICTS,
    MinQuality,
    Quality,
    Reason,
    assess,
    judge,
    refuse_poor_quality,
)
from face128.encoding.quality_measures import Measures
from face128.engines.base import Face
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.errors import PoorQuality
from face128.photos.codecs import RGB
from face128.photos.photo import Photo

GOOD = Measures(100.0, 0.5, 0.5, 0.25, 0.0, 0.0, 0.0, 1.0)

COPIES: list[tuple[Reason, degrading.Degrade]] = [
    ("too_small", degrading.shrunk(20)),
    ("blurred", degrading.blurred(0.05)),
    ("too_dark", degrading.exposed(0.25)),
    ("turned_away", degrading.turned_further(30)),
    ("too_bright", degrading.exposed(2.5)),
    ("low_contrast", degrading.hazy(0.15)),
    ("tilted", degrading.tilted(20)),
    ("cut_off", degrading.cut(0.22)),
]


@pytest.fixture(scope="module")
def engine() -> DlibEngine:
    return DlibEngine(find_weights())


def found(engine: DlibEngine, rgb: RGB) -> tuple[Photo, Face] | None:
    opened = Photo.from_rgb(np.ascontiguousarray(rgb))
    faces = engine.detect(opened)
    middle = np.array(rgb.shape[1::-1]) / 2
    central = sorted(faces, key=lambda face: np.hypot(*(np.add(face.box[:2], face.box[2:]) / 2 - middle)))
    return (opened, central[0]) if central else None


def with_faces(engine: DlibEngine, photos: Iterable[RGB]) -> list[tuple[RGB, Face]]:
    """The photos with a face, each with its central one."""
    return [(rgb, central[1]) for rgb in photos if (central := found(engine, rgb))]


@pytest.fixture(scope="module")
def portraits(engine: DlibEngine) -> list[tuple[RGB, Face]]:
    names = ("obama-2012.jpg", "hopper-1984.jpg", "biden-2010.jpg")
    return with_faces(engine, map(faceapi_truth.fixture_pixels, names))


@pytest.fixture(scope="module")
def lfw_photos(engine: DlibEngine) -> list[tuple[RGB, Face]]:
    files = sorted((LFW / "images").rglob("*.jpg"))[7::25]
    return with_faces(engine, (np.asarray(Image.open(file).convert("RGB")) for file in files))


def share_with_reason(
    engine: DlibEngine, photos: Sequence[tuple[RGB, Face]], reason: Reason, degrade: degrading.Degrade
) -> float:
    """The share of the copies with a face that have the reason."""
    copies = [after for rgb, face in photos if (after := found(engine, degrade(rgb, face)))]
    assert len(copies) >= 0.8 * len(photos)
    return float(np.mean([reason in assess(*after).reasons for after in copies]))


@pytest.mark.parametrize(("reason", "degrade"), COPIES)
def test_a_degraded_portrait_has_the_right_reason(
    engine: DlibEngine, portraits: list[tuple[RGB, Face]], reason: Reason, degrade: degrading.Degrade
) -> None:
    assert share_with_reason(engine, portraits, reason, degrade) == 1


@needs_lfw
@pytest.mark.parametrize(("reason", "degrade"), COPIES[:4])
def test_of_degraded_copies_of_lfw_at_least_95_percent_have_the_right_reason(
    engine: DlibEngine, lfw_photos: list[tuple[RGB, Face]], reason: Reason, degrade: degrading.Degrade
) -> None:
    assert share_with_reason(engine, lfw_photos, reason, degrade) >= 0.95


def test_official_portraits_are_not_poor(engine: DlibEngine) -> None:
    for name in dlib_truth.ONE_FACE_PHOTOS:
        portrait = found(engine, faceapi_truth.fixture_pixels(name))
        assert portrait
        assert assess(*portrait).verdict != "poor", name


def test_reasons_are_the_closed_list_and_each_has_advice_and_a_band() -> None:
    assert list(get_args(Reason)) == list(ADVICE)
    assert {band.reason for band in BANDS} == set(ADVICE)
    assert judge(GOOD) == Quality("good", (), GOOD)


@pytest.mark.parametrize("band", BANDS, ids=lambda band: f"{band.reason}-{band.measure}")
def test_a_measure_on_the_bound_is_within_it_and_beyond_it_is_the_reason(band: object) -> None:
    (band,) = (each for each in BANDS if each is band)
    beyond = 0.01 if band.poor > band.fair else -0.01

    def verdict(value: float) -> tuple[str, tuple[str, ...]]:
        quality = judge(replace(GOOD, **{band.measure: value}))
        return quality.verdict, quality.reasons

    assert verdict(band.fair) == ("good", ())
    assert verdict(band.fair + beyond) == verdict(band.poor) == ("fair", (band.reason,))
    assert verdict(band.poor + beyond) == ("poor", (band.reason,))
    if band.either_side:
        assert verdict(-band.poor - beyond) == ("poor", (band.reason,))
    assert judge(replace(GOOD, **{band.measure: None})).verdict == "good"


def test_the_verdict_is_that_of_the_worst_reason_and_a_small_face_is_not_also_blurred() -> None:
    assert judge(replace(GOOD, brightness=0.3, yaw=-50.0)) == Quality(
        "poor", ("too_dark", "turned_away"), replace(GOOD, brightness=0.3, yaw=-50.0)
    )
    small = replace(GOOD, eye_distance=20.0, sharpness=0.1)
    assert judge(small) == Quality("fair", ("too_small",), small)
    # Two measures of one reason: the reason stands once, and counts as its worse one.
    shadows = replace(GOOD, brightness=0.3, contrast=0.6)
    assert judge(shadows) == Quality("poor", ("too_dark",), shadows)
    assert judge(replace(shadows, brightness=0.1, contrast=0.4)).verdict == "poor"


@pytest.mark.parametrize("min_quality", get_args(MinQuality))
def test_what_is_worse_than_the_bound_is_refused_with_what_to_do(min_quality: MinQuality) -> None:
    blurred, dark = replace(GOOD, sharpness=0.2), replace(GOOD, sharpness=0.1, brightness=0.1)
    for verdict, measures in (("good", GOOD), ("fair", blurred), ("poor", dark)):
        quality = judge(measures)
        assert quality.verdict == verdict
        if min_quality == "none" or VERDICTS.index(quality.verdict) >= VERDICTS.index(min_quality):
            refuse_poor_quality(quality, min_quality)
            continue
        with pytest.raises(PoorQuality) as refused:
            refuse_poor_quality(quality, min_quality)
        body = refused.value.body()
        assert body == {"error": body["error"], "code": "poor_quality", "min_quality": min_quality, **quality.to_json()}
        assert body["error"].startswith(f"The photo is {verdict}; ")
        assert all(ADVICE[reason] in body["error"] for reason in quality.reasons)
