"""What the gallery takes and holds of a face, and when two faces are one person's."""

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

MAX_TEXT = 255  # characters of a name or a user_id: the columns' length
MAX_METADATA = 16 * 1024  # characters of JSON

NO_RECORD = "There is no such record."

_NAMES = ("id", "embedding", "user_id", "name", "created_at", "record_id", "is_number", "metadata", "model")
COLUMNS = tuple(faces.c[name] for name in _NAMES)
"""What a Record is made of."""


@dataclass(frozen=True)
class Person:
    """Whose face it is. Raises InvalidRequest for a name or user_id that cannot be kept."""

    name: str | None
    user_id: str
    numeric: bool = False
    """Whether regNo is a number; ``user_id`` is its JSON text then."""
    by_name: bool = False
    """A record of document 2: its person is its name, and its user_id only its own id."""

    def __post_init__(self) -> None:
        check_text("user_id", self.user_id)
        if self.name is not None:
            check_text("name", self.name)

    @classmethod
    def named(cls, name: str) -> Person:
        """Whose record is new."""
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
    """A face to enrol."""

    descriptor: npt.NDArray[np.float32]
    """(dimension,)"""
    source: bytes
    """The image, or the descriptor's own bytes: of one person, the same source is stored once."""
    metadata: dict[str, Any] = field(default_factory=dict)

    def content_hash(self, person: Person, card: ModelCard) -> str:
        whose = f"name {person.name}" if person.by_name else f"user {person.user_id}"
        parts = [whose.encode(), card.name.encode(), self.source]
        return hashlib.sha256(b"".join(len(part).to_bytes(8, "big") + part for part in parts)).hexdigest()

    def row(self, person: Person, card: ModelCard, version: int) -> dict[str, Any]:
        """As it stands in the table of faces."""
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
    """A face that is stored."""

    row: int
    """Its number in the table, which the indexes know it by."""
    id: str
    person: Person
    metadata: dict[str, Any]
    created_at: datetime
    """UTC, without a zone."""
    model: str
    descriptor: Vector

    @classmethod
    def of(cls, row: Sequence[Any]) -> Record:
        """From the values of COLUMNS, as SQLAlchemy or the driver gives them: SQLite's knows no times."""
        number, embedding, user_id, name, created_at, record_id, is_number, metadata, model = row[: len(COLUMNS)]
        return cls(
            number,
            record_id,
            Person(name, user_id, bool(is_number), by_name=record_id == user_id),
            json.loads(metadata),
            datetime.fromisoformat(created_at) if isinstance(created_at, str) else created_at,
            model,
            np.frombuffer(embedding, "<f4").astype(np.float64),
        )


@dataclass(frozen=True)
class Found:
    """A face that is stored, and how far it is from the probe."""

    record: Record
    distance: float


def check_text(what: str, text: str) -> None:
    """Raise InvalidRequest unless it is 1 to 255 characters that can be stored, compared and printed."""
    # What is printable has none of them; what is not may be an emoji's joiner, or no-break space.
    unwanted = not text.isprintable() and {"Cc", "Cs"} & {unicodedata.category(character) for character in text}
    if not 0 < len(text) <= MAX_TEXT or text != text.strip() or unwanted:
        raise InvalidRequest(
            f"The {what} is 1 to {MAX_TEXT} characters, without control characters and without spaces around it.",
            field=what,
        )


def check_id(record_id: str) -> None:
    """Raise NotFound for what no record's id can be, before a database stumbles over it."""
    if not (record_id.isascii() and record_id.isprintable() and len(record_id) <= 64):
        raise NotFound(NO_RECORD)


def metadata_json(metadata: dict[str, Any]) -> str:
    """As it is stored: in ASCII, so that every database takes it. Raises InvalidRequest for what is too much."""
    try:
        text = json.dumps(metadata, allow_nan=False)
    except (ValueError, RecursionError):
        raise InvalidRequest("The metadata has a number that is none, or too many levels.", field="metadata") from None
    if len(text) > MAX_METADATA:
        raise InvalidRequest(f"The metadata has more than {MAX_METADATA} characters of JSON.", field="metadata")
    return text
