"""What the quality of a face's photo is judged by: eight measures, from the photo's pixels and the face's landmarks.

The names are those of ISO/IEC 29794-5:2025 where it has a term: inter-eye distance, sharpness, luminance mean and
variance, head pose, crop of the face image. Its own formulas need a face mesh and trained classifiers; those here need
two eyes and a nose. Positions on the face are those of MediaPipe's canonical face model
(canonical_face_model.obj, Apache-2.0, in centimetres), divided by its distance between the eyes, 6.30 cm.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from PIL import Image

from face128.engines.base import Face
from face128.photos.photo import Photo


class NosePosition(NamedTuple):
    """From the middle between the eyes, in eye distances."""

    below: float
    ahead: float


NOSE_POSITIONS = {"subnasale": NosePosition(0.748, 0.411), "pronasale": NosePosition(0.490, 0.654)}  # vertices 2 and 4

CORNER_AHEAD = 0.226  # of an eye's inner corner before the outer one, as a share of its width: vertices 33 and 133

# The face's outline, from the middle between the eyes, in eye distances: vertices 10 and 152 (top of the forehead,
# chin) and 454 (the cheek, in front of the ear).
FOREHEAD, CHIN, CHEEK = 0.9, 1.9, 1.1

# The inner face, a square whose pixels are measured: from the brows to the lower lip, without hair and background.
INNER_SIDE, INNER_BELOW = 1.6, 0.45  # of an eye distance; its middle lies below the middle between the eyes
EYE_DISTANCE_PX = 40.0  # at which pixels are measured; smaller faces are not enlarged. In the network's chip it is 52.
MIN_REGION_PX = 8  # of the inner face within the photo, on each side; with fewer its pixels are not measured

Luminance = npt.NDArray[np.float32]
"""(height, width), 0..255: the luma of ITU-R BT.601."""


@dataclass(frozen=True)
class Measures:
    """A measure is None where the engine's landmarks, or the part of the face in the photo, do not show it."""

    eye_distance: float | None
    """Pixels between the middles of the eyes in the photo at full size, divided by the cosine of the yaw."""
    sharpness: float | None
    """Standard deviation of the luminance's Laplacian (4 neighbours) / that of the luminance. Noise raises it."""
    brightness: float | None
    """Mean of the luminance, 0..1."""
    contrast: float | None
    """Standard deviation of the luminance / its mean (RMS contrast, Peli 1990, JOSA A 7: 2032).

    The same for a photo that is exposed twice as long. Shadows across the face raise it, haze and flat light lower it.
    """
    yaw: float | None
    """Degrees by which the face looks to the photo's right; to its left they are negative. See ``_pose``."""
    pitch: float | None
    """Degrees by which the face looks up; down they are negative. See ``_pose``."""
    roll: float | None
    """Degrees by which the head is tilted clockwise in the photo. See Face.roll_degrees."""
    margin: float | None
    """Eye distances from the face's outline to the nearest edge of the photo; negative where the face is cut off."""


def measure(photo: Photo, face: Face) -> Measures:
    """Blocking, some 0.3 ms. ``photo`` is as it was sent: neither turned nor lightened. No pixel is decoded anew."""
    eyes = face.eyes
    if eyes is None or not (eye_distance := math.dist(*eyes.tolist())):
        left, top, right, bottom = face.box
        pixels = _pixel_measures(photo, ((left + right) / 2, (top + bottom) / 2), (right - left) / 2, 1)
        return Measures(None, *pixels, None, None, None, None)
    middle = eyes.mean(axis=0)
    along = (eyes[1] - eyes[0]) / eye_distance
    down = np.array([-along[1], along[0]])
    yaw, pitch = _pose(face, middle, along / eye_distance, down / eye_distance)
    scale = math.cos(yaw or 0)
    inner = middle + INNER_BELOW * eye_distance * down
    pixels = _pixel_measures(photo, (inner[0], inner[1]), INNER_SIDE * eye_distance, EYE_DISTANCE_PX / eye_distance)
    full = eye_distance / scale
    outline = middle + np.outer((-FOREHEAD * full, CHIN * full, 0, 0), down)
    outline += np.outer((0, 0, -CHEEK * full, CHEEK * full), along)
    margin = min(outline.min(), (np.array([photo.width, photo.height]) - outline).min()) / full
    roll = face.roll_degrees  # of a photo that was turned, what is left
    angles = _degrees(yaw), _degrees(pitch), None if roll is None else round(roll, 1)
    return Measures(round(full, 1), *pixels, *angles, round(float(margin), 2))


