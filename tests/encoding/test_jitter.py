"""Jittered copies against dlib's own jitter."""

from __future__ import annotations

import dlib
import dlib_truth
import numpy as np
import pytest
from serving import photo

from face128.encoding.encode import encode
from face128.encoding.jitter import jittered_copies
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import RESNET_FILE, find_weights
from face128.photos.photo import Limits, open_photo


@pytest.fixture(scope="module")
def engine() -> DlibEngine:
    return DlibEngine(find_weights())


@pytest.fixture(scope="module")
def chip(engine: DlibEngine) -> np.ndarray:
    opened = open_photo(photo("obama-2012.jpg"))
    return engine.crop(opened, engine.detect(opened))[0]


def test_the_mean_of_many_is_the_mean_of_many_of_dlibs(engine: DlibEngine, chip: np.ndarray) -> None:
    network = dlib.face_recognition_model_v1(str(find_weights() / RESNET_FILE))
    dlibs = np.array(network.compute_face_descriptor(chip, 60))
    ours = engine.describe(jittered_copies(chip, 60)).mean(axis=0)
    plain = engine.describe(chip[None])[0]
    assert np.linalg.norm(plain - dlibs) > 0.08  # otherwise the next line proves nothing
    assert np.linalg.norm(ours - dlibs) < 0.04  # two draws of dlib's own are 0.02 apart


def test_the_moves_are_always_the_same_and_differ_from_each_other(chip: np.ndarray) -> None:
    copies = jittered_copies(chip, 12)
    assert np.array_equal(copies, jittered_copies(chip, 12))
    assert np.array_equal(copies[:3], jittered_copies(chip, 3))
    assert len({copy.tobytes() for copy in copies}) == 12


def test_about_half_of_the_copies_are_mirrored(chip: np.ndarray) -> None:
    copies = jittered_copies(chip, 100).astype(float)
    mirrored = chip[:, ::-1].astype(float)
    nearer = [np.abs(copy - mirrored).mean() < np.abs(copy - chip).mean() for copy in copies]
    assert 30 < sum(nearer) < 70


def test_encode_takes_the_mean_and_one_jitter_is_none(engine: DlibEngine, chip: np.ndarray) -> None:
    data = photo("obama-2012.jpg")
    assert np.array_equal(encode(engine, data, Limits()).descriptor, engine.describe(chip[None])[0])
    assert np.array_equal(
        encode(engine, data, Limits(), num_jitters=1).descriptor, encode(engine, data, Limits()).descriptor
    )
    mean = engine.describe(jittered_copies(chip, 5)).mean(axis=0)
    assert np.allclose(encode(engine, data, Limits(), num_jitters=5).descriptor, mean, atol=1e-6)


def test_jitter_brings_photos_of_one_person_nearer(engine: DlibEngine) -> None:
    first, second = (photo(f"obama-{year}.jpg") for year in (2009, 2010))
    plain, steady = (
        np.linalg.norm(
            encode(engine, first, Limits(), num_jitters=n).descriptor
            - encode(engine, second, Limits(), num_jitters=n).descriptor
        )
        for n in (1, 20)
    )
    assert steady < plain == pytest.approx(np.linalg.norm(np.subtract(*map(first_of, (2009, 2010)))), abs=0.15)


def first_of(year: int) -> np.ndarray:
    return dlib_truth.descriptors(f"obama-{year}.jpg")[0]
