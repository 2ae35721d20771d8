"""Reads a file of members some hundreds at a time, so that a million take no more memory than a few.

The file is JSON in any encoding of JSON: a list of members, an object with that list in ``enrolled``, or a member on
each line (JSON Lines). Python's own parser reads one member after the other, so that what is JSON, and what a number or
a text may be, is the same as for the body of a request.
"""

from __future__ import annotations

import codecs
import json
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import count
from typing import Any, BinaryIO

from face128.errors import InvalidRequest

BLOCK_MEMBERS = 500
BLOCK_CHARACTERS = 2**21  # members with descriptors as numbers take 3 kB each, or 10 with 512 numbers
PIECE_BYTES = 2**20  # read at once
MAX_MEMBER_CHARACTERS = 2**25  # a member with two thousand photos
# A value is cut in two where the parser stops so near the end of what was read: in the middle of a word or an escape.
MAX_WORD_CHARACTERS = 16

_SPACE = re.compile(r"[ \t\n\r]*")
_UNFINISHED = "Unterminated string"  # begins the parser's message, whose place is the string's start
NOT_JSON = "The file is not JSON in UTF-8."
_NO_LIST = "The file is a list of members, or an object with that list in enrolled."


@dataclass(frozen=True)
class MemberBlock:
    first: int
    """The place in the list of the first member."""
    members: list[Any]
    """Any JSON values."""
    text: bytes
    """The members as a list in JSON, as they stand in the file."""
    bytes_read: int
    """Of the file, up to here."""


class MemberFile:
    """May be read several times. Errors are InvalidRequest."""

    def __init__(self, file: BinaryIO) -> None:
        """``file`` can be sought; it stays the caller's to close."""
        self._file = file
        self.size = file.seek(0, os.SEEK_END)
        """In bytes."""
        self._seen_model = False
        self._model: Any = None

    @property
    def model(self) -> Any:
        """The field ``model`` of the object, also where it stands behind the list; None if there is none."""
        if not self._seen_model:
            for _ in self._members(until_model=True):
                pass
            self._seen_model = True
        return self._model

    def blocks(self) -> Iterator[MemberBlock]:
        members: list[Any] = []
        texts: list[str] = []
        first = length = 0
        for member, text, position in self._members():
            members.append(member)
            texts.append(text)
            length += len(text)
            if len(members) == BLOCK_MEMBERS or length >= BLOCK_CHARACTERS:
                yield _block(first, members, texts, position)
                first += len(members)
                members, texts, length = [], [], 0
        if members:
            yield _block(first, members, texts, self.size)

    def _members(self, until_model: bool = False) -> Iterator[tuple[Any, str, int]]:
        """Each member with its text, and how much of the file has been read."""
        text = _Text(self._file)
        if text.take("["):
            yield from _list(text)
        elif text.take("{"):
            fields: dict[str, Any] = {}
            seen_list = False
            for name in _names(text):
                if name == "enrolled" and not seen_list and text.take("["):
                    seen_list = True
                    yield from _list(text)
                else:
                    fields[name] = text.value()[0]
                if "model" in fields:
                    self._model = fields["model"]
                    if until_model:
                        return
            if seen_list and "enrolled" in fields:
                raise InvalidRequest("The file has two lists in enrolled.", field="enrolled")
            if not seen_list:
                if "regNo" not in fields or "enrolled" in fields:
                    raise InvalidRequest(_NO_LIST)
                self._model = None  # that of the first line's member
                if not until_model:
                    yield from _lines(_Text(self._file))
                return
        else:
            text.value()  # NOT_JSON, unless it is some other value
            raise InvalidRequest(_NO_LIST)
        if not text.at_end():
            raise InvalidRequest(NOT_JSON)


def is_json(start: bytes) -> bool:
    """Whether a file that begins so may be one: a table does not."""
    text = start.decode(json.detect_encoding(start), "replace").lstrip("\ufeff \t\r\n")
    return text.startswith(("[", "{"))


