"""An InsightFace model pack: SCRFD finds faces and five landmarks, an ArcFace network describes them in 512 numbers.

ONNX Runtime alone runs it. The ``insightface`` package would do the same, but brings OpenCV, SciPy and 30 others.
``FACE128_DETECTION=exact`` looks at the pixels that it looks at; ``fast`` decodes no more of a JPEG than is needed.
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
from face128.engines.base import Chips, Face
from face128.engines.insightface.arcface import DIMENSION, Recogniser, placing
from face128.engines.insightface.pack import CHIP_SIDE, Graph, Pack, read_pack
from face128.engines.insightface.scrfd import Scrfd
from face128.engines.onnx.sessions import CPU, open_session
from face128.errors import ConfigurationError
from face128.photos.photo import RGB, SHRINKS, Photo

if TYPE_CHECKING:
    from face128.settings import Settings


@dataclass(frozen=True)
class InsightFace(Face):
    """A face that this engine found; its landmarks, rounded, are eyes, nose and corners of the mouth."""

    eyes = slice(0, 1), slice(1, 2)
    points: tuple[complex, ...]
    """The landmarks as they were found, x + yi."""


class InsightEngine:
    """Thread-safe: sessions are only read."""

    def __init__(
        self,
        folder: Path,
        side: int = 640,
        detection: Literal["fast", "exact"] = "fast",
        providers: Sequence[str] = CPU,
    ) -> None:
        """Load the pack in ``folder``; the detector looks at a square of ``side`` pixels, a multiple of 32.

        Raises ConfigurationError, naming the file, for a pack that cannot be used.
        """
        pack = read_pack(folder)
        self._side = side
        self._shrinks = SHRINKS if detection == "fast" else (1,)
        self._detector, self._recogniser = _load(pack, side, providers)
        pipeline = f"{pack.detector.path.stem}-{side}-{detection}/similarity-{CHIP_SIDE}/1"
        self.card: ModelCard = replace(insightface_card(pack.model), pipeline=pipeline)

    @classmethod
    def from_settings(cls, settings: Settings) -> InsightEngine:
        if settings.insightface_pack is None:
            raise ConfigurationError(
                "Set FACE128_INSIGHTFACE_PACK to the folder of an InsightFace model pack, such as buffalo_l."
            )
        return cls(
            settings.insightface_pack, settings.insightface_detection_size, settings.detection, settings.providers
        )

    def detect(self, photo: Photo) -> list[Face]:
        return self._look(photo, self._side) or self._look(photo, self._side // 2)

    def _look(self, photo: Photo, side: int) -> list[Face]:
        """Find faces in a copy whose longer side is ``side``, in the upper left of the detector's square."""
        scale = side / max(photo.width, photo.height)
        shrink = self._shrink(scale)
        # Cut off to whole pixels, as the library does.
        width, height = max(1, int(photo.width * scale)), max(1, int(photo.height * scale))
        steps = photo.width / width / shrink, 0, 0, 0, photo.height / height / shrink, 0
        square = np.zeros((self._side, self._side, 3), np.uint8)
        square[:height, :width] = _sample(photo.rgb(shrink), (width, height), steps)
        found = self._detector.find(square)
        back = photo.height / height
        return [_face(*face) for face in zip(found.scores, found.boxes * back, found.points * back, strict=True)]

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """Cut each face out, laid on ArcFace's template: (n, 112, 112, 3). The faces are this engine's own."""
        chips = np.empty((len(faces), CHIP_SIDE, CHIP_SIDE, 3), np.uint8)
        for chip, face in zip(chips, faces, strict=True):
            assert isinstance(face, InsightFace)
            a, b = placing(face.points)
            # The photo that the detector looked at will do if the face is large enough in it.
            shrink = min(self._shrink(self._side / max(photo.width, photo.height)), self._shrink(1 / abs(a)))
            # From the corner of the first pixel, as Pillow counts, not from its middle; in pixels of the shrunk photo.
            a, b = a / shrink, (b + (1 - a) * (0.5 + 0.5j)) / shrink
            turn = (a.real, -a.imag, b.real, a.imag, a.real, b.imag)
            chip[:] = _sample(photo.rgb(shrink), (CHIP_SIDE, CHIP_SIDE), turn)
        return chips

    def describe(self, chips: Chips) -> Descriptors:
        return self._recogniser.describe(chips)

    def _shrink(self, scale: float) -> int:
        """The coarsest decoding from which pixels at this scale (of the photo's) are not enlarged."""
        return max(n for n in self._shrinks if n == 1 or n * scale <= 1)


def _sample(pixels: RGB, size: tuple[int, int], steps: tuple[float, ...]) -> RGB:
    """Bilinear, without smoothing, as OpenCV has it and the networks know it; black beyond the edge."""
    return np.asarray(Image.fromarray(pixels).transform(size, Image.Transform.AFFINE, steps, Image.Resampling.BILINEAR))


def _face(score: np.float32, box: npt.NDArray[np.float32], points: npt.NDArray[np.float32]) -> InsightFace:
    left, top, right, bottom = box.round().astype(int).tolist()
    landmarks = tuple((x, y) for x, y in points.round().astype(int).tolist())
    found = tuple(complex(x, y) for x, y in points.tolist())
    return InsightFace((left, top, right, bottom), landmarks, float(score), found)


def _load(pack: Pack, side: int, providers: Sequence[str]) -> tuple[Scrfd, Recogniser]:
    """Both networks, each tried once: a wrong graph, or one of wrong numbers, is found now and not by a caller."""
    fixed = set(pack.detector.shape[2:]) - {None}
    if fixed - {side}:
        raise ConfigurationError(
            f"{pack.detector.path.name} takes no pictures of {side} pixels: set FACE128_INSIGHTFACE_DETECTION_SIZE to "
            f"{max(size for size in fixed if size)}."
        )
    try:
        detector = Scrfd(open_session(pack.detector.path, providers))
        detector.find(np.zeros((side, side, 3), np.uint8))
    except Exception:  # ONNX Runtime's errors have no base class but this
        raise _unusable(pack.detector, "an SCRFD detector with landmarks") from None
    try:
        recogniser = Recogniser(open_session(pack.recogniser.path, providers), pack.recogniser)
        finite = bool(np.isfinite(recogniser.describe(np.full((2, CHIP_SIDE, CHIP_SIDE, 3), 99, np.uint8))).all())
    except Exception:  # as above
        finite = False
    if not finite:
        raise _unusable(pack.recogniser, f"an ArcFace network of {DIMENSION} numbers")
    return detector, recogniser


def _unusable(graph: Graph, wanted: str) -> ConfigurationError:
    return ConfigurationError(f"{graph.path.name} of the InsightFace pack is damaged, or not {wanted}.")
