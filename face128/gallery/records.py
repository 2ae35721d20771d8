"""People, new faces and stored faces of the gallery, and when two faces belong to one person."""

from __future__ import annotations

import hashlib
import json
import unicodedata
import uuid
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Vector
from face128.domain.members import RegNo
from face128.domain.model_card import ModelCard
from face128.errors import InvalidRequest, NotFound
from face128.gallery.tables import faces

MAX_TEXT_CHARACTERS = 255  # of a name or a user_id: the columns' length
MAX_METADATA_CHARACTERS = 16 * 1024  # of JSON
MAX_ID_CHARACTERS = 64  # the column's length

NO_RECORD = "There is no such record."

_NAMES = ("id", "embedding", "user_id", "name", "created_at", "record_id", "is_number", "metadata", "model")
RECORD_COLUMNS = tuple(faces.c[name] for name in _NAMES)
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

    @property
    def reg_no(self) -> RegNo:
        number: RegNo = json.loads(self.user_id) if self.numeric else self.user_id
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

    def content_hash(self, person: Person, card: ModelCard) -> str:
        identity = f"name {person.name}" if person.by_name else f"user {person.user_id}"
        parts = [identity.encode(), card.name.encode(), self.source]
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()

    def table_row(self, person: Person, card: ModelCard, version: int) -> dict[str, Any]:
        """The values for the table of faces."""
        return {
            "user_id": person.user_id,
            "name": person.name,
            "embedding": self.descriptor.astype("<f4").tobytes(),
            "created_at": datetime.now(UTC).replace(tzinfo=None),
            "record_id": person.user_id if person.by_name else str(uuid.uuid4()),
            "is_number": person.numeric,
            "metadata": metadata_json(self.metadata),
            "model": card.name,
            "content_hash": self.content_hash(person, card),
            "version": version,
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

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> Record:
        """From the values of RECORD_COLUMNS, by SQLAlchemy or the driver: SQLite's returns a time as text."""
        face_id, embedding, user_id, name, created_at, record_id, is_number, metadata, model, *_ = row
        return cls(
            face_id,
            record_id,
            Person(name, user_id, bool(is_number), by_name=record_id == user_id),
            json.loads(metadata),
            datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at,
            model,
            np.frombuffer(embedding, "<f4").astype(np.float64),
        )


@dataclass(frozen=True)
class SearchHit:
    record: Record
    distance: float


def check_text(name: str, text: str) -> None:
    """Raise InvalidRequest unless the field is 1 to 255 characters that can be stored, compared and printed."""
    # Printable text has no control characters (Cc) or surrogates (Cs). Other text may be fine: no-break spaces, joiners
    # in emoji.
    unwanted = not text.isprintable() and {"Cc", "Cs"} & {unicodedata.category(character) for character in text}
    if not 0 < len(text) <= MAX_TEXT_CHARACTERS or text != text.strip() or unwanted:
        raise InvalidRequest(
            f"The {name} is 1 to {MAX_TEXT_CHARACTERS} characters, without control characters or spaces around it.",
            field=name,
        )


def check_id(record_id: str) -> None:
    """Raise NotFound for a record's id that a database might refuse to compare."""
    if not (record_id.isascii() and record_id.isprintable() and len(record_id) <= MAX_ID_CHARACTERS):
        raise NotFound(NO_RECORD)


def metadata_json(metadata: dict[str, Any]) -> str:
    """The stored form: JSON in ASCII, which every database accepts. Raises InvalidRequest if it is too long."""
    try:
        text = json.dumps(metadata, allow_nan=False)
    except (ValueError, RecursionError):
        raise InvalidRequest("The metadata has NaN, infinity or too many levels.", field="metadata") from None
    if len(text) > MAX_METADATA_CHARACTERS:
        raise InvalidRequest(
            f"The metadata has more than {MAX_METADATA_CHARACTERS} characters of JSON.", field="metadata"
        )
    return text
