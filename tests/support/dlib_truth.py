"""face_recognition itself, the reference, without the process-wide Pillow switch that its import sets."""

from __future__ import annotations

import io
from functools import cache

import face_recognition
import numpy as np
import numpy.typing as npt
from PIL import ImageFile
from serving import photo

ImageFile.LOAD_TRUNCATED_IMAGES = False

ONE_FACE_PHOTOS = ("biden-2010.jpg", "hopper-1984.jpg", "obama-2009.jpg", "obama-2010.jpg", "obama-2012.jpg")
"""Photos in which face_recognition finds one face."""
TWO_FACE_PHOTO = "collins-1999.png"
"""face_recognition finds two faces here: one is a mission patch."""
ALL_PHOTOS = (*ONE_FACE_PHOTOS, TWO_FACE_PHOTO)


@cache
def descriptors(name: str) -> npt.NDArray[np.float64]:
    """face_recognition's descriptors of a photo in fixtures/, (faces, 128)."""
    return np.array(face_recognition.face_encodings(face_recognition.load_image_file(io.BytesIO(photo(name)))))
