"""What the functions find and describe faces with: dlib's detector, five landmarks and the network, loaded once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from threading import Lock
from typing import Any

import dlib
import numpy as np
import numpy.typing as npt

from face128.engines.base import Chips
from face128.engines.dlib.detector import HogDetector
from face128.engines.dlib.engine import CHIP_PADDING, CHIP_SIDE_PX, load_network
from face128.engines.dlib.weight_files import LANDMARKS_FILE, RESNET_FILE, find_weights, read_verified
from face128.photos.photo import Photo
from face128.settings import Settings, load_settings

Image = npt.NDArray[np.uint8]
"""(height, width, 3) RGB, or (height, width) grey."""
Encoding128 = npt.NDArray[np.float64]
"""(128,)"""

_loading = Lock()


class Models:
    """Thread-safe, as far as dlib is: each thread has its own detector."""

    def __init__(self, settings: Settings) -> None:
        """Raises ConfigurationError if the weight files are missing or damaged."""
        weights = find_weights(settings.weights)
        for file in (LANDMARKS_FILE, RESNET_FILE):
            read_verified(weights / file)
        self._detector = HogDetector(settings.detection)
        self.landmarks: Callable[[Image, dlib.rectangle], dlib.full_object_detection] = dlib.shape_predictor(
            str(weights / LANDMARKS_FILE)
        )
        resnet = weights / RESNET_FILE
        if settings.network == "dlib":
            self._dlib = dlib.face_recognition_model_v1(str(resnet))
        else:
            self._dlib = None
            self._network = load_network(resnet, settings.providers)

    def find(self, image: Image, doublings: int) -> list[dlib.rectangle]:
        """Every face, the highest score first. FACE128_DETECTION decides how one doubling of an RGB image is searched.

        Raises what dlib raises for an array that is no image.
        """
        if doublings == 1 and _is_rgb(image):
            found = self._detector.find(Photo.from_rgb(image))
        else:
            found = self._detector.search_copy(image, doublings)
        return [dlib.rectangle(*detection.box) for detection in found]

    def describe(
        self, image: Image, shapes: Sequence[dlib.full_object_detection], num_jitters: int
    ) -> list[Encoding128]:
        """The encoding of each face from its landmarks; with ``num_jitters`` above 1 the mean of so many moved copies.

        dlib draws the copies from a generator that starts alike in each process, and goes on with each call.
        """
        if self._dlib is not None:
            return [np.array(self._dlib.compute_face_descriptor(image, shape, num_jitters)) for shape in shapes]
        if not shapes:
            return []
        if not _is_rgb(image):
            raise TypeError("An encoding needs an RGB image: (height, width, 3) of uint8.")
        chips = [dlib.get_face_chip(image, shape, size=CHIP_SIDE_PX, padding=CHIP_PADDING) for shape in shapes]
        if num_jitters <= 1:
            return [*self._network(np.stack(chips)).astype(np.float64)]
        return [self._mean(np.stack(dlib.jitter_image(chip, num_jitters))) for chip in chips]

    def _mean(self, copies: Chips) -> Encoding128:
        return np.asarray(self._network(copies).mean(axis=0, dtype=np.float32), np.float64)


def models() -> Models:
    """Loaded with the settings of the environment when it is first called."""
    with _loading:
        return _load()


@cache
def _load() -> Models:
    return Models(load_settings())


def _is_rgb(image: Any) -> bool:
    return bool(image.dtype == np.uint8 and image.ndim == 3 and image.shape[2] == 3 and image.size)
