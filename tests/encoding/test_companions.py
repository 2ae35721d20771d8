"""encode with companions: one photo, decoded and searched once, and described by both networks."""

from __future__ import annotations

import io
from collections import Counter

import numpy as np
import pytest
from PIL import Image
from retail_models import real_model, tiny_model
from serving import photo

from face128 import events
from face128.encoding.encode import encode
from face128.encoding.passes import Passes, with_passes
from face128.engines.base import Engine
from face128.engines.loader import companions, load_engine
from face128.errors import ConfigurationError
from face128.photos.photo import Limits
from face128.settings import Settings

NAMES = ("obama-2012.jpg", "biden-2010.jpg")


@pytest.fixture(scope="module", params=["tiny", "real"])
def engines(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Engine, Engine]:
    """dlib's and retail's."""
    folder = tiny_model(tmp_path_factory.mktemp("retail")) if request.param == "tiny" else real_model()
    settings = Settings(engines=("dlib", "retail"), retail_model=folder)
    return load_engine("dlib", settings), load_engine("retail", settings)


@pytest.mark.parametrize(("num_jitters", "passes"), [(1, "one"), (2, "mirror")])
def test_a_companion_describes_the_face_as_it_does_alone(
    engines: tuple[Engine, Engine], num_jitters: int, passes: Passes
) -> None:
    dlib, retail = (with_passes(engine, passes) for engine in engines)
    for name in NAMES:
        alone = {
            engine.card.name: encode(engine, photo(name), Limits(), num_jitters=num_jitters).descriptor
            for engine in (dlib, retail)
        }
        for first, second in ((dlib, retail), (retail, dlib)):
            both = encode(first, photo(name), Limits(), num_jitters=num_jitters, companions=[second])
            assert both.model == first.card.name
            assert np.array_equal(both.descriptor, alone[first.card.name])
            assert list(both.companions) == [second.card.name]
            assert np.array_equal(both.companions[second.card.name], alone[second.card.name])
            assert both.answer()["companions"] == {second.card.name: alone[second.card.name].tolist()}


def test_the_photo_is_decoded_and_searched_once(engines: tuple[Engine, Engine]) -> None:
    dlib, retail = engines
    for others, also in (([], set()), ([retail], {"companions"})):
        with events.recording() as recorded:
            found = encode(dlib, photo(NAMES[0]), Limits(), companions=others)
        counts = Counter(name for name, _ in recorded)
        assert counts == Counter({"decode", "detect", "faces", "crop", "describe"} | also)
        assert len(found.companions) == len(others)
        assert ("companions" in found.answer()) == bool(others)


def test_both_describe_the_face_as_the_second_look_has_put_it_right(engines: tuple[Engine, Engine]) -> None:
    """A photo that lies on its side: the landmarks of the photo as it was sent would give another chip."""
    dlib, retail = engines
    image = Image.open(io.BytesIO(photo(NAMES[0])))
    image.thumbnail((400, 400))
    both, upright = (
        encode(dlib, in_png(each), Limits(), companions=[retail])
        for each in (image.transpose(Image.Transpose.ROTATE_90), image)
    )
    assert (both.face.adjusted.turned, upright.face.adjusted.turned) == (90, 0)
    for found, same in (
        (both.companions[retail.card.name], upright.companions[retail.card.name]),
        (both.descriptor, upright.descriptor),
    ):
        assert np.linalg.norm(found / np.linalg.norm(found) - same / np.linalg.norm(same)) < 0.2


def test_an_error_of_a_companion_is_the_photos_error(engines: tuple[Engine, Engine]) -> None:
    dlib, retail = engines

    class Failing:
        card = retail.card
        crop = staticmethod(retail.crop)

        def describe(self, _: object) -> object:
            raise ConfigurationError("It broke.")

    with pytest.raises(ConfigurationError, match="It broke"):
        encode(dlib, photo(NAMES[0]), Limits(), companions=[Failing()])  # type: ignore[list-item]


def test_engines_are_companions_of_each_other_or_not_at_all() -> None:
    assert {name: companions(name) for name in ("dlib", "retail", "faceapi", "insightface", "fake")} == {
        "dlib": ("retail",),
        "retail": ("dlib",),
        "faceapi": (),
        "insightface": (),
        "fake": (),
    }


def in_png(image: Image.Image) -> bytes:
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()
