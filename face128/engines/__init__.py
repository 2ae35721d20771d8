"""What an engine is, the cards of the models we know, and the only place that picks an engine.

Importing this module imports no engine: reading a model card costs nothing, and /match needs no weights.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
import numpy.typing as npt

from face128.errors import ConfigurationError
from face128.memory import give_back_memory

if TYPE_CHECKING:
    from face128.images import Photo
    from face128.settings import Settings

Chips = npt.NDArray[np.uint8 | np.float32]
"""(n, side, side, 3) RGB: faces cut out as the engine's network wants them."""
Descriptors = npt.NDArray[np.float32]
"""(n, dimension) float32, one row a face."""


@dataclass(frozen=True)
class ModelCard:
    """What everyone else reads instead of asking "which engine is this?"."""

    name: str
    """Stands in every answer and every stored row, such as "dlib-resnet-v1"."""
    dimension: int
    metric: Literal["euclidean", "cosine"]
    threshold: float
    """The greatest distance in the metric at which two descriptors are taken for one person, inclusive."""
    comparable_with: frozenset[str]
    """The other models whose descriptors may be compared with this one's."""
    licence: str
    """What the weights allow."""
    pipeline: str
    """Version of detection, alignment and crop: a descriptor depends on them."""
    cap: float = 0.6
    """The greatest distance that the cohort rule accepts, however rare; 0.6 is dlib's own bound for one person."""

    def comparable(self, other: ModelCard) -> bool:
        """Whether a distance between the two models' descriptors means anything."""
        return self.name == other.name or other.name in self.comparable_with


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


# The next two are one network, face-api.js's weights being dlib's rounded to uint8: the same chip lies 0.037 apart
# (median of 203). So they are comparable both ways. The caveat is alignment: dlib turns a face upright before it looks,
# face-api.js does not. The same photo through both lies 0.18 apart (median), but 0.3 at a roll of 15 degrees and 0.6
# beyond 25: docs/face-api.md.
DLIB = ModelCard(
    name="dlib-resnet-v1",
    dimension=128,
    metric="euclidean",
    # The threshold of the original service; face_recognition itself suggests 0.6, which is far looser.
    threshold=0.38,
    comparable_with=frozenset({"faceapi-resnet-v1"}),
    licence="public domain (CC0): dlib_face_recognition_resnet_model_v1 and shape_predictor_5_face_landmarks",
    # The engine puts its way of detecting before it.
    pipeline="5-points/chip-150-0.25/1",
)

FACEAPI = ModelCard(
    name="faceapi-resnet-v1",
    dimension=128,
    metric="euclidean",
    # The original service's, which matched face-api.js's descriptors with it.
    threshold=0.38,
    comparable_with=frozenset({"dlib-resnet-v1"}),
    licence=(
        "MIT (face-api.js). The recognition network is dlib's, public domain (CC0), rounded; ssd_mobilenetv1 is "
        "yeephycho's, trained on WIDERFACE; what photos the others were trained on is not published"
    ),
    # The engine puts its detector and its way of scaling before it.
    pipeline="68-points/upright-square/1",
)

CARDS: dict[str, ModelCard] = {card.name: card for card in (DLIB, FACEAPI)}
"""The models of fixed weights, by name; find_card knows the others too."""

MODELS = f"{', '.join(CARDS)}, and insightface-... as /encode-image names the model of a pack"
"""What an error says of the models that there are."""

ENGINES = ("dlib", "faceapi", "insightface", "fake")
"""The names that load_engine takes."""


def find_card(name: object) -> ModelCard | None:
    """The card of a model by its name; None where face128 knows no such model.

    The name of an InsightFace pack says all that a comparison needs, so that /match knows it without the pack.
    """
    if not isinstance(name, str):
        return None
    return CARDS.get(name) or (insightface_card(name) if _INSIGHTFACE.fullmatch(name) else None)


_INSIGHTFACE = re.compile(r"insightface-\w{1,40}-[0-9a-f]{8}", re.ASCII)


def insightface_card(name: str) -> ModelCard:
    """The card of the InsightFace pack whose descriptors have this name; they compare with each other alone."""
    return ModelCard(
        name=name,
        dimension=512,
        metric="cosine",
        threshold=0.45,  # the default of the sibling service of cosine distances (document 2)
        comparable_with=frozenset(),
        licence="InsightFace's own packs: non-commercial research only. Another pack: what its maker says",
        pipeline="",  # the engine's to say: it depends on the pack's detector
    )


def load_engine(name: str, settings: Settings) -> Engine:
    """Load an engine's weights and return it, warmed. Raises ConfigurationError where it cannot be had."""
    engine = _load(name, settings)
    give_back_memory()
    return engine


def _load(name: str, settings: Settings) -> Engine:
    match name:
        case "dlib":
            from face128.engines.dlib128 import DlibEngine

            return DlibEngine.from_settings(settings)
        case "faceapi":
            from face128.engines.faceapi128 import FaceapiEngine

            return FaceapiEngine.from_settings(settings)
        case "insightface":
            from face128.engines.insight512 import InsightEngine

            return InsightEngine.from_settings(settings)
        case "fake":
            from face128.engines.fake import FakeEngine

            return FakeEngine()
        case _:
            raise ConfigurationError(f"There is no engine {name!r}. The engines are: {', '.join(ENGINES)}.")