def _degrees(radians: float | None) -> float | None:
    return None if radians is None else round(math.degrees(radians), 1)


def _pose(
    face: Face, middle: npt.NDArray[np.float64], along: npt.NDArray[np.float64], down: npt.NDArray[np.float64]
) -> tuple[float | None, float | None]:
    """Yaw and pitch in radians, of a rigid face of mean proportions, seen from far away (orthographically).

    The nose lies ahead of the line between the eyes: a yaw moves it sideways by ahead * sin(yaw), and shortens the eye
    distance by cos(yaw). The inner corner of an eye lies ahead of the outer one: the nearer eye becomes wider, the
    other narrower. Each gives tan(yaw); the estimate is their mean. A pitch changes how far the nose is below the eyes
    to below * cos(pitch) - ahead * cos(yaw) * sin(pitch). Noses differ: people who look straight ahead have a pitch of
    up to 20 degrees to either side.
    """
    if face.nose_landmark is None or face.eye_landmarks is None:
        return None, None
    index, kind = face.nose_landmark
    below, ahead = NOSE_POSITIONS[kind]
    points = np.array(face.landmarks) - middle
    tangents = [float(points[index] @ along) / ahead]
    left, right = (float(np.ptp(points[slice(*eye)] @ along)) for eye in face.eye_landmarks)
    if left + right:  # not of engines that find only the middle of an eye
        tangents.append((left - right) / (left + right) / CORNER_AHEAD)
    yaw = math.atan(sum(tangents) / len(tangents))
    seen_below, seen_ahead = float(points[index] @ down) * math.cos(yaw), ahead * math.cos(yaw)
    cosine = max(-1.0, min(1.0, seen_below / math.hypot(below, seen_ahead)))
    return yaw, math.acos(cosine) - math.atan2(seen_ahead, below)


def _pixel_measures(
    photo: Photo, middle: tuple[float, float], side: float, scale: float
) -> tuple[float | None, float | None, float | None]:
    """Sharpness, brightness and contrast of a square of the photo, scaled down by ``scale``."""
    luminance = _luminance(photo, middle, side, scale)
    if luminance is None:
        return None, None, None
    mean, deviation = float(luminance.mean()), float(luminance.std())
    inner = luminance[1:-1, 1:-1]
    neighbours = luminance[:-2, 1:-1] + luminance[2:, 1:-1] + luminance[1:-1, :-2] + luminance[1:-1, 2:]
    laplacian = float((4 * inner - neighbours).std())
    # The one grey level keeps the quotients finite in a photo of one colour.
    return round(laplacian / max(deviation, 1), 3), round(mean / 255, 3), round(deviation / max(mean, 1), 3)


def _luminance(photo: Photo, middle: tuple[float, float], side: float, scale: float) -> Luminance | None:
    """The square around ``middle``, as far as it lies in the photo; None if that is next to nothing."""
    shrink = photo.decoded_shrink(max(1.0, 1 / scale))
    pixels = photo.rgb(shrink)
    height, width = pixels.shape[:2]
    left, right = (min(width, max(0, round((middle[0] + sign * side / 2) / shrink))) for sign in (-1, 1))
    top, bottom = (min(height, max(0, round((middle[1] + sign * side / 2) / shrink))) for sign in (-1, 1))
    if right - left < MIN_REGION_PX or bottom - top < MIN_REGION_PX:
        return None
    grey = Image.fromarray(pixels[top:bottom, left:right]).convert("L")
    if (reduction := min(1.0, scale * shrink)) < 1:
        size = (max(MIN_REGION_PX, round(length * reduction)) for length in grey.size)
        grey = grey.resize((next(size), next(size)), Image.Resampling.BILINEAR)  # Pillow's averages: no aliasing
    return np.asarray(grey, np.float32)
