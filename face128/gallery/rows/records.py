"""People, new faces and stored faces of the gallery, and when two faces belong to one person."""

from __future__ import annotations

import hashlib
import json
import re
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix, Vector
from face128.domain.members import RegNo
from face128.domain.model_card import CARDS, ModelCard, in_one_pair
from face128.domain.plain_text import check_plain_text
from face128.domain.strict_json import MAX_INTEGER_DIGITS, is_unicode
from face128.domain.terms import NO_TERMS, Terms
from face128.errors import InvalidRequest, NotFound
from face128.gallery.storage.tables import faces

MAX_TEXT_CHARACTERS = 255  # of a name or a user_id: the columns' length
MAX_METADATA_CHARACTERS = 16 * 1024  # of JSON
MAX_METADATA_LEVELS = 200  # of lists and objects in each other: pydantic cannot write more than 253
MAX_ID_CHARACTERS = 64  # the column's length

PHOTO_FACTS = ("adjusted", "quality")
"""What a row keeps about its photo, each a JSON object as the answer of the enrolment had it."""

NO_RECORD = "There is no such record."

_HALF_PAIR = re.compile("[\\ud800-\\udfff]")
_LONG_INTEGER = re.compile(rf"[0-9]{{{MAX_INTEGER_DIGITS + 1}}}")
_STORED = json.JSONDecoder(parse_int=lambda digits: int(digits) if len(digits) <= MAX_INTEGER_DIGITS else digits)

_NAMES = "id embedding user_id name created_at record_id is_number metadata model photo_facts key_id sealed"
RECORD_COLUMNS = tuple(faces.c[name] for name in _NAMES.split())
"""The columns that a Record is made from."""


@dataclass(frozen=True)
class Person:
    """An enrolled person. Raises InvalidRequest for a name or user_id that cannot be stored."""

    name: str | None
    user_id: str
    numeric: bool = False
    """Whether regNo is a number; ``user_id`` is then its JSON text."""
    by_name: bool = False
    """For a record of the records service: the name identifies the person, and user_id is the record's own id."""

    def __post_init__(self) -> None:
        check_text("user_id", self.user_id)
        if self.name is not None:
            check_text("name", self.name)

    @classmethod
    def of_new_record(cls, name: str) -> Person:
        return cls(name, str(uuid.uuid4()), by_name=True)

    @classmethod
    def from_row(cls, user_id: str, name: str | None, is_number: bool, record_id: str) -> Person:
        """As stored, unchecked: an older version may have stored what is refused now."""
        person = object.__new__(cls)
        vars(person).update(name=name, user_id=user_id, numeric=bool(is_number), by_name=record_id == user_id)
        return person

    @property
    def reg_no(self) -> RegNo:
        try:
            number: RegNo = json.loads(self.user_id) if self.numeric else self.user_id
        except ValueError:  # a stored number with damaged bytes
            return self.user_id
        return number

    def same_as(self, other: Person) -> bool:
        if self.user_id == other.user_id:
            return True
        return (self.by_name or other.by_name) and self.name is not None and self.name == other.name


@dataclass(frozen=True)
class NewFace:
    descriptor: npt.NDArray[np.float32]
    """(dimension,)"""
    source: bytes
    """The image, or the descriptor's bytes: for one person, each source is stored once."""
    metadata: dict[str, Any] = field(default_factory=dict)
    photo_facts: dict[str, Any] = field(default_factory=dict)
    """See PHOTO_FACTS; a fact that is not known is left out."""
    companions: Mapping[str, Matrix | Vector] = field(default_factory=dict)
    """The photo's descriptors by further models, none comparable with another of the photo's."""
    thumbnail: bytes | None = None
    """A small JPEG of the face, kept only if FACE128_THUMBNAILS_HOURS says so: people/thumbnails.py."""

    def by_model(self, card: ModelCard) -> dict[str, bytes]:
        """The stored form of all its descriptors."""
        return {
            model: stored_vector(vector) for model, vector in {card.name: self.descriptor, **self.companions}.items()
        }

    def content_hashes(self, person: Person, card: ModelCard) -> list[str]:
        """Its own, and those that its row may have if the photo came first by another network of a pair."""
        partners = (other.name for other in CARDS.values() if in_one_pair(card, other))
        return [self._content_hash(person, model) for model in dict.fromkeys((card.name, *self.companions, *partners))]

    def content_hash(self, person: Person, card: ModelCard) -> str:
        return self._content_hash(person, card.name)

    def _content_hash(self, person: Person, model: str) -> str:
        identity = f"name {person.name}" if person.by_name else f"user {person.user_id}"
        parts = [identity.encode(), model.encode(), self.source]
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()

    def table_row(self, person: Person, card: ModelCard, version: int) -> dict[str, Any]:
        """The values for the table of faces."""
        return {
            "user_id": person.user_id,
            "name": person.name,
            "embedding": stored_vector(self.descriptor),
            "created_at": datetime.now(UTC).replace(tzinfo=None),
            "record_id": person.user_id if person.by_name else str(uuid.uuid4()),
            "is_number": person.numeric,
            "metadata": metadata_json(self.metadata),
            "model": card.name,
            "content_hash": self.content_hash(person, card),
            "version": version,
            "photo_facts": photo_facts_json(self.photo_facts),
        }


