"""Reads the body of a request into memory: multipart, JSON, or bare bytes. Nothing is written to the disk."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Sequence
from typing import Any

from fastapi import Request
from starlette.datastructures import FormData

from face128.api.requests.multipart import parse_form, read_file
from face128.domain import strict_json
from face128.errors import (
    STOPPING,
    BadImage,
    BadRequest,
    ClientGone,
    Overloaded,
    TooLarge,
    TooSlow,
    UnsupportedEncoding,
)
from face128.photos.photo import Limits, decode_base64

IMAGE_FIELDS = ("image", "file")
MIN_BYTES_PER_S = 64 * 1024  # each 64 KiB that have arrived add a second to the time that a body may take
FORM_OVERHEAD_BYTES = 64 * 1024  # for boundaries, part headers and small text fields
SMALL_CHUNK_BYTES = 4096  # those smaller are put together: a list of single bytes takes forty times their memory


async def read_image(request: Request, limits: Limits) -> bytes:
    """The file of the request's one photo.

    Raises BadRequest for a body of another shape, BadImage for an empty photo, and as ``receive_body``.
    """
    refuse_if_full(request)
    content_type = _content_type(request)
    if content_type == "multipart/form-data":
        form = await read_form(request, limits.max_bytes + FORM_OVERHEAD_BYTES)
        image = await _one_file(form, IMAGE_FIELDS)
    elif content_type == "application/json":
        # Base64 takes 4 characters for 3 bytes.
        document = await read_json(request, limits.max_bytes * 4 // 3 + FORM_OVERHEAD_BYTES)
        image = decode_base64(_text(document, "image_base64"), limits.max_bytes)
    elif content_type.startswith("image/") or content_type == "application/octet-stream":
        image = await read_body(request, limits.max_bytes)
    else:
        raise BadRequest('Send multipart/form-data with a file "image", or JSON {"image_base64": "..."}.')
    if not image:
        raise BadImage("The image is empty.")
    return image


async def read_images(request: Request, limits: Limits, fields: Sequence[str]) -> list[tuple[str, bytes]]:
    """The photos in these fields: files of a multipart form, or strings in base64 of a JSON object."""
    refuse_if_full(request)
    max_bytes = len(fields) * limits.max_bytes
    if _content_type(request) == "application/json":
        document = await read_json(request, max_bytes * 4 // 3 + FORM_OVERHEAD_BYTES)
        return [(field, decode_base64(_text(document, field), limits.max_bytes)) for field in fields]
    form = await read_form(request, max_bytes + FORM_OVERHEAD_BYTES)
    return [(field, await _one_file(form, [field])) for field in fields]


def _text(document: Any, field: str) -> str:
    text = document.get(field) if isinstance(document, dict) else None
    if not isinstance(text, str):
        raise BadRequest(f'The body must have a string in base64 in "{field}", or be multipart with a file.')
    return text


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


async def read_form(request: Request, max_bytes: int, max_files: int = 64) -> FormData:
    """The parsed multipart body. Raises BadRequest if it is not multipart, and as ``receive_body`` and parse_form."""
    if _content_type(request) != "multipart/form-data":
        raise BadRequest("Send the photos as multipart/form-data.")
    chunks: deque[bytes] = deque()
    await receive_body(request, max_bytes, chunks.append)

    async def stream() -> AsyncGenerator[bytes, None]:
        while chunks:
            yield chunks.popleft()  # freed once the parser has copied it

    return await parse_form(request, stream(), max_files)


async def read_json(request: Request, max_bytes: int, *, any_text: bool = False) -> Any:
    """The parsed JSON body. Raises as ``receive_body`` and strict_json.loads, which explains ``any_text``."""
    return strict_json.loads(await read_body(request, max_bytes), any_text=any_text)


async def read_body(request: Request, max_bytes: int) -> bytes:
    """The whole body. Raises as ``receive_body``."""
    chunks: list[bytes] = []
    await receive_body(request, max_bytes, chunks.append)
    return b"".join(chunks)


async def receive_body(request: Request, max_bytes: int, take: Callable[[bytes], None]) -> None:
    """Receive the body and hand each chunk to ``take``, small ones put together.

    Raises UnsupportedEncoding; TooLarge and Overloaded (no memory left for bodies) at once if the announced length is
    too large, else when the body is; TooSlow; Overloaded if the service stops; ClientGone.
    """
    _refuse_encoded(request)
    service, memory = request.app.state.service, request.state.memory

    def check_size(size: int) -> None:
        if size > max_bytes:
            raise TooLarge(f"The body has more than {max_bytes} bytes.", max_bytes=max_bytes)
        memory.grow(size)

    check_size(announced_bytes(request))
    if service.stopping:
        raise Overloaded(STOPPING)
    received_bytes, waiting = 0, b""
    deadline = asyncio.get_running_loop().time() + service.settings.body_seconds
    try:
        async with asyncio.timeout_at(deadline) as timeout:
            service.body_timeouts.add(timeout)
            try:
                while True:
                    message = await request.receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone()
                    chunk, more = message.get("body", b""), message.get("more_body")
                    received_bytes += len(chunk)
                    check_size(received_bytes)
                    chunk = waiting + chunk
                    waiting = chunk if more and len(chunk) < SMALL_CHUNK_BYTES else b""
                    if not waiting:
                        take(chunk)
                    if not more:
                        return
                    if not service.stopping:
                        timeout.reschedule(deadline + received_bytes / MIN_BYTES_PER_S)
            finally:
                service.body_timeouts.discard(timeout)
    except TimeoutError:
        raise (Overloaded(STOPPING) if service.stopping else TooSlow()) from None


def _refuse_encoded(request: Request) -> None:
    encodings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if not {encoding.strip() for encoding in encodings} <= {"", "identity"}:
        raise UnsupportedEncoding(header="Content-Encoding")


def announced_bytes(request: Request) -> int:
    """The body's length that the head of the request names; 0 if it names none."""
    announced = request.headers.get("content-length", "")
    return int(announced) if announced.isdecimal() else 0


def refuse_if_full(request: Request) -> None:
    """Raise Overloaded before a photo is received that would only be refused afterwards."""
    request.app.state.service.photo_pool.refuse_if_full()


async def _one_file(form: FormData, fields: Sequence[str]) -> bytes:
    files = [value for field in fields for value in form.getlist(field)]
    if not files:
        raise BadRequest(f"The form has no file in a field {' or '.join(repr(field) for field in fields)}.")
    if len(files) > 1:
        raise BadRequest("The form has more than one image.")
    return await read_file(files[0])
