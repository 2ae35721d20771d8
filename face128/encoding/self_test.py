"""Loads the engines of the settings and tries each on a photo: an engine that finds no face in it is not used."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from importlib.resources import files

from face128.encoding.encode import encode
from face128.encoding.passes import with_passes
from face128.engines.base import Engine
from face128.engines.loader import load_engine
from face128.errors import ConfigurationError, NoFace
from face128.photos.photo import Limits
from face128.settings import Settings


def load_engines(
    settings: Settings, run_trial: Callable[[Callable[[], object]], object]
) -> Iterator[tuple[str, Engine | str]]:
    """The name of each engine with the engine, or with a sentence why it could not be loaded.

    ``run_trial`` gets a function that encodes the self-test photo, to call once or once in every thread that encodes.
    """
    limits = Limits(settings.max_image_bytes, settings.max_image_pixels)
    for name in settings.engines:
        try:
            engine = load_engine(name, settings)
            tried = with_passes(engine, settings.passes)
            run_trial(lambda tried=tried: encode(tried, self_test_photo(), limits))  # type: ignore[misc]
        except ConfigurationError as error:
            yield name, str(error)
        except NoFace:
            yield name, "The engine does not find the face in the self-test photo."
        else:
            yield name, engine


@cache
def self_test_photo() -> bytes:
    """A small portrait (Eileen Collins, NASA, public domain)."""
    return files("face128.encoding").joinpath("self_test.jpg").read_bytes()
