"""Reads a request's photo into memory: multipart, JSON with base64, or the bare bytes. Nothing touches the disk."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncGenerator, Awaitable, Sequence
from typing import Any, TypeVar

from fastapi import Request
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect

from face128.errors import STOPPING, BadImage, BadRequest, ClientGone, Overloaded, TooLarge, TooSlow
from face128.photos.photo import Limits, from_base64
from face128.service.service import Service

T = TypeVar("T")

IMAGE_FIELDS = ("image", "file")
SLOWEST = 64 * 1024  # bytes a second: each 64 KiB that have come add a second to the time that a body may take
FORM_OVERHEAD = 64 * 1024  # bytes for boundaries, part headers and small text fields


class _InMemoryParser(MultiPartParser):
    spool_max_size = sys.maxsize  # Starlette's own parser would write photos above 1 MiB to a temporary file


async def read_image(request: Request, limits: Limits) -> bytes:
    """The request's one photo, as the bytes of its file.

    Raises BadRequest for a body of another shape, BadImage for an empty photo, TooLarge as soon as it is seen.
    """
    refuse_if_full(request)
    content_type = _content_type(request)
    if content_type == "multipart/form-data":
        form = await read_form(request, limits.max_bytes + FORM_OVERHEAD)
        image = await _one_file(form, IMAGE_FIELDS)
    elif content_type == "application/json":
        # Base64 takes 4 characters for 3 bytes.
        document = await read_json(request, limits.max_bytes * 4 // 3 + FORM_OVERHEAD)
        image = from_base64(_text(document, "image_base64"), limits.max_bytes)
    elif content_type.startswith("image/") or content_type == "application/octet-stream":
        image = bytes(await read_body(request, limits.max_bytes))
    else:
        raise BadRequest('Send multipart/form-data with a file "image", or JSON {"image_base64": "..."}.')
    if not image:
        raise BadImage("The image is empty.")
    return image


async def read_images(request: Request, limits: Limits, fields: Sequence[str]) -> list[tuple[str, bytes]]:
    """Each of the named photos: the files of a multipart form, or strings in base64 of a JSON object."""
    refuse_if_full(request)
    max_bytes = len(fields) * limits.max_bytes
    if _content_type(request) == "application/json":
        document = await read_json(request, max_bytes * 4 // 3 + FORM_OVERHEAD)
        return [(field, from_base64(_text(document, field), limits.max_bytes)) for field in fields]
    form = await read_form(request, max_bytes + FORM_OVERHEAD)
    return [(field, await _one_file(form, [field])) for field in fields]


def _text(document: Any, field: str) -> str:
    text = document.get(field) if isinstance(document, dict) else None
    if not isinstance(text, str):
        raise BadRequest(f'The body must have a string in base64 in "{field}", or be multipart with a file.')
    return text


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_form(request: Request, max_bytes: int, max_files: int = 64) -> FormData:
    """The parsed multipart body. Raises BadRequest where it is malformed or none."""
    if _content_type(request) != "multipart/form-data":
        raise BadRequest("Send the photos as multipart/form-data.")
    parser = _InMemoryParser(
        request.headers, _bounded(request, max_bytes), max_files=max_files, max_fields=64, max_part_size=FORM_OVERHEAD
    )
    try:
        return await parser.parse()
    except MultiPartException as error:
        raise BadRequest(f"The multipart body is malformed: {error.message}") from None


async def read_json(request: Request, max_bytes: int) -> Any:
    try:
        return json.loads(await read_body(request, max_bytes))
    except (ValueError, RecursionError):
        raise BadRequest("The body is not valid JSON.") from None


async def read_body(request: Request, max_bytes: int) -> bytearray:
    """The whole body.

    Raises TooLarge and Overloaded at once where the announced length is too much, else as soon as it is; TooSlow and
    ClientGone.
    """
    body = bytearray()
    async for chunk in _bounded(request, max_bytes):
        body += chunk
    return body


def announced_bytes(request: Request) -> int:
    """The length that the head of the request tells; 0 where it does not."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() else 0


def _admit(request: Request, max_bytes: int) -> None:
    """Refuse a body that is announced to be too large, or for which there is no room in memory."""
    announced = announced_bytes(request)
    if announced > max_bytes:
        raise _too_large(max_bytes)
    request.state.memory.grow(announced)


def _too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"The body has more than {max_bytes} bytes.", max_bytes=max_bytes)


async def _bounded(request: Request, max_bytes: int) -> AsyncGenerator[bytes, None]:
    """The body's chunks, for which there is room in memory. Raises as ``read_body`` does."""
    _admit(request, max_bytes)
    service, share = request.app.state.service, request.state.memory
    chunks = aiter(request.stream())
    received, deadline = 0, time.monotonic() + service.settings.body_seconds
    while True:
        try:
            chunk = await _in_time(anext(chunks), deadline + received / SLOWEST - time.monotonic(), service)
        except StopAsyncIteration:
            return
        except ClientDisconnect:
            raise ClientGone() from None
        received += len(chunk)
        if received > max_bytes:
            raise _too_large(max_bytes)
        share.grow(received)
        yield chunk


async def _in_time(chunk: Awaitable[T], seconds: float, service: Service) -> T:
    """Raises TooSlow, and Overloaded where the service begins to stop meanwhile."""
    if service.stopping:
        raise Overloaded(STOPPING)
    try:
        async with asyncio.timeout(seconds) as timeout:
            service.reading.add(timeout)
            try:
                return await chunk
            finally:
                service.reading.discard(timeout)
    except TimeoutError:
        raise (Overloaded(STOPPING) if service.stopping else TooSlow()) from None


def refuse_if_full(request: Request) -> None:
    """Raise Overloaded before a photo is read that could only be refused afterwards."""
    request.app.state.service.workers.refuse_if_full()


async def _one_file(form: FormData, fields: Sequence[str]) -> bytes:
    files = [value for field in fields for value in form.getlist(field)]
    if not files:
        raise BadRequest(f"The form has no file in a field {' or '.join(repr(field) for field in fields)}.")
    if len(files) > 1:
        raise BadRequest("The form has more than one image.")
    if not isinstance(files[0], UploadFile):
        raise BadRequest("The image must be sent as a file: curl -F image=@face.jpg")
    return await files[0].read()
