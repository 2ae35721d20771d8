"""One descriptor for each member of a re-encoding: the mean of their photos' descriptors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from face128.domain.descriptors import from_base64, to_base64
from face128.domain.model_card import ModelCard
from face128.jobs.reencode.results import ADVICE, EncodedMember, PhotoFailure
from face128.matching.templates import far_from_the_others, kept, templates

CODE = "inconsistent_person"


def with_templates(members: list[EncodedMember], card: ModelCard) -> tuple[list[EncodedMember], list[PhotoFailure]]:
    """The members with their templates, rounded to float32, under their first photo; and the photos left out."""
    described, left_out = [], []
    for member in members:
        if len(member.descriptors) < 2:
            described.append(member)
            continue
        vectors = np.array([from_base64(descriptor) for descriptor in member.descriptors])
        far, apart = far_from_the_others(vectors, card.metric, card.cohort_cap)
        keep = kept(far)
        for place in np.flatnonzero(~keep).tolist():
            photo = member.photos[place]
            error = f"The photo is {apart[place]:.2f} from the member's others: the mean is without it."
            left_out.append(PhotoFailure(member.reg_no, member.name, photo.photo, CODE, error, ADVICE[CODE]))
        template = templates(vectors, np.zeros(len(vectors), np.intp), card.metric, card.cohort_cap).vectors[0]
        first = int(np.flatnonzero(keep)[0])
        descriptors = [to_base64(template.astype(np.float32))]
        described.append(replace(member, photos=[member.photos[first]], descriptors=descriptors, photo_facts=[]))
    return described, left_out
