"""A small copy of a photo, to show it again: no photo is stored, and none of its metadata is in the copy."""

from __future__ import annotations

import io

from PIL import Image

from face128.photos.photo import Limits, Photo, open_photo

MAX_SIDE_PX = 640
JPEG_QUALITY = 80


def preview(photo: Photo) -> bytes:
    """A JPEG of the upright photo, not enlarged, with sides of at most MAX_SIDE_PX. Blocking, some milliseconds.

    Of pixels that are in memory already, it takes the fewest that are enough.
    """
    shrink = photo.decoded_shrink(max(1.0, max(photo.width, photo.height) / MAX_SIDE_PX))
    copy = Image.fromarray(photo.rgb(shrink))
    copy.thumbnail((MAX_SIDE_PX, MAX_SIDE_PX), Image.Resampling.LANCZOS)
    stream = io.BytesIO()
    copy.save(stream, "JPEG", quality=JPEG_QUALITY)
    return stream.getvalue()


def preview_of(data: bytes, limits: Limits) -> bytes:
    """As ``preview``, of a file. Raises what open_photo raises."""
    photo = open_photo(data, limits)
    photo.claim_memory(0)
    return preview(photo)
