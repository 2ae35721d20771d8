"""Loads the engines of the settings and tries each on a photo: one that finds no face there is not served."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

from face128.encoding.encode import encode
from face128.engines.base import Engine
from face128.engines.loader import load_engine
from face128.errors import ConfigurationError, NoFace
from face128.photos.photo import Limits

if TYPE_CHECKING:
    from face128.settings import Settings


def load_all(settings: Settings, warm: Callable[[Callable[[], object]], object]) -> Iterator[tuple[str, Engine | str]]:
    """Each engine by its name, or in a sentence why it could not be loaded.

    ``warm`` is given the trial: to run it once, or once in every thread that will encode.
    """
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    for name in settings.engines:
        try:
            engine = load_engine(name, settings)
            warm(lambda engine=engine: encode(engine, self_test_photo(), limits))  # type: ignore[misc]
        except ConfigurationError as error:
            yield name, str(error)
        except NoFace:
            yield name, "The engine does not find the face in the self-test photo."
        else:
            yield name, engine


@cache
def self_test_photo() -> bytes:
    """A small portrait (Eileen Collins, NASA, public domain) for warming up and for ``face128 doctor``."""
    return files("face128.encoding").joinpath("self_test.jpg").read_bytes()
