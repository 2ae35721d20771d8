"""Model cards: what everyone reads instead of asking which engine made a descriptor. No weights are needed here."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal


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
