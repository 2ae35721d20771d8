"""An InsightFace model pack: SCRFD finds faces and five landmarks, an ArcFace network describes them in 512 numbers.

A face is aligned to the template that ArcFace's networks (arXiv 1801.07698) are trained on.

It needs ONNX Runtime alone; the ``insightface`` package would bring OpenCV, SciPy and 30 others. With
``FACE128_DETECTION=exact`` it uses the same pixels as that package; ``fast`` decodes no more of a JPEG than is needed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

import numpy as np

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard, insightface_card
from face128.engines.base import Chips, EyeLandmarks, Face, NoseLandmark
from face128.engines.insightface.pack import CHIP_SIDE_PX, PackNetwork, read_pack
from face128.engines.insightface.scrfd import detect_scrfd
from face128.engines.onnx.sessions import CPU_PROVIDERS, open_session
from face128.engines.similarity import chip_to_photo, cut_out, resample
from face128.errors import ConfigurationError
from face128.photos.photo import SHRINKS, Photo

DIMENSION = 512
BATCH_CHIPS = 8
"""Maximum of chips in one run: it bounds memory."""
SEARCH_BYTES_A_PIXEL = 256
"""Of the detector's square."""
PIXEL_SCALE = 127.5
"""ArcFace's input is (pixel - 127.5) / 127.5, unless the graph computes that itself."""

# Where the five landmarks belong on a chip of 112 pixels, x + yi: the positions that InsightFace publishes with its
# training data (the SphereFace template, moved 8 pixels to the right).
TEMPLATE = np.array(
    [38.2946 + 51.6963j, 73.5318 + 51.5014j, 56.0252 + 71.7366j, 41.5493 + 92.3655j, 70.7299 + 92.2041j]
)


@dataclass(frozen=True, kw_only=True)
class InsightfaceFace(Face):
    """Its landmarks, rounded, are the eyes, the nose and the corners of the mouth."""

    eye_landmarks: EyeLandmarks | None = ((0, 1), (1, 2))
    nose_landmark: NoseLandmark | None = (2, "pronasale")
    points: tuple[complex, ...]
    """The landmarks before rounding, x + yi."""


