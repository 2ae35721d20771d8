"""What an engine is: it finds faces, cuts them out, and describes them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Protocol

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Descriptors
from face128.domain.model_card import ModelCard

if TYPE_CHECKING:
    from face128.photos.photo import Photo

Chips = npt.NDArray[np.uint8 | np.float32]
"""(n, side, side, 3) RGB: faces cut out as the engine's network wants them."""


@dataclass(frozen=True)
class Face:
    """A face that was found: pixels of the upright photo at full size."""

    box: tuple[int, int, int, int]
    """(left, top, right, bottom); it may reach over the edge of the photo."""
    landmarks: tuple[tuple[int, int], ...]
    """(x, y) of each point; which points they are, and how many, is the engine's business."""
    confidence: float
    """0..1, rising with the detector's score."""
    eyes: ClassVar[tuple[slice, slice] | None] = None
    """The landmarks of the eye on the photo's left and of the other, where a subclass has an order of its own."""

    def __reduce__(self) -> tuple[Callable[..., Face], tuple[object, ...]]:
        # It travels to another process as a plain Face: what an engine added serves that engine alone, and its class
        # would load the engine there.
        eyes = self.eyes and tuple((eye.start, eye.stop) for eye in self.eyes)
        return travelled_face, (self.box, self.landmarks, self.confidence, eyes)


def travelled_face(
    box: tuple[int, int, int, int],
    landmarks: tuple[tuple[int, int], ...],
    confidence: float,
    eyes: tuple[tuple[int, int], tuple[int, int]] | None,
) -> Face:
    """The face that another process has found."""
    face = Face(box, landmarks, confidence)
    if eyes:
        object.__setattr__(face, "eyes", tuple(slice(*eye) for eye in eyes))
    return face


class Engine(Protocol):
    """Finds and describes faces. Thread-safe and blocking: the service calls it through workers.py."""

    card: ModelCard

    def detect(self, photo: Photo) -> list[Face]:
        """Every face in the photo, the most confident first."""
        ...

    def crop(self, photo: Photo, faces: Sequence[Face]) -> Chips:
        """One chip a face, in the order of ``faces``; of all that follows, it alone depends on the photo."""
        ...

    def describe(self, chips: Chips) -> Descriptors:
        """One descriptor a chip; (n, card.dimension) float32."""
        ...
