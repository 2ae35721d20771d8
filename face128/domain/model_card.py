"""Model cards: what code needs to know about a model, instead of asking which engine it is. They need no weights."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

Rendering = Literal["plain", "browser"]


@dataclass(frozen=True)
class ModelCard:
    name: str
    """In every answer and every stored row, for example "dlib-resnet-v1"."""
    dimension: int
    metric: Literal["euclidean", "cosine"]
    threshold: float
    """The greatest distance at which two descriptors count as one person, inclusive."""
    comparable_with: frozenset[str]
    """The names of other models whose descriptors may be compared with this one's."""
    licence: str
    """The licence of the weights."""
    pipeline: str
    """Version of detection, alignment and crop, on which a descriptor depends."""
    rendering: Rendering = "plain"
    """How a file becomes pixels. "plain" as face_recognition does: colour profiles are ignored, and what is transparent
    is white. "browser" as Chrome draws it on a canvas: in sRGB, and what is transparent is black."""
    cohort_cap: float = 0.6
    """The greatest distance that the cohort rule accepts; 0.6 is dlib's own bound for one person."""

    def comparable(self, other: ModelCard) -> bool:
        """Whether distances between the two models' descriptors are meaningful."""
        return self.name == other.name or other.name in self.comparable_with


# The next two models are one network: face-api.js's weights are dlib's, rounded to uint8. The descriptors of one chip
# are 0.037 apart (median of 203), so the models are comparable both ways. The caveat is alignment: dlib rotates a face
# upright first, face-api.js does not. The descriptors of one photo are 0.18 apart (median), but 0.3 at a roll of 15
# degrees and 0.6 beyond 25: docs/face-api.md.
DLIB = ModelCard(
    name="dlib-resnet-v1",
    dimension=128,
    metric="euclidean",
    # The original service's, for face-api.js's descriptors; face_recognition suggests 0.6, which is far looser.
    threshold=0.38,
    comparable_with=frozenset({"faceapi-resnet-v1"}),
    licence="public domain (CC0): dlib_face_recognition_resnet_model_v1 and shape_predictor_5_face_landmarks",
    # The engine prepends its detection mode.
    pipeline="5-points/chip-150-0.25/1",
)

FACEAPI = replace(
    DLIB,
    name="faceapi-resnet-v1",
    comparable_with=frozenset({"dlib-resnet-v1"}),
    licence=(
        "MIT (face-api.js). The recognition network is dlib's, public domain (CC0), rounded; ssd_mobilenetv1 is "
        "yeephycho's, trained on WIDERFACE; what photos the others were trained on is not published"
    ),
    # The engine prepends its detector and its scaling mode.
    pipeline="68-points/upright-square/1",
)

# Measured on lfw-view1, one pass (docs/decision.md): the FAR is 0.1 % at the threshold, and at the cap that of dlib's.
RETAIL = ModelCard(
    name="retail-0095",
    dimension=256,
    metric="cosine",
    threshold=0.65,
    comparable_with=frozenset(),
    licence=(
        "Apache 2.0, as Intel says of the weights (face-reidentification-retail-0095, Open Model Zoo). Their training "
        "code names VGGFace2: what its photos allow is an open question"
    ),
    # The engine prepends its detection mode.
    pipeline="3-points/crop-128/1",
    cohort_cap=0.73,
)

CARDS: dict[str, ModelCard] = {card.name: card for card in (DLIB, FACEAPI, RETAIL)}
"""The models with fixed weights, by name; find_card also knows InsightFace packs and other files of retail."""

MAX_MODELS = 16
"""Of the descriptors in one request: a face has been described by two or three."""

MODEL_NAMES = f"{', '.join(CARDS)}, and insightface-... as /encode-image names the model of a pack"
"""The known models, for error sentences."""


def find_card(name: object) -> ModelCard | None:
    """The card of the model with this name; None if it is unknown.

    The card of an InsightFace pack, and of another file of retail, follows from its name, so that /match can compare
    descriptors without the files. A pair's card is found by ``find_card_or_pair``.
    """
    if not isinstance(name, str):
        return None
    if name in CARDS:
        return CARDS[name]
    if _RETAIL_NAME.fullmatch(name):
        return retail_card(name)
    return insightface_card(name) if _INSIGHTFACE_NAME.fullmatch(name) else None


_RETAIL_NAME = re.compile(r"retail-[0-9a-f]{8}", re.ASCII)


def retail_card(name: str) -> ModelCard:
    """The card of a file of retail with other weights than the known one; comparable with nothing else."""
    return replace(RETAIL, name=name, licence="what the maker of these weights says")


def pair_card(first: ModelCard, second: ModelCard) -> ModelCard | None:
    """The card of pairs: descriptors of one photo by both networks, as domain/fusion.py joins them.

    None unless ``first`` is dlib's network and ``second`` is retail. Its threshold lets as few strangers in on
    lfw-view1 as 0.38 of dlib's does (2 of 1,176,379 pairs of different people), and its cap is that of dlib's 0.6.
    """
    if not (first.comparable(DLIB) and (second.name == RETAIL.name or _RETAIL_NAME.fullmatch(second.name))):
        return None
    return ModelCard(
        name=f"{first.name}+{second.name}",
        dimension=first.dimension + second.dimension,
        metric="euclidean",
        threshold=0.66,
        comparable_with=frozenset(f"{name}+{second.name}" for name in first.comparable_with),
        licence=f"both networks': {first.licence}; {second.licence}",
        pipeline=f"{first.pipeline}+{second.pipeline}",
        cohort_cap=0.855,
    )


def in_one_pair(one: ModelCard, other: ModelCard) -> bool:
    """Whether descriptors of these two models may be of one pair."""
    return pair_card(one, other) is not None or pair_card(other, one) is not None


def find_card_or_pair(name: object) -> ModelCard | None:
    """As ``find_card``; also of the pairs of two models, whose names "+" joins."""
    if not isinstance(name, str) or "+" not in name:
        return find_card(name)
    first, second = map(find_card, name.split("+", 1))
    return pair_card(first, second) if first and second else None


_INSIGHTFACE_NAME = re.compile(r"insightface-\w{1,40}-[0-9a-f]{8}", re.ASCII)


def insightface_card(name: str) -> ModelCard:
    """The card of the InsightFace pack with this model name; its descriptors are only comparable with each other."""
    return ModelCard(
        name=name,
        dimension=512,
        metric="cosine",
        threshold=0.45,  # the default of the records service, which uses cosine distances
        comparable_with=frozenset(),
        licence="InsightFace's own packs: non-commercial research only. Another pack: what its maker says",
        pipeline="",  # set by the engine: it depends on the pack's detector
    )
