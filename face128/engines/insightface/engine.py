"""An InsightFace model pack: SCRFD finds faces and five landmarks, an ArcFace network describes them in 512 numbers.

It needs ONNX Runtime alone; the ``insightface`` package would bring OpenCV, SciPy and 30 others. With
``FACE128_DETECTION=exact`` it uses the same pixels as that package; ``fast`` decodes no more of a JPEG than is needed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard, insightface_card
from face128.engines.base import Chips, EyeLandmarks, Face
from face128.engines.insightface.arcface import DIMENSION, ArcfaceRecogniser, chip_to_photo
from face128.engines.insightface.pack import CHIP_SIDE_PX, ModelPack, PackNetwork, read_pack
from face128.engines.insightface.scrfd import ScrfdDetector
from face128.engines.onnx.sessions import CPU_PROVIDERS, open_session
from face128.errors import ConfigurationError
from face128.photos.photo import RGB, SHRINKS, Photo

if TYPE_CHECKING:
    from face128.settings import Settings


@dataclass(frozen=True, kw_only=True)
class InsightfaceFace(Face):
    """Its landmarks, rounded, are the eyes, the nose and the corners of the mouth."""

    eye_landmarks: EyeLandmarks | None = ((0, 1), (1, 2))
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
        pack = read_pack(folder)
        self._side = side
        self._shrinks = SHRINKS if detection == "fast" else (1,)
        self._detector, self._recogniser = _load_networks(pack, side, providers)
        pipeline = f"{pack.detector.path.stem}-{side}-{detection}/similarity-{CHIP_SIDE_PX}/1"
        self.card: ModelCard = replace(insightface_card(pack.model_name), pipeline=pipeline)

    @classmethod
    def from_settings(cls, settings: Settings) -> InsightfaceEngine:
        if settings.insightface_pack is None:
            raise ConfigurationError(
                "Set FACE128_INSIGHTFACE_PACK to the folder of an InsightFace model pack, such as buffalo_l."
            )
        return cls(
            settings.insightface_pack, settings.insightface_detection_size, settings.detection, settings.providers
        )

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
        square[:height, :width] = _resample(photo.rgb(shrink), (width, height), transform)
        found = self._detector.find(square)
        to_photo = photo.height / height
        return [
            _face(*face) for face in zip(found.scores, found.boxes * to_photo, found.points * to_photo, strict=True)
        ]

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """Cut each face out, aligned to ArcFace's template: (n, 112, 112, 3) uint8. The faces are this engine's own."""
        chips = np.empty((len(faces), CHIP_SIDE_PX, CHIP_SIDE_PX, 3), np.uint8)
        for chip, face in zip(chips, faces, strict=True):
            assert isinstance(face, InsightfaceFace)
            a, b = chip_to_photo(face.points)
            # The decoding that detection used is good enough if the face is large enough in it.
            shrink = min(self._shrink(self._side / max(photo.width, photo.height)), self._shrink(1 / abs(a)))
            # Pillow counts from the corner of the first pixel, not from its centre. In pixels of the shrunk photo.
            a, b = a / shrink, (b + (1 - a) * (0.5 + 0.5j)) / shrink
            transform = (a.real, -a.imag, b.real, a.imag, a.real, b.imag)
            chip[:] = _resample(photo.rgb(shrink), (CHIP_SIDE_PX, CHIP_SIDE_PX), transform)
        return chips

    def describe(self, chips: Chips) -> Descriptors:
        return self._recogniser.describe(chips)

    def _shrink(self, scale: float) -> int:
        """The largest shrink from which pixels at ``scale`` of the photo need not be enlarged."""
        return max(n for n in self._shrinks if n == 1 or n * scale <= 1)


def _resample(pixels: RGB, size: tuple[int, int], transform: tuple[float, ...]) -> RGB:
    """Bilinear without smoothing, as OpenCV does it and the networks were trained; black beyond the edge."""
    image = Image.fromarray(pixels)
    return np.asarray(image.transform(size, Image.Transform.AFFINE, transform, Image.Resampling.BILINEAR))


def _face(score: np.float32, box: npt.NDArray[np.float32], points: npt.NDArray[np.float32]) -> InsightfaceFace:
    left, top, right, bottom = box.round().astype(int).tolist()
    landmarks = tuple((x, y) for x, y in points.round().astype(int).tolist())
    unrounded = tuple(complex(x, y) for x, y in points.tolist())
    return InsightfaceFace((left, top, right, bottom), landmarks, float(score), points=unrounded)


def _load_networks(pack: ModelPack, side: int, providers: Sequence[str]) -> tuple[ScrfdDetector, ArcfaceRecogniser]:
    """Both networks, each run once, so that an unusable one is found now and not by a request."""
    fixed_sizes = set(pack.detector.input_shape[2:]) - {None}
    if fixed_sizes - {side}:
        raise ConfigurationError(
            f"{pack.detector.path.name} takes no pictures of {side} pixels: set FACE128_INSIGHTFACE_DETECTION_SIZE to "
            f"{max(size for size in fixed_sizes if size)}."
        )
    try:
        detector = ScrfdDetector(open_session(pack.detector.path, providers))
        detector.find(np.zeros((side, side, 3), np.uint8))
    except Exception:  # ONNX Runtime's errors have no common base class but this
        raise _unusable(pack.detector, "an SCRFD detector with landmarks") from None
    try:
        recogniser = ArcfaceRecogniser(open_session(pack.recogniser.path, providers), pack.recogniser)
        finite = bool(np.isfinite(recogniser.describe(np.full((2, CHIP_SIDE_PX, CHIP_SIDE_PX, 3), 99, np.uint8))).all())
    except Exception:  # as above
        finite = False
    if not finite:
        raise _unusable(pack.recogniser, f"an ArcFace network of {DIMENSION} numbers")
    return detector, recogniser


def _unusable(network: PackNetwork, wanted: str) -> ConfigurationError:
    return ConfigurationError(f"{network.path.name} of the InsightFace pack is damaged, or not {wanted}.")
