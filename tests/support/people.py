"""Descriptors of people: face_recognition's own of the photos in fixtures/, and synthetic ones around them."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import dlib_truth
import numpy as np
import numpy.typing as npt

from face128.domain.model_card import DLIB, ModelCard
from face128.domain.probe import Probe
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person, Record
from face128.gallery.rows.stored_space import StoredSpace
from face128.gallery.search.space_search import SpaceSearch
from face128.gallery.transfer.importing import Imported, import_members
from face128.gallery.transfer.member_file import MemberFile

Descriptor = npt.NDArray[np.float32]


def photo_descriptor(name: str) -> Descriptor:
    return dlib_truth.descriptors(name)[0].astype(np.float32)


def synthetic(count: int, seed: int = 0) -> Descriptor:
    """(count, 128): the real descriptors, moved as far as strangers are apart."""
    random = np.random.default_rng(seed)
    names = dlib_truth.ONE_FACE_PHOTOS
    base = np.array([photo_descriptor(name) for name in names])[random.integers(len(names), size=count)]
    return (base + random.normal(0, 0.06, (count, 128))).astype(np.float32)


def at_distance(descriptor: Descriptor, distance: float) -> Descriptor:
    """A descriptor at this distance."""
    away = np.zeros(128)
    away[0] = distance
    return (descriptor + away).astype(np.float32)


def import_document(gallery: Gallery, document: str | bytes, **options: Any) -> Imported:
    """Import a list of members, or an export."""
    data = document.encode("utf-8", "surrogateescape") if isinstance(document, str) else document
    return import_members(gallery, MemberFile(io.BytesIO(data)), **options)


def space_search(gallery: Gallery, card: ModelCard = DLIB) -> SpaceSearch:
    """What the gallery keeps for searches in the space of this model."""
    return gallery._spaces.space(StoredSpace.of(card))


def enrol(
    gallery: Gallery,
    user_id: str,
    descriptors: Descriptor | Sequence[Descriptor],
    name: str = "Somebody",
    **options: object,
) -> list[Record]:
    block = np.atleast_2d(np.asarray(descriptors, np.float32))
    return gallery.enrol(Person(name, user_id), [NewFace(row, row.tobytes()) for row in block], DLIB, **options)  # type: ignore[arg-type]


def add_record(gallery: Gallery, name: str, descriptor: Descriptor, **options: bool) -> Record:
    return gallery.enrol(Person.of_new_record(name), [NewFace(descriptor, descriptor.tobytes())], DLIB, **options)[0]


def matched_reg_no(gallery: Gallery, descriptor: Descriptor) -> str | int | float | None:
    """The regNo that a match answers."""
    decision = gallery.match(Probe.of(DLIB, descriptor))
    return decision.nearest.reg_no if decision.matched and decision.nearest else None
