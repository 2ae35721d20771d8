"""A photo's face is described beside the search for further ones, with the same result as after it."""

from __future__ import annotations

import io
import threading
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from PIL import Image
from serving import photo

from face128 import events, helper_thread
from face128.domain.descriptors import Descriptors
from face128.encoding.encode import encode
from face128.engines.base import Chips, Face
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.errors import MultipleFaces, NoFace
from face128.helper_thread import helper
from face128.photos.photo import Limits, Photo


class WatchedEngine:
    """An engine that notes which thread describes."""

    def __init__(self, engine: DlibEngine) -> None:
        self.card = engine.card
        self.search_bytes = engine.search_bytes
        self._engine = engine
        self.describing: list[int] = []

    def detect(self, photo: Photo) -> list[Face]:
        return self._engine.detect(photo)

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        return self._engine.crop(photo, faces)

    def describe(self, chips: Chips) -> Descriptors:
        self.describing.append(threading.get_ident())
        return self._engine.describe(chips)


@pytest.fixture(scope="module")
def dlib_engine() -> DlibEngine:
    return DlibEngine(find_weights())


@pytest.fixture
def engine(dlib_engine: DlibEngine, monkeypatch: pytest.MonkeyPatch) -> WatchedEngine:
    monkeypatch.setattr(helper_thread, "usable_cores", lambda: 2)
    return WatchedEngine(dlib_engine)


def changed(name: str, width: int, *, turned: int = 0, brightness: float = 1) -> bytes:
    image = Image.open(io.BytesIO(photo(name))).convert("RGB").rotate(turned, expand=True)
    image = image.resize((width, round(width * image.height / image.width))).point(lambda level: brightness * level)
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


ONE_FACE = {
    "1 megapixel": changed("obama-2009.jpg", 900),
    "0.25 megapixels, doubtful": changed("biden-2010.jpg", 462),
    "small": changed("obama-2012.jpg", 200),
    "sideways": changed("obama-2012.jpg", 700, turned=90),
    "dark": changed("obama-2012.jpg", 700, brightness=0.1),
}
"""The photos of one face that take different ways."""


@pytest.mark.parametrize("name", ONE_FACE)
def test_the_result_is_the_same_with_a_second_thread_and_without(engine: WatchedEngine, name: str) -> None:
    beside = encode(engine, ONE_FACE[name], Limits(), with_quality=True)
    with helper_thread.no_helper():
        alone = encode(engine, ONE_FACE[name], Limits(), with_quality=True)
    assert np.array_equal(beside.descriptor, alone.descriptor)
    assert beside.answer() == alone.answer()
    assert beside.face.landmarks == alone.face.landmarks


@pytest.mark.parametrize("name", ["1 megapixel", "0.25 megapixels, doubtful"])
def test_the_face_is_described_once_in_the_second_thread(engine: WatchedEngine, name: str) -> None:
    with events.recording() as recorded:
        encode(engine, ONE_FACE[name], Limits())
    (thread,) = engine.describing
    assert thread != threading.get_ident()
    assert Counter(stage for stage, _ in recorded) == Counter(["decode", "detect", "faces", "crop", "describe"])


def test_where_another_photo_is_in_work_one_thread_does_all(
    engine: WatchedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    with helper_thread._busy.one_more():
        encode(engine, ONE_FACE["1 megapixel"], Limits())
    assert engine.describing == [threading.get_ident()]


def test_a_face_that_is_turned_or_lightened_is_not_described_as_it_was_first_seen(engine: WatchedEngine) -> None:
    upright = encode(engine, ONE_FACE["small"], Limits())
    upside_down = changed("obama-2012.jpg", 200, turned=180)
    turned = encode(engine, upside_down, Limits())
    assert turned.face.adjusted.turned == 180
    assert np.linalg.norm(turned.descriptor - upright.descriptor) < 1e-6


def test_several_faces(engine: WatchedEngine) -> None:
    """Whichever is found first, the largest is described."""
    one, other = (
        np.asarray(Image.open(io.BytesIO(changed(*each))))
        for each in (("obama-2012.jpg", 500), ("biden-2010.jpg", 260))
    )
    both = np.full((max(len(one), len(other)), 760, 3), 128, np.uint8)
    both[: len(one), :500], both[: len(other), 500:] = one, other
    with pytest.raises(MultipleFaces):
        encode(engine, Photo.from_rgb(both), Limits())
    beside = encode(engine, Photo.from_rgb(both), Limits(), "largest")
    with helper_thread.no_helper():
        alone = encode(engine, Photo.from_rgb(both), Limits(), "largest")
    assert (beside.face_count, beside.face.box) == (2, alone.face.box)
    assert np.array_equal(beside.descriptor, alone.descriptor)


def test_no_face(engine: WatchedEngine) -> None:
    with pytest.raises(NoFace), helper():
        encode(engine, Photo.from_rgb(np.full((900, 900, 3), 128, np.uint8)), Limits())
    assert engine.describing == []


def test_jittered_copies_are_described_after_the_search(engine: WatchedEngine) -> None:
    """They take as long as the search many times over."""
    encode(engine, ONE_FACE["1 megapixel"], Limits(), num_jitters=2)
    assert set(engine.describing) == {threading.get_ident()}