class InsightfaceEngine:
    """Thread-safe: sessions are only read."""

    def __init__(
        self,
        folder: Path,
        side: int = 640,
        detection: Literal["fast", "exact"] = "fast",
        providers: Sequence[str] = CPU_PROVIDERS,
    ) -> None:
        """Load the pack in ``folder``; the detector's square has ``side`` pixels, a multiple of 32.

        Raises ConfigurationError, naming the file, for a pack that cannot be used.
        """
        detector, recogniser = read_pack(folder)
        self._side = side
        self._shrinks = SHRINKS if detection == "fast" else (1,)
        pipeline = f"{detector.path.stem}-{side}-{detection}/similarity-{CHIP_SIDE_PX}/1"
        self.card: ModelCard = replace(insightface_card(recogniser.model_name), pipeline=pipeline)
        fixed_sizes = {size for size in detector.input_shape[2:] if size}
        if fixed_sizes - {side}:
            raise ConfigurationError(
                f"{detector.path.name} takes no pictures of {side} pixels: set FACE128_INSIGHTFACE_DETECTION_SIZE to "
                f"{max(fixed_sizes)}."
            )
        # Graphs converted from MXNet begin by subtracting the mean and multiplying by the scale.
        self._takes_pixels = {"Sub", "Mul"} <= set(recogniser.operators[:8])
        # Dynamic quantisation measures the whole batch: a descriptor would depend on the other chips in it.
        one_by_one = "DynamicQuantizeLinear" in recogniser.operators or recogniser.input_shape[0] == 1
        self._batch_chips = 1 if one_by_one else BATCH_CHIPS
        # Each network is run once, so that an unusable one is found now and not by a request.
        with _unusable_is_refused(detector, "an SCRFD detector with landmarks"):
            self._detector = open_session(detector.path, providers)
            detect_scrfd(self._detector, np.zeros((side, side, 3), np.uint8))
        with _unusable_is_refused(recogniser, f"an ArcFace network of {DIMENSION} numbers"):
            self._recogniser = open_session(recogniser.path, providers)
            trial = self.describe(np.full((2, CHIP_SIDE_PX, CHIP_SIDE_PX, 3), 99, np.uint8))
            if not np.isfinite(trial).all():
                raise ValueError

    def search_bytes(self, pixel_count: int) -> int:
        return SEARCH_BYTES_A_PIXEL * self._side**2

    def detect(self, photo: Photo) -> list[Face]:
        """See Engine.detect. A face that fills the photo is too large for SCRFD, so it tries again at half the size."""
        return self._detect_at(photo, self._side) or self._detect_at(photo, self._side // 2)

    def _detect_at(self, photo: Photo, side: int) -> list[Face]:
        """Find faces in a copy whose longer side is ``side``, in the upper left of the detector's square."""
        scale = side / max(photo.width, photo.height)
        shrink = self._shrink(scale)
        # Rounded down to whole pixels, as the library does.
        width, height = max(1, int(photo.width * scale)), max(1, int(photo.height * scale))
        transform = photo.width / width / shrink, 0, 0, 0, photo.height / height / shrink, 0
        square = np.zeros((self._side, self._side, 3), np.uint8)
        square[:height, :width] = resample(photo.rgb(shrink), (width, height), transform)
        scores, boxes, points = detect_scrfd(self._detector, square)
        to_photo = photo.height / height
        faces: list[Face] = []
        for score, box, five in zip(scores, boxes * to_photo, points * to_photo, strict=True):
            left, top, right, bottom = box.round().astype(int).tolist()
            landmarks = tuple((x, y) for x, y in five.round().astype(int).tolist())
            unrounded = tuple(complex(x, y) for x, y in five.tolist())
            faces.append(InsightfaceFace((left, top, right, bottom), landmarks, float(score), points=unrounded))
        return faces

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """Cut each face out, aligned to ArcFace's template: (n, 112, 112, 3) uint8. The faces are this engine's own."""
        chips = np.empty((len(faces), CHIP_SIDE_PX, CHIP_SIDE_PX, 3), np.uint8)
        for chip, face in zip(chips, faces, strict=True):
            assert isinstance(face, InsightfaceFace)
            a, b = chip_to_photo(face.points, TEMPLATE)
            # The decoding that detection used is good enough if the face is large enough in it.
            shrink = min(self._shrink(self._side / max(photo.width, photo.height)), self._shrink(1 / abs(a)))
            # In pixels of the shrunk photo: points are counted from the centre of the first pixel.
            a, b = a / shrink, (b + 0.5 + 0.5j) / shrink - (0.5 + 0.5j)
            chip[:] = cut_out(photo.rgb(shrink), CHIP_SIDE_PX, a, b)
        return chips

    def describe(self, chips: Chips) -> Descriptors:
        """Describe n >= 0 chips, (n, 112, 112, 3) RGB: (n, 512) float32, each of length 1."""
        descriptors = np.empty((len(chips), DIMENSION), np.float32)
        input_name = self._recogniser.get_inputs()[0].name
        for start in range(0, len(chips), self._batch_chips):
            batch = slice(start, start + self._batch_chips)
            pixels = chips[batch].transpose(0, 3, 1, 2).astype(np.float32)
            if not self._takes_pixels:
                pixels = (pixels - PIXEL_SCALE) / PIXEL_SCALE
            (descriptors[batch],) = self._recogniser.run(None, {input_name: pixels})
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        return descriptors

    def _shrink(self, scale: float) -> int:
        """The largest shrink from which pixels at ``scale`` of the photo need not be enlarged."""
        return max(n for n in self._shrinks if n == 1 or n * scale <= 1)


@contextmanager
def _unusable_is_refused(network: PackNetwork, wanted: str) -> Iterator[None]:
    try:
        yield
    except Exception:  # ONNX Runtime's errors have no common base class but this
        sentence = f"{network.path.name} of the InsightFace pack is damaged, or not {wanted}."
        raise ConfigurationError(sentence) from None
