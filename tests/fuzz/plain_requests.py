"""Reads requests of HTTP/1.x from all bytes that a connection brings, in the plainest way: no state, one request after
the other, as RFC 9112 says and as h11 reads where the RFC leaves a choice.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

MAX_BYTES_BESIDES_BODY = 64 * 1024
UNCOUNTED_CHUNK_BYTES = 16

BLANK_LINE = re.compile(rb"\n\r?\n")
TOKEN = rb"[-!#$%&'*+.^_`|~0-9A-Za-z]+"
REQUEST_LINE = re.compile(rb"(%s) ([\x21-\x7e]+) HTTP/(1\.[01])" % TOKEN)
FIELD = re.compile(rb"(%s):[ \t]*((?:[^\0\s]+(?:[ \t]+[^\0\s]+)*)?)[ \t]*" % TOKEN)
CHUNK_LINE = re.compile(rb"([0-9A-Fa-f]{1,20})(?:;.*)?[ \t]*\r\n")


class Refused(Exception):
    """What follows is no valid request, or could be read in two ways."""


class Incomplete(Exception):
    """What follows may become a valid request."""


@dataclass
class Request:
    method: bytes
    target: bytes
    version: bytes
    fields: list[tuple[bytes, bytes]]
    """With the names in lower case."""
    body: bytes = b""

    def values(self, name: bytes) -> list[bytes]:
        return [value for each, value in self.fields if each == name]

    @property
    def is_last(self) -> bool:
        options = b",".join(self.values(b"connection")).lower().split(b",")
        return self.version == b"1.0" or b"close" in [option.strip() for option in options]


@dataclass
class Reading:
    requests: list[Request]
    """Those that are complete."""
    end: str
    """What comes after them: "nothing", "incomplete" or "refused"; "nothing" also if the last one is the last."""
    begun: Request | None = None
    """The one that is not complete, or whose body cannot be read, without its body."""


def read(data: bytes) -> Reading:
    reading, at = Reading([], "nothing"), 0
    while at < len(data) and not (reading.requests and reading.requests[-1].is_last):
        reading.begun = None
        try:
            request, start = _head(data, at)
            reading.begun = request
            request.body, at = _body(request, data, start, start - at)
        except (Refused, Incomplete) as reason:
            reading.end = type(reason).__name__.lower()
            return reading
        reading.requests.append(request)
    reading.begun = None
    return reading


def _head(data: bytes, at: int) -> tuple[Request, int]:
    if data.startswith((b"\n", b"\r\n"), at):
        raise Refused
    lines, end = _lines(data, at, 0)
    parts = REQUEST_LINE.fullmatch(lines[0])
    if not parts:
        raise Refused
    request = Request(*parts.groups(), _fields(lines[1:]))
    hosts = len(request.values(b"host"))
    if hosts > 1 or (hosts == 0 and request.version == b"1.1"):
        raise Refused
    return request, end


def _lines(data: bytes, at: int, bytes_before: int) -> tuple[list[bytes], int]:
    """The lines before the next empty one, and where that one ends."""
    blank = BLANK_LINE.search(data, at)
    end = blank.end() if blank else len(data)
    if bytes_before + end - at > MAX_BYTES_BESIDES_BODY:
        raise Refused
    if not blank:
        raise Incomplete
    return [line.removesuffix(b"\r") for line in data[at : blank.start()].split(b"\n")], end


def _fields(lines: list[bytes]) -> list[tuple[bytes, bytes]]:
    unfolded: list[bytes] = []
    for line in lines:
        if not line.startswith((b" ", b"\t")):
            unfolded.append(line)
        elif unfolded:
            unfolded[-1] += b" " + line.lstrip(b" \t")
        else:
            raise Refused
    fields = [FIELD.fullmatch(line) for line in unfolded]
    if None in fields:
        raise Refused
    return [(field[1].lower(), field[2]) for field in fields if field]


def _body(request: Request, data: bytes, start: int, head_bytes: int) -> tuple[bytes, int]:
    """The body, and where the request ends."""
    length, is_chunked = _framing(request.fields)
    if is_chunked:
        if length is not None or request.version == b"1.0":
            raise Refused
        return _chunks(data, start, head_bytes)
    end = start + (length or 0)
    if end > len(data):
        raise Incomplete
    return data[start:end], end


def _framing(fields: list[tuple[bytes, bytes]]) -> tuple[int | None, bool]:
    """The announced length, and whether the body is in chunks. Fields of the trailer are read in the same way."""
    values = [value for name, value in fields if name == b"content-length"]
    lengths = {length.strip() for value in values for length in value.split(b",")}
    codings = [value.lower() for name, value in fields if name == b"transfer-encoding"]
    if len(lengths) > 1 or codings not in ([], [b"chunked"]):
        raise Refused
    if not all(re.fullmatch(rb"[0-9]{1,20}", length) for length in lengths):
        raise Refused
    return (int(lengths.pop()) if lengths else None), bool(codings)


def _chunks(data: bytes, at: int, bytes_besides: int) -> tuple[bytes, int]:
    chunks, footer_bytes = [], 0
    while True:
        end = data.find(b"\r\n", at)
        if end < 0:
            raise Refused if bytes_besides + len(data) - at > MAX_BYTES_BESIDES_BODY else Incomplete
        line = data[at : end + 2]
        parts = CHUNK_LINE.fullmatch(line)
        if not parts:
            raise Refused
        at = end + 2
        size = int(parts[1], 16)
        if size == 0:
            break
        bytes_besides += max(0, len(line) + footer_bytes - UNCOUNTED_CHUNK_BYTES)
        if bytes_besides > MAX_BYTES_BESIDES_BODY:
            raise Refused
        chunks.append(data[at : at + size])
        at += size
        footer = data[at : at + 2]
        if footer != b"\r\n"[: len(footer)]:
            raise Refused
        if len(footer) < 2:
            raise Incomplete
        at, footer_bytes = at + 2, 2
    bytes_besides += len(line) + footer_bytes
    for empty in (b"\n", b"\r\n"):
        if data.startswith(empty, at):
            return b"".join(chunks), at + len(empty)
    lines, end = _lines(data, at, bytes_besides)
    _framing(_fields(lines))
    return b"".join(chunks), end
