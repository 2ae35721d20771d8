"""face_recognition itself, the outside truth, without the process-wide Pillow switch that its import flips."""

from __future__ import annotations

import io
from functools import cache

import face_recognition
import numpy as np
import numpy.typing as npt
from PIL import ImageFile
from serving import photo

ImageFile.LOAD_TRUNCATED_IMAGES = False

SINGLE = ("biden-2010.jpg", "hopper-1984.jpg", "obama-2009.jpg", "obama-2010.jpg", "obama-2012.jpg")
"""Photos in which face_recognition finds one face."""
SEVERAL = "collins-1999.png"
"""It finds two here: one is a mission patch."""
ALL = (*SINGLE, SEVERAL)


@cache
def descriptors(name: str) -> npt.NDArray[np.float64]:
    """face_recognition's descriptors of a photo in fixtures/, (faces, 128)."""
    return np.array(face_recognition.face_encodings(face_recognition.load_image_file(io.BytesIO(photo(name)))))
