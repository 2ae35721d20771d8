"""What a probe and the members of a list are compared in, where there are descriptors of several models.

A space is a model, or the pairs of two. A person is decided in the first of the probe's spaces in which they have a
descriptor; entries with one regNo are one person.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from face128.domain.decision_models import DecisionModels
from face128.domain.descriptors import Vector
from face128.domain.fusion import fuse
from face128.domain.members import PAIRS_WITH_NONE, Mask, MatchRequest, MemberList, ModelRows
from face128.domain.model_card import ModelCard, pair_card
from face128.errors import ModelMismatch
from face128.matching.fast_distances import Indices
from face128.matching.templates import mean_members


@dataclass(frozen=True)
class Space:
    card: ModelCard
    """The probe's model here, or that of its pair."""
    probe: Vector
    members: MemberList
    """All descriptors that are comparable with the probe's, or the templates of them."""
    decided: Mask | None = None
    """(rows,) those of the people who are decided here; None: all."""
    photos: MemberList | None = None
    """What the members' templates are of; None where all descriptors count by themselves."""


def list_spaces(request: MatchRequest, members: MemberList, order: DecisionModels) -> list[Space]:
    """The spaces in which somebody of the list is decided, the preferred first.

    Raises ModelMismatch if the list has descriptors, but none that the probe can be compared with.
    """
    asked, found = request.probe.spaces(order), []
    decided_before = np.zeros(len(members.reg_nos), np.bool_) if len(asked) > 1 else None
    for card, numbers in asked:
        within = members_in(card, members, request.card)
        if not len(within.vectors):
            continue
        photos = within
        if request.template == "mean":
            within = mean_members(photos, card)
        decided = None
        if decided_before is not None:
            decided = ~decided_before[within.person_ids]
            decided_before[within.person_ids] = True
            if not decided.any():
                continue
        of_templates = None if within is photos else photos
        found.append(Space(card, numbers.astype(np.float64, copy=False), within, decided, of_templates))
    if not found and members.descriptor_count:
        raise ModelMismatch("No member has a descriptor of a model that the probe has.", field="descriptors")
    return found


def members_in(card: ModelCard, members: MemberList, list_card: ModelCard) -> MemberList:
    """The list with its descriptors that are comparable with ``card``'s alone, or with the pairs that are.

    ``list_card``'s model made the descriptors of a list that names none. The result is kept with the list.
    """
    if not members.of_models and card.name == list_card.name:
        return members
    key = f"in {card.name}"
    if key not in members.derived:
        made = _pairs_in(card, members) if "+" in card.name else _rows_in(card, members, list_card)
        if not len(made.vectors):
            return made  # not kept: a request can name any number of models that the list has not
        members.derived.setdefault(key, made)
    kept: MemberList = members.derived[key]
    return kept


def _rows_in(card: ModelCard, members: MemberList, list_card: ModelCard) -> MemberList:
    of_models = members.of_models or (ModelRows(list_card, members.vectors, members.owners, members.owners),)
    comparable = [rows for rows in of_models if card.comparable(rows.card)]
    if not comparable:
        return members.with_rows(np.empty((0, card.dimension)), np.empty(0, np.int64))
    if len(comparable) == 1:
        (only,) = comparable
        other = None if only.card.name == card.name else np.ones(len(only.vectors), np.bool_)
        return members.with_rows(only.vectors, only.owners, other)
    owners = np.concatenate([rows.owners for rows in comparable])
    other = np.concatenate([np.full(len(rows.vectors), rows.card.name != card.name) for rows in comparable])
    order = np.argsort(owners, kind="stable")
    vectors = np.concatenate([rows.vectors for rows in comparable])
    return members.with_rows(vectors[order], owners[order], other[order])


def _pairs_in(card: ModelCard, members: MemberList) -> MemberList:
    """The pairs of a photo's descriptors, of all pairs of models that are comparable with ``card``'s."""
    vectors, owners, others = [np.empty((0, card.dimension))], [np.empty(0, np.int64)], [np.empty(0, np.bool_)]
    for first in members.of_models:
        for second in members.of_models:
            pair = pair_card(first.card, second.card)
            if pair is not None and card.comparable(pair):
                one, other = _same_photos(first, second)
                vectors.append(fuse(first.vectors[one], second.vectors[other]))
                owners.append(first.owners[one])
                others.append(np.full(len(one), pair.name != card.name))
    all_owners = np.concatenate(owners)
    order = np.argsort(all_owners, kind="stable")
    other_model = np.concatenate(others)[order]
    return members.with_rows(
        np.concatenate(vectors)[order], all_owners[order], other_model if other_model.any() else None
    )


def _same_photos(first: ModelRows, second: ModelRows) -> tuple[Indices, Indices]:
    """The rows of both that are of one photo, in the order of the members and of their photos."""

    def photos(rows: ModelRows) -> tuple[Indices, Indices]:
        paired = np.flatnonzero(rows.photos != PAIRS_WITH_NONE)
        return paired, rows.owners[paired] * stride + rows.photos[paired]

    stride = 1 + max(int(rows.photos.max(initial=0)) for rows in (first, second))
    (one, one_photos), (other, other_photos) = photos(first), photos(second)
    _, at_one, at_other = np.intersect1d(one_photos, other_photos, assume_unique=True, return_indices=True)
    return one[at_one], other[at_other]
