"""Opens an image, from bytes or base64, as a Photo whose upright 8-bit RGB pixels can be read at several sizes.

JPEG, PNG, WebP, BMP, GIF, TIFF, AVIF and HEIC; of several frames the first. A file is read as face_recognition does
(the pixels of a plain photo are those of its load_image_file, bit by bit) or as a browser does.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial
from threading import RLock

import numpy as np
from PIL import Image

from face128.domain.base64_text import standard_base64
from face128.domain.model_card import Rendering
from face128.errors import BadImage, TooLarge, UnsupportedFormat
from face128.events import stage
from face128.photos import codecs, formats, memory
from face128.photos.canvas.drawing import Canvas, draw, read_canvas
from face128.photos.canvas.embedded_colour import embedded_colour
from face128.photos.codecs import RGB as RGB
from face128.photos.decode_memory import KEPT_BYTES_A_PIXEL, canvas_decode_bytes, decode_bytes

SHRINKS = (1, 2, 4, 8)
"""The divisors of the size at which a JPEG can be decoded directly."""

_DATA_URL = re.compile(r"\s*data:[^,]{0,200};base64,", re.IGNORECASE)


@dataclass(frozen=True)
class Limits:
    """The largest file and the largest picture that are accepted. Pillow itself refuses above 178 megapixels."""

    max_bytes: int = 12 * 2**20
    max_pixels: int = 50_000_000


class Photo:
    """A photo within the limits. Pixels are decoded when they are first read, and kept."""

    def __init__(
        self,
        width: int,
        height: int,
        decode: Callable[[int], RGB],
        shrinks: tuple[int, ...] = (1,),
        decode_bytes: Callable[[int], int] | None = None,
    ) -> None:
        self.width = width
        self.height = height
        self.shrinks = shrinks
        """The shrinks that are decoded directly, 1 among them. The others are averaged from full size."""
        self._decode = decode
        self._decode_bytes = decode_bytes
        self._lock = RLock()  # the thread that searches may have a helper (helper_thread.py)
        self._rgb: dict[int, RGB] = {}
        self._grey: dict[tuple[int, int], Image.Image] = {}

    def __reduce__(self) -> tuple[type[Photo], tuple[object, ...]]:
        # Pickled without its pixels.
        return Photo, (self.width, self.height, pixels_unavailable, self.shrinks)

    @classmethod
    def from_rgb(cls, rgb: RGB) -> Photo:
        """The photo of an upright (height, width, 3) uint8 array. Raises BadImage for any other array."""
        if rgb.dtype != np.uint8 or rgb.ndim != 3 or rgb.shape[2] != 3 or not rgb.size:
            raise BadImage("A photo's array is (height, width, 3) uint8.")
        return cls(rgb.shape[1], rgb.shape[0], lambda _: np.ascontiguousarray(rgb).view())

    def rgb(self, shrink: int = 1) -> RGB:
        """Upright pixels, (ceil(height / shrink), ceil(width / shrink), 3) uint8, read-only; shrink is 1, 2, 4 or 8.

        A JPEG is decoded at that size, which is much cheaper than in full; any other photo is decoded in full once, and
        averaged. Raises BadImage if the pixels are damaged or missing.
        """
        assert shrink in SHRINKS
        with self._lock:
            if shrink not in self._rgb:
                direct = shrink in self.shrinks
                if direct and self._decode_bytes:
                    memory.require(self._decode_bytes(shrink), self.width * self.height)
                with stage("decode"):
                    rgb = self._decode(shrink) if direct else np.asarray(Image.fromarray(self.rgb()).reduce(shrink))
                rgb.flags.writeable = False
                self._rgb[shrink] = rgb
            return self._rgb[shrink]

    def canvas(self) -> Canvas:
        """The pixels as a canvas keeps them: of most photos, and of every plain one, the same as ``rgb()``."""
        return self.rgb()

    def decoded_shrink(self, at_most: float) -> int:
        """The largest shrink up to ``at_most`` whose pixels are in memory; else the smallest that is; 1 if none is."""
        in_memory = sorted(self._rgb, reverse=True) or [1]
        return next((shrink for shrink in in_memory if shrink <= at_most), in_memory[-1])

    def claim_memory(self, search_bytes: int) -> None:
        """Wait for the memory that this photo may need; ``search_bytes`` of it for the search for faces."""
        kept = KEPT_BYTES_A_PIXEL * self.width * self.height
        memory.claim(max(self._decode_bytes(1) if self._decode_bytes else kept, kept + search_bytes))

    def grey(self, shrink: int = 1, reduced: int = 1) -> Image.Image:
        """The same pixels in mode L (ITU-R 601-2 luma), then averaged to 1/reduced of the size: 1, 2, 4 or 8."""
        with self._lock:
            if (shrink, reduced) not in self._grey:
                if reduced > 1:
                    grey = self.grey(shrink, reduced // 2).reduce(2)
                else:
                    grey = Image.fromarray(self.rgb(shrink)).convert("L")
                self._grey[shrink, reduced] = grey
            return self._grey[shrink, reduced]


class CanvasPhoto(Photo):
    """A photo as a web page in Chrome draws it on a canvas."""

    def __init__(self, width: int, height: int, draw: Callable[[], Canvas], decode_bytes: Callable[[int], int]) -> None:
        super().__init__(width, height, lambda _: read_canvas(self.canvas()), decode_bytes=decode_bytes)
        self._draw = draw
        self._canvas: Canvas | None = None

    def canvas(self) -> Canvas:
        """See Photo.canvas. Raises BadImage if the pixels are damaged or missing."""
        if self._canvas is None:
            if self._decode_bytes:
                memory.require(self._decode_bytes(1), self.width * self.height)
            with stage("decode"):
                self._canvas = self._draw()
            self._canvas.flags.writeable = False
        return self._canvas


def pixels_unavailable(_: int) -> RGB:
    """The ``decode`` of a photo that was unpickled."""
    raise RuntimeError("The pixels are in the process that decoded them.")


def open_photo(data: bytes, limits: Limits = Limits(), rendering: Rendering = "plain") -> Photo:
    """Read and check the header of an image file; no pixel is decoded yet.

    ``rendering`` is how the file becomes pixels: see ModelCard.rendering.
    Raises BadImage (empty, truncated, damaged), UnsupportedFormat (another format, or samples without a known white),
    and TooLarge (more bytes or pixels than the limits).
    """
    if not data:
        raise BadImage("The image is empty.")
    _check_size(len(data), limits.max_bytes)
    image_format = formats.sniff(data)
    if image_format is None:
        raise UnsupportedFormat()
    try:
        with stage("decode"), codecs.codec_errors(image_format, data):
            colour = embedded_colour(image_format, data) if rendering == "browser" else b""
            data = formats.trim(image_format, data)
            width, height, transpose = codecs.read_header(image_format, data, rendering)
    except BadImage:
        if image_format in ("AVIF", "HEIC"):
            _check_pixels(formats.largest_claimed_pixels(data), limits)
        raise
    _check_pixels(width * height, limits)
    if rendering == "browser":
        canvas_bytes = cache(partial(canvas_decode_bytes, image_format, data, width * height))
        return CanvasPhoto(width, height, partial(draw, image_format, data, transpose, colour), canvas_bytes)
    # If a side is shorter than the shrink, the decoder uses a smaller shrink than it was asked for.
    shrinks = tuple(shrink for shrink in SHRINKS if shrink <= min(width, height)) if image_format == "JPEG" else (1,)
    decode = partial(codecs.decode, image_format, data, transpose)
    needed = cache(partial(decode_bytes, image_format, data, width * height))  # it reads a whole JPEG
    return Photo(width, height, decode, shrinks, needed)


def decode_base64(text: str, max_bytes: int = Limits.max_bytes) -> bytes:
    """The bytes of a base64 string or of a ``data:`` URL, in either alphabet, with whitespace anywhere.

    Raises TooLarge before anything is decoded, BadImage if the text is empty or not base64.
    """
    prefix = _DATA_URL.match(text)
    digits = standard_base64("".join(text[prefix.end() if prefix else 0 :].split()))
    _check_size(len(digits) * 3 // 4 - digits[-2:].count("="), max_bytes)
    try:
        data = binascii.a2b_base64(digits, strict_mode=True)
    except ValueError as error:
        raise BadImage("The image is not valid base64.") from error
    if not data:
        raise BadImage("The image is empty.")
    return data


def _check_pixels(pixel_count: int, limits: Limits) -> None:
    if pixel_count > limits.max_pixels:
        raise TooLarge(f"The image has more than {limits.max_pixels} pixels.", max_pixels=limits.max_pixels)


def _check_size(byte_count: int, max_bytes: int) -> None:
    if byte_count > max_bytes:
        raise TooLarge(f"The image has more than {max_bytes} bytes.", max_bytes=max_bytes)
