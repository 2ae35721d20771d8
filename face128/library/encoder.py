"""Photos to descriptors in this process, without a service."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from dataclasses import replace
from os import PathLike
from typing import Literal, TypedDict, Unpack, get_args

from face128.encoding.encode import Encoding, FaceChoice, encode
from face128.encoding.passes import Passes, with_passes
from face128.engines import loader
from face128.engines.base import Engine
from face128.errors import ConfigurationError, InvalidRequest
from face128.library.given_photo import GivenPhoto, read_given_photo
from face128.photos.photo import Limits
from face128.settings import Settings, load_settings

FilePath = str | PathLike[str]

MAX_JITTERS = 100  # as POST /encode-image


class EncoderSettings(TypedDict, total=False):
    """The settings of the service that an encoder has: ``detection`` is FACE128_DETECTION (docs/settings.md)."""

    weights: FilePath
    network: Literal["onnx", "dlib"]
    detection: Literal["fast", "exact"]
    passes: Passes
    providers: Sequence[str]
    retail_model: FilePath
    faceapi_models: FilePath
    faceapi_detector: Literal["ssd", "tiny"]
    faceapi_crop: Literal["canvas", "tensor"]
    faceapi_min_confidence: float
    faceapi_score_threshold: float
    faceapi_input_size: int
    insightface_pack: FilePath
    insightface_detection_size: int
    data: FilePath
    max_image_bytes: int
    max_image_pixels: int


class Encoder:
    """Finds the face in a photo and describes it, as POST /encode-image does. Thread-safe.

    Threads encode photos side by side: the detector and the networks release the GIL. There is no worker process: a
    photo that makes a decoder crash ends the program. The service, and ``face128 reencode``, survive it.
    """

    def __init__(
        self, engine: str | None = None, *, companions: Sequence[str] = (), **settings: Unpack[EncoderSettings]
    ) -> None:
        """Load an engine: dlib, retail, faceapi or insightface; by default the first of FACE128_ENGINES, dlib.

        ``companions``: further engines that describe the same face; for dlib, retail, and the other way round.
        ``settings`` that are not given are those of the environment. Raises ConfigurationError.
        """
        complete = load_settings(**settings)
        name = engine or complete.engines[0]
        if unfit := [each for each in companions if each not in loader.companions(name)]:
            known = ", ".join(loader.companions(name)) or "none"
            raise ConfigurationError(f"{unfit[0]!r} is no companion of the engine {name}. Its companions: {known}.")
        self._engine = _load(name, complete)
        self._companions = [_load(each, complete) for each in companions]
        self._limits = Limits(complete.max_image_bytes, complete.max_image_pixels)

    @property
    def model(self) -> str:
        """The name of the model whose descriptors ``encode`` returns."""
        return self._engine.card.name

    def encode(
        self, photo: GivenPhoto, *, faces: FaceChoice = "one", num_jitters: int = 1, quality: bool = False
    ) -> Encoding:
        """The descriptor of the face in a photo, and what is known about it. ``answer()`` is the service's JSON.

        ``photo``: a file's bytes, a path, an image of Pillow, or an array (height, width, 3) of uint8, red first.
        ``faces``, for a photo of several: "one" refuses it, "largest" takes the largest, "best" the clearest.
        ``num_jitters``: 1 to 100; above 1 the mean of so many slightly moved copies. ``quality``: assess the photo too.

        Raises NoFace, MultipleFaces, BadImage, UnsupportedFormat, TooLarge, InvalidRequest, and OSError for a file
        that cannot be read.
        """
        if faces not in get_args(FaceChoice):
            raise InvalidRequest(f"The choices are: {', '.join(get_args(FaceChoice))}.", field="faces")
        if type(num_jitters) is not int or not 1 <= num_jitters <= MAX_JITTERS:
            raise InvalidRequest(f"num_jitters is a whole number from 1 to {MAX_JITTERS}.", field="num_jitters")
        given = read_given_photo(photo, self._limits)
        options = faces, num_jitters, None, quality
        found = encode(self._engine, given, self._limits, *options, companions=self._companions)
        # Copies without the pixels: a program may keep the results of many photos.
        return replace(found, face=copy(found.face), photo=copy(found.photo))


def _load(name: str, settings: Settings) -> Engine:
    return with_passes(loader.load_engine(name, settings), settings.passes)
