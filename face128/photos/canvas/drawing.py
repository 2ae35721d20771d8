"""Decodes an image file into the pixels that Chrome draws on a canvas of a web page.

Converted to sRGB from the colours that the file names, CMYK by Chrome's own formula, and on nothing: a canvas is
transparent. The specification is Chromium's image decoders; found by comparing with Chromium 156: the same to the bit,
but for AVIF with transparency, for HDR, which is not converted, and for some profiles with a table (icc_profile.py).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from PIL import Image

from face128.photos import codecs
from face128.photos.canvas.conversions import Conversion
from face128.photos.canvas.embedded_colour import conversion_to_srgb
from face128.photos.codecs import RGB

Levels = npt.NDArray[np.uint8]
Canvas = npt.NDArray[np.uint8]
"""(height, width, 3) RGB or, if not every pixel is opaque, (height, width, 4) RGBA, premultiplied."""

_SHARE = np.float32(1 / 255)


def draw(
    image_format: str, data: bytes, transpose: Image.Transpose | None, found: bytes | dict[bytes, bytes]
) -> Canvas:
    """The upright picture. ``found`` is what embedded_colour found in the file before it was trimmed."""
    with codecs.codec_errors(image_format, data):
        image, deep_transparency = codecs.load_frame(image_format, data, transpose)
        conversion = conversion_to_srgb(image_format, image, found, data)
        if transpose is not None:
            image = image.transpose(transpose)
        channel_count = 4 if image.has_transparency_data or deep_transparency else 3
        canvas = np.empty((image.height, image.width, channel_count), np.uint8)
        for rows, strip in codecs.strips(image):
            pixels, alpha = _read(strip)
            if deep_transparency is not None:
                alpha = np.where(deep_transparency.matches(rows, pixels), np.uint8(0), np.uint8(255))
            canvas[rows, :, :3] = pixels if conversion is None else conversion(pixels)
            if alpha is not None:
                canvas[rows, :, 3] = alpha
                translucent = alpha < 255
                canvas[rows][translucent, :3] = _premultiply(
                    pixels[translucent], alpha[translucent][:, np.newaxis], conversion, image_format
                )
        if channel_count == 4 and canvas[..., 3].min() == 255:
            return np.ascontiguousarray(canvas[..., :3])
        return canvas


def read_canvas(canvas: Canvas) -> RGB:
    """The RGB that a page reads from a canvas: black where nothing is drawn."""
    if canvas.shape[-1] == 3:
        return canvas
    rgb = np.ascontiguousarray(canvas[..., :3])
    translucent = canvas[..., 3] < 255
    premultiplied, alpha = rgb[translucent], canvas[translucent][:, 3:]
    with np.errstate(divide="ignore", invalid="ignore"):
        shares = (premultiplied * _SHARE) * (np.float32(1) / (alpha * _SHARE))
        levels = np.rint(shares.clip(0, 1) * np.float32(255))
    rgb[translucent] = np.where(alpha == 0, 0, levels).astype(np.uint8)
    return rgb


def _read(strip: Image.Image) -> tuple[RGB, Levels | None]:
    """RGB before any conversion, and alpha where the image has one."""
    if strip.mode.startswith("I;16"):
        samples = np.asarray(strip)
        grey = (samples >> 8).astype(np.uint8)[..., np.newaxis].repeat(3, axis=-1)
        key = strip.info.get("transparency")
        return grey, None if key is None else np.where(samples == key, np.uint8(0), np.uint8(255))
    if strip.mode == "CMYK":
        light = 255 - np.asarray(strip).astype(np.uint16)
        return (light[..., :3] * light[..., 3:] // 255).astype(np.uint8), None
    if not strip.has_transparency_data:
        return np.asarray(strip.convert("RGB")), None
    rgba = np.asarray((strip.convert("LA") if strip.mode == "La" else strip).convert("RGBA"))
    return rgba[..., :3], rgba[..., 3]


def _premultiply(pixels: Levels, alpha: Levels, conversion: Conversion | None, image_format: str) -> Levels:
    if conversion is not None:
        shares = conversion.unrounded(pixels) * (alpha * _SHARE)
        return np.rint(shares.clip(0, 1) * np.float32(255)).astype(np.uint8)
    products = pixels.astype(np.uint16) * alpha
    if image_format == "WEBP":  # libwebp rounds down
        return (products // 255).astype(np.uint8)
    products += 128
    return ((products + (products >> 8)) >> 8).astype(np.uint8)