def _block(first: int, members: list[Any], texts: list[str], bytes_read: int) -> MemberBlock:
    text = f"[{','.join(texts)}]".encode("utf-8", "surrogateescape")
    return MemberBlock(first, members, text, bytes_read)


def _names(text: _Text) -> Iterator[str]:
    """The names of an object's fields; the value is to be read after each."""
    if text.take("}"):
        return
    while True:
        name = text.value()[0]
        if not (isinstance(name, str) and text.take(":")):
            raise InvalidRequest(NOT_JSON)
        yield name
        if not text.take(","):
            break
    if not text.take("}"):
        raise InvalidRequest(NOT_JSON)


def _list(text: _Text) -> Iterator[tuple[Any, str, int]]:
    if text.take("]"):
        return
    for place in count():
        yield (*_member(text, place), text.bytes_read)
        if not text.take(","):
            if text.take("]"):
                return
            raise _at(place + 1, NOT_JSON)


def _lines(text: _Text) -> Iterator[tuple[Any, str, int]]:
    for place in count():
        if text.at_end():
            return
        yield (*_member(text, place), text.bytes_read)


def _member(text: _Text, place: int) -> tuple[Any, str]:
    try:
        return text.value()
    except InvalidRequest as error:
        raise _at(place, str(error)) from None


def _at(place: int, sentence: str) -> InvalidRequest:
    return InvalidRequest(sentence, field=f"enrolled[{place}]")


class _Text:
    """The text of a file from its beginning, of which a piece is in memory."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._offset = 0  # another reading of the same file may go on meanwhile
        file.seek(0)
        encoding = json.detect_encoding(file.read(4))
        # Bytes that are not UTF-8 become surrogates, so that the member with them can be named.
        errors = "surrogateescape" if encoding.startswith("utf-8") else "strict"
        self._decode = codecs.getincrementaldecoder(encoding)(errors).decode
        self._piece, self._at = "", 0
        self._complete = False
        self._parse = json.JSONDecoder().raw_decode

    @property
    def bytes_read(self) -> int:
        return self._offset

    def at_end(self) -> bool:
        return self._skip_space() == ""

    def take(self, character: str) -> bool:
        """Whether this character comes next, after space; it is passed over then."""
        found = self._skip_space() == character
        self._at += found
        return found

    def value(self) -> tuple[Any, str]:
        """The next value and its text."""
        self._skip_space()
        while True:
            try:
                value, end = self._parse(self._piece, self._at)
                # A number may go on in the next piece, also behind "1.5e-".
                is_cut = isinstance(value, int | float) and end + len("e-") >= len(self._piece)
                if not (is_cut and self._read()):
                    text = self._piece[self._at : end]
                    self._at = end
                    return value, text
            except json.JSONDecodeError as error:
                cut = error.msg.startswith(_UNFINISHED) or error.pos + MAX_WORD_CHARACTERS > len(self._piece.rstrip())
                if not (cut and self._read()):
                    raise InvalidRequest(NOT_JSON) from None
            except (ValueError, RecursionError):  # an integer of thousands of digits; thousands of levels
                raise InvalidRequest(NOT_JSON) from None
            if len(self._piece) > MAX_MEMBER_CHARACTERS:
                raise InvalidRequest(f"A member has more than {MAX_MEMBER_CHARACTERS} characters of JSON.")

    def _skip_space(self) -> str:
        """The next character that is no space; "" at the end."""
        while True:
            space = _SPACE.match(self._piece, self._at)
            self._at = at = space.end() if space else self._at
            if at < len(self._piece) or not self._read():
                return self._piece[at : at + 1]

    def _read(self) -> bool:
        """Read a further piece, as large as what is left of those before at least. Returns False at the end."""
        left = len(self._piece) - self._at
        while not self._complete:
            self._file.seek(self._offset)
            data = self._file.read(max(PIECE_BYTES, left))
            self._offset += len(data)
            self._complete = not data
            try:
                further = self._decode(data, self._complete)
            except UnicodeDecodeError:
                raise InvalidRequest(NOT_JSON) from None
            if further:
                self._piece, self._at = self._piece[self._at :] + further, 0
                return True
        return False
