"""face_recognition's functions, with its names, arguments, defaults and results.

A location is (top, right, bottom, left) in pixels. Functions that start with an underscore are here because scripts
use face_recognition's.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import IO, Any, NoReturn

import dlib
import numpy as np
import numpy.typing as npt
import PIL.Image
from PIL import ImageFile

from face128.face_recognition.models import Encoding128, Image, models
from face128.face_recognition.not_offered import CNN_DETECTOR, SIXTY_EIGHT_POINTS, NotOffered

Location = tuple[int, int, int, int]
"""(top, right, bottom, left)"""
Landmarks = dict[str, list[tuple[int, int]]]

# face_recognition does so too, for the whole process: of a truncated file the rest is grey.
ImageFile.LOAD_TRUNCATED_IMAGES = True


def load_image_file(file: str | os.PathLike[str] | IO[bytes], mode: str | None = "RGB") -> Image:
    """The pixels of an image file, as Pillow converts them to a mode: RGB, or L for grey. It is not turned upright."""
    image: PIL.Image.Image = PIL.Image.open(file)
    if mode:
        image = image.convert(mode)
    return np.array(image)


def face_locations(img: Image, number_of_times_to_upsample: int = 1, model: str = "hog") -> list[Location]:
    """Where faces are, cut at the edges of the image. Raises NotOffered for the model "cnn"."""
    found = _raw_face_locations(img, number_of_times_to_upsample, model)
    return [_trim_css_to_bounds(_rect_to_css(face), img.shape) for face in found]


def batch_face_locations(
    images: Sequence[Image], number_of_times_to_upsample: int = 1, batch_size: int = 128
) -> list[list[Location]]:
    """Raises NotOffered: in face_recognition it is the CNN detector alone."""
    raise NotOffered(CNN_DETECTOR)


def face_landmarks(
    face_image: Image, face_locations: Sequence[Location] | None = None, model: str = "large"
) -> list[Landmarks]:
    """The landmarks of each face: with model="small" the tip of the nose and two corners of each eye.

    Raises NotOffered for "large", the default of face_recognition and so of this function.
    """
    if model not in ("large", "small"):
        raise ValueError("Invalid landmarks model type. Supported models are ['small', 'large'].")
    landmarks = []
    for shape in _raw_face_landmarks(face_image, face_locations, model):
        points = [(point.x, point.y) for point in shape.parts()]
        landmarks.append({"nose_tip": [points[4]], "left_eye": points[2:4], "right_eye": points[0:2]})
    return landmarks


def face_encodings(
    face_image: Image,
    known_face_locations: Sequence[Location] | None = None,
    num_jitters: int = 1,
    model: str = "small",
) -> list[Encoding128]:
    """The 128 numbers of each face, of those at the known locations if they are given.

    ``num_jitters`` above 1: the mean of so many slightly moved copies. Raises NotOffered for the model "large".
    """
    shapes = _raw_face_landmarks(face_image, known_face_locations, model)
    return models().describe(_contiguous(face_image), shapes, num_jitters)


def face_distance(
    face_encodings: Sequence[Encoding128] | npt.NDArray[Any], face_to_compare: Encoding128
) -> npt.NDArray[Any]:
    """(n,) the Euclidean distance of each encoding to one."""
    if len(face_encodings) == 0:
        return np.empty(0)
    return np.asarray(np.linalg.norm(np.subtract(face_encodings, face_to_compare), axis=1))


def compare_faces(
    known_face_encodings: Sequence[Encoding128] | npt.NDArray[Any],
    face_encoding_to_check: Encoding128,
    tolerance: float = 0.6,
) -> list[np.bool_]:
    """Of each known encoding whether its distance to one is at most the tolerance."""
    return list(face_distance(known_face_encodings, face_encoding_to_check) <= tolerance)


def _raw_face_locations(img: Image, number_of_times_to_upsample: int = 1, model: str = "hog") -> list[dlib.rectangle]:
    if model == "cnn":
        raise NotOffered(CNN_DETECTOR)
    return models().find(_contiguous(img), number_of_times_to_upsample)


def _raw_face_locations_batched(
    images: Sequence[Image], number_of_times_to_upsample: int = 1, batch_size: int = 128
) -> NoReturn:
    raise NotOffered(CNN_DETECTOR)


def _raw_face_landmarks(
    face_image: Image, face_locations: Sequence[Location] | None = None, model: str = "large"
) -> list[dlib.full_object_detection]:
    if model != "small":
        raise NotOffered(SIXTY_EIGHT_POINTS)
    if face_locations is None:
        rectangles = _raw_face_locations(face_image)
    else:
        rectangles = [_css_to_rect(location) for location in face_locations]
    image, landmarks = _contiguous(face_image), models().landmarks
    return [landmarks(image, rectangle) for rectangle in rectangles]


def _rect_to_css(rect: dlib.rectangle) -> Location:
    return rect.top(), rect.right(), rect.bottom(), rect.left()


def _css_to_rect(css: Location) -> dlib.rectangle:
    return dlib.rectangle(css[3], css[0], css[1], css[2])


def _trim_css_to_bounds(css: Location, image_shape: tuple[int, ...]) -> Location:
    return max(css[0], 0), min(css[1], image_shape[1]), min(css[2], image_shape[0]), max(css[3], 0)


def _contiguous(image: Image) -> Image:
    """A view in order, which dlib refuses otherwise: scripts make ``frame[:, :, ::-1]`` of OpenCV's frames."""
    return np.ascontiguousarray(image)
