"""The members of a file as rows for the table of faces, checked by the rules of /match."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import numpy as np

from face128.domain.descriptors import Descriptors
from face128.domain.members import MemberList, ModelRows
from face128.domain.model_card import CARDS, DLIB, ModelCard, find_card
from face128.errors import Face128Error, InvalidRequest, ModelMismatch
from face128.gallery.rows.records import NewFace, Person, is_storable_id, stored_vector
from face128.gallery.rows.stored_rows import Embeddings
from face128.gallery.transfer.import_terms import terms_of_member
from face128.gallery.transfer.member_file import MemberBlock, MemberFile
from face128.match_body.member_list import parse_list

Row = dict[str, Any]
"""The columns of a new face, and its ``companions``: the descriptors for the other table, by their models; the
``terms`` of its person; and whether the file ``has_id``, the record's: else it is a new one."""

Photo = dict[str, Descriptors]
"""The descriptors of one photo, by their models."""

_PLACE = re.compile(r"enrolled\[(\d+)\]")


class FileRows:
    """May be read several times."""

    def __init__(self, file: MemberFile) -> None:
        self.file = file
        self._card: ModelCard | None = None

    @property
    def card(self) -> ModelCard:
        """The model of the file's descriptors, once they have been read; dlib's if none is named, as in /match."""
        return self._card or self._check_model(str(self.file.model or DLIB.name))

    def blocks(self) -> Iterator[tuple[MemberBlock, list[Row]]]:
        """Some hundreds of members at a time, with the rows of their photos.

        Raises the errors of /match for a bad member, with their place in the whole list, and ModelMismatch for
        descriptors of several models or an unknown one.
        """
        for block in self.file.blocks():
            for member in block.members:
                if isinstance(member, dict):
                    self._card = self._check_model(str(member.get("model") or self.file.model or DLIB.name))
            try:
                parsed = parse_list(block.text, self.card, max_members=len(block.text))
            except Face128Error as error:
                if "field" in error.context:
                    error.context["field"] = _moved(error.context["field"], block.first)
                raise
            rows: list[Row] = []
            for place, photos in enumerate(_photos_of(parsed, self.card)):
                if photos:
                    member, where = block.members[place], f"enrolled[{block.first + place}]"
                    if member["regNo"] != parsed.reg_nos[place]:  # of two, the parsers take different ones
                        raise InvalidRequest("A field stands twice in one object.", field=f"{where}.regNo")
                    rows += _rows(member, where, photos, self.card)
            yield block, rows

    def _check_model(self, name: str) -> ModelCard:
        if self._card is not None:
            if name != self._card.name:
                names = " and ".join(sorted((name, self._card.name)))
                raise ModelMismatch(f"The file mixes descriptors of {names}: import them one by one.")
            return self._card
        if (card := find_card(name)) is None:
            raise ModelMismatch(f"The file's descriptors are of another model than {', '.join(CARDS)}.")
        return card


def embeddings(row: Row) -> Embeddings:
    return {row["model"]: row["embedding"], **row["companions"]}


def _moved(field: str, first: int) -> str:
    return _PLACE.sub(lambda place: f"enrolled[{first + int(place[1])}]", field, count=1)


def _photos_of(members: MemberList, card: ModelCard) -> list[list[Photo]]:
    """The photos of each member, in the order of their places."""
    of_models = members.of_models or (ModelRows(card, members.vectors, members.owners, members.owners),)
    found: list[dict[int, Photo]] = [{} for _ in members.reg_nos]
    for one in of_models:
        numbers = np.arange(len(one.owners)) if not members.of_models else one.photos
        vectors = one.vectors.astype(np.float32)
        for owner, number, vector in zip(one.owners.tolist(), numbers.tolist(), vectors, strict=True):
            found[owner].setdefault(number, {})[one.card.name] = vector
    return [[own[number] for number in sorted(own)] for own in found]


def _rows(member: Row, place: str, photos: list[Photo], card: ModelCard) -> Iterator[Row]:
    reg_no = member["regNo"]
    user_id = reg_no if isinstance(reg_no, str) else json.dumps(reg_no)
    details = member.get("faces")
    if not (isinstance(details, list) and len(details) == len(photos)):
        details = [{}] * len(photos)
    for photo, detail in zip(photos, details, strict=True):
        model = card.name if card.name in photo else min(photo)
        try:
            by_name = detail.get("id") == user_id
            person = Person(member.get("name"), user_id, not isinstance(reg_no, str), by_name)
            metadata, facts = dict(detail.get("metadata", {})), dict(detail.get("photo_facts", {}))
            face = NewFace(photo[model], photo[model].tobytes(), metadata, facts)
            row = face.table_row(person, find_card(model) or card, 0)
            row["companions"] = {other: stored_vector(photo[other]) for other in photo if other != model}
            row["terms"] = terms_of_member(member)
            row["has_id"] = "id" in detail
            if row["has_id"]:
                if not is_storable_id(str(detail["id"])):
                    raise ValueError
                row |= {"record_id": str(detail["id"]), "created_at": _utc(detail["created_at"])}
        except InvalidRequest as error:
            field = f"{place}.{error.context.get('field')}"
            raise InvalidRequest(str(error), regNo=reg_no, field=field) from None
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError):
            sentence = "The field faces is not as an export writes it."
            raise InvalidRequest(sentence, regNo=reg_no, field=f"{place}.faces") from None
        yield row


def _utc(text: str) -> datetime:
    """A time as the table has it: in UTC, without a zone. An export writes it so."""
    time = datetime.fromisoformat(text)
    return time if time.tzinfo is None else time.astimezone(UTC).replace(tzinfo=None)
