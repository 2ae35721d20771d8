"""One descriptor for each member of a re-encoding: the mean of their photos' descriptors."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import from_base64, to_base64
from face128.domain.model_card import ModelCard
from face128.jobs.reencode.advice import ADVICE
from face128.jobs.reencode.results import EncodedMember, PhotoFailure
from face128.matching.templates import Mask, far_from_the_others, kept, templates

CODE = "inconsistent_person"


def with_templates(
    members: list[EncodedMember], cards: Sequence[ModelCard]
) -> tuple[list[EncodedMember], list[PhotoFailure]]:
    """The members with their templates, rounded to float32, under their first photo; and the photos left out.

    The first model says which photos are left out.
    """
    described, left_out = [], []
    for member in members:
        if len(member.descriptors) < 2:
            described.append(member)
            continue
        near = np.ones(len(member.descriptors), np.bool_)
        own = [place for place, by_model in enumerate(member.descriptors) if cards[0].name in by_model]
        if own:
            vectors = _vectors(member, own, cards[0])
            far, apart = far_from_the_others(vectors, cards[0].metric, cards[0].cohort_cap)
            near[own] = kept(far)
            for place, distance in zip(own, apart.tolist(), strict=True):
                if not near[place]:
                    photo = member.photos[place]
                    error = f"The photo is {distance:.2f} from the member's others: the mean is without it."
                    left_out.append(PhotoFailure(member.reg_no, member.name, photo.photo, CODE, error, ADVICE[CODE]))
        means = {card.name: mean for card in cards if (mean := _mean(member, near, card))}
        first = member.photos[int(np.flatnonzero(near)[0])]
        described.append(replace(member, photos=[first], descriptors=[means], photo_facts=[]))
    return described, left_out


def _mean(member: EncodedMember, near: Mask, card: ModelCard) -> str:
    """The template of the photos in ``near``; empty if the model has described none of them."""
    places = [place for place in np.flatnonzero(near).tolist() if card.name in member.descriptors[place]]
    if not places:
        return ""
    vectors = _vectors(member, places, card)
    template = templates(vectors, np.zeros(len(vectors), np.intp), card.metric, card.cohort_cap).vectors[0]
    return to_base64(template.astype(np.float32))


def _vectors(member: EncodedMember, places: Sequence[int], card: ModelCard) -> npt.NDArray[np.float32]:
    return np.array([from_base64(member.descriptors[place][card.name]) for place in places])