@dataclass(frozen=True)
class Record:
    face_id: int
    """Its id in the table and in the indexes."""
    id: str
    """Its id in the API."""
    person: Person
    metadata: dict[str, Any]
    created_at: datetime
    """UTC, without a time zone."""
    model: str
    descriptor: Vector
    photo_facts: dict[str, Any]
    companions: tuple[str, ...] = ()
    """The models of its other descriptors, where they were asked for."""
    position: int | None = None
    """In the order of creation, from 0, where it was asked for."""
    terms: Terms = NO_TERMS
    """What is agreed with the person, where it was asked for."""
    tokens: tuple[str, str | None, str] | None = None
    """What an encrypted gallery has for the owner; see ``owner``."""

    @property
    def owner(self) -> tuple[str, str | None, str]:
        """The user_id, name and record_id of the row, or what an encrypted gallery has for them."""
        return self.tokens or (self.person.user_id, self.person.name, self.id)

    @classmethod
    def from_row(cls, row: Sequence[Any], tokens: tuple[str, str | None, str] | None = None) -> Record:
        """From the values of RECORD_COLUMNS in clear, by SQLAlchemy or the driver: SQLite's returns a time as text."""
        face_id, embedding, user_id, name, created_at, record_id, is_number, metadata, model, photo_facts, *_ = row
        return cls(
            face_id,
            record_id,
            Person.from_row(user_id, name, is_number, record_id),
            stored_metadata(metadata),
            datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at,
            model,
            np.frombuffer(embedding, "<f4").astype(np.float64),
            stored_photo_facts(photo_facts),
            tokens=tokens,
        )


@dataclass(frozen=True)
class SearchHit:
    record: Record
    distance: float


def stored_vector(vector: Matrix | Vector) -> bytes:
    """The stored form of a descriptor."""
    return vector.astype("<f4").tobytes()


def check_text(name: str, text: str) -> None:
    """Raise InvalidRequest unless the field is 1 to 255 characters that can be stored, compared and printed."""
    check_plain_text(name, text, MAX_TEXT_CHARACTERS)


def is_storable_id(record_id: str) -> bool:
    """Whether a database can store and compare it as a record's id."""
    return record_id.isascii() and record_id.isprintable() and 0 < len(record_id) <= MAX_ID_CHARACTERS


def check_id(record_id: str) -> None:
    """Raise NotFound for a record's id that a database might refuse to compare."""
    if not is_storable_id(record_id):
        raise NotFound(NO_RECORD)


def metadata_json(metadata: dict[str, Any]) -> str:
    """The stored form: JSON in ASCII, which every database accepts. Raises InvalidRequest for what it cannot hold."""
    return _object_json("metadata", metadata)


def _object_json(name: str, value: dict[str, Any]) -> str:
    if not value:
        return "{}"
    try:
        text = json.dumps(value, allow_nan=False)
        # The text says of nearly all objects at once that they are flat, and have no surrogate pair or a half of one.
        deep = text.count("{") + text.count("[") > MAX_METADATA_LEVELS and _is_deep(value, MAX_METADATA_LEVELS)
        unreadable = deep or ("\\ud" in text and not is_unicode(value))
    except RecursionError:
        unreadable = True
    except ValueError:
        raise InvalidRequest(f"The {name} has NaN or infinity.", field=name) from None
    if unreadable:
        raise InvalidRequest(f"The {name} has too many levels, or text that is not Unicode.", field=name)
    if _LONG_INTEGER.search(text) and stored_metadata(text) != value:
        raise InvalidRequest(f"The {name} has an integer beyond every float.", field=name)
    if len(text) > MAX_METADATA_CHARACTERS:
        raise InvalidRequest(f"The {name} has more than {MAX_METADATA_CHARACTERS} characters of JSON.", field=name)
    return text


def photo_facts_json(facts: dict[str, Any]) -> str | None:
    """The stored form of PHOTO_FACTS; None if there are none. Raises InvalidRequest as ``metadata_json`` does."""
    known = _known_facts(facts)
    return _object_json("photo_facts", known) if known else None


def stored_photo_facts(text: str | None) -> dict[str, Any]:
    """Read the stored form. Older rows have no facts, and what is damaged is left out."""
    return _known_facts(stored_metadata(text)) if text else {}


def _known_facts(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in PHOTO_FACTS if isinstance(facts.get(name), dict)}


def stored_metadata(text: str) -> dict[str, Any]:
    """Read the stored form. What an older version stored, and ``metadata_json`` refuses, becomes text.

    Half a surrogate pair becomes its escape, an integer beyond every float its digits, and a text without a readable
    JSON object ``{"unreadable": text}``: one damaged row must not hide the others.
    """
    try:
        metadata = _STORED.decode(text)
        if "\\ud" in text.lower() and not is_unicode(metadata):
            escaped = _HALF_PAIR.sub(lambda half: rf"\\u{ord(half[0]):04x}", json.dumps(metadata, ensure_ascii=False))
            metadata = json.loads(escaped)
        if text.count("{") + text.count("[") > MAX_METADATA_LEVELS and _is_deep(metadata, MAX_METADATA_LEVELS):
            metadata = None
    except (ValueError, RecursionError):
        if "\\x" in text:  # how bytes that are not UTF-8 are read; JSON does not have it
            return stored_metadata(text.replace("\\x", "\\u00"))
        metadata = None
    return metadata if isinstance(metadata, dict) else {"unreadable": text}


def _is_deep(value: Any, levels: int) -> bool:
    children = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return levels < 0 or any(_is_deep(child, levels - 1) for child in children)
