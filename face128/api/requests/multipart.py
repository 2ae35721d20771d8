"""Parses multipart bodies in memory, with Starlette's parser. Text fields are in UTF-8."""

from __future__ import annotations

import sys
from collections.abc import AsyncGenerator

from fastapi import Request
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from face128.domain.strict_json import shortened
from face128.errors import BadRequest, InvalidRequest, TooLarge
from face128.photos import formats

PHOTO_FIELDS = ("image", "images", "file", "files", "image1", "image2")  # of all routes
MAX_TEXT_BYTES = 64 * 1024  # of one text field
MAX_TEXT_FIELDS = 64
# Starlette decodes with any codec of Python; some raise errors of their own, some make text that is not Unicode.
CHARSETS = (b"utf-8", b"utf8", b"us-ascii", b"iso-8859-1", b"latin1")


class _InMemoryParser(MultiPartParser):
    spool_max_size = sys.maxsize  # Starlette's own parser would write photos above 1 MiB to a temporary file

    def on_headers_finished(self) -> None:
        # A photo may come without a file name, but Starlette takes only parts with one as files.
        part = self._current_part
        _, options = parse_options_header(part.content_disposition)
        if options.get(b"name", b"").decode("latin-1") in PHOTO_FIELDS and b"filename" not in options:
            part.content_disposition = (part.content_disposition or b"") + b'; filename=""'
        super().on_headers_finished()

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        part = self._current_part
        if part.file is None and len(part.data) + end - start > MAX_TEXT_BYTES:
            sentence = f"A text field has at most {MAX_TEXT_BYTES} bytes."
            raise TooLarge(sentence, field=shortened(part.field_name), max_bytes=MAX_TEXT_BYTES)
        super().on_part_data(data, start, end)

    def on_part_end(self) -> None:
        part = self._current_part
        if part.file is None:
            try:
                part.data.decode(self._charset)
            except UnicodeDecodeError:
                raise InvalidRequest("The text is not in UTF-8.", field=shortened(part.field_name)) from None
        super().on_part_end()


async def parse_form(request: Request, stream: AsyncGenerator[bytes, None], max_files: int) -> FormData:
    """The form of a multipart body, without the empty parts that a browser sends for a file that was not chosen.

    Raises BadRequest if it is malformed, InvalidRequest that names the field of text that is not in UTF-8, and TooLarge
    for a text field above MAX_TEXT_BYTES.
    """
    _, options = parse_options_header(request.headers["content-type"])
    if options.get(b"charset", CHARSETS[0]).lower() not in CHARSETS:
        raise BadRequest("The text of a multipart body must be in UTF-8.")
    parser = _InMemoryParser(request.headers, stream, max_files=max_files, max_fields=MAX_TEXT_FIELDS)
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"The multipart body is malformed: {error.message}") from None
    return FormData([(field, value) for field, value in form.multi_items() if not _not_chosen(value)])


async def read_file(value: UploadFile | str) -> bytes:
    """The bytes of a file. Raises BadRequest for text where a photo should be: ``-F image=face.jpg``."""
    data = await value.read() if isinstance(value, UploadFile) else b""
    if not (isinstance(value, UploadFile) and (value.filename or formats.sniff(data))):
        raise BadRequest("The image must be sent as a file: curl -F image=@face.jpg")
    return data


def _not_chosen(value: UploadFile | str) -> bool:
    return isinstance(value, UploadFile) and not value.filename and not value.size
