"""How far a head is tilted to a shoulder: face-api.js's descriptors suffer from it, dlib's do not."""

from __future__ import annotations

import math

from face128.engines.base import Face

_EYES = {
    # By the number of landmarks: the points of the eye on the photo's left, and of the one on its right.
    5: (slice(2, 4), slice(0, 2)),  # dlib's shape_predictor_5_face_landmarks
    68: (slice(36, 42), slice(42, 48)),  # 300-W, which face-api.js follows
}


def roll(face: Face) -> float | None:
    """Degrees by which the head is turned clockwise in the photo, -180..180; 0 is upright.

    None where nobody says which landmarks are the eyes.
    """
    eyes = face.eyes or _EYES.get(len(face.landmarks))
    if eyes is None:
        return None
    (left_x, left_y), (right_x, right_y) = (_centre(face.landmarks[eye]) for eye in eyes)
    return math.degrees(math.atan2(right_y - left_y, right_x - left_x))


def _centre(points: tuple[tuple[int, int], ...]) -> tuple[float, float]:
    return sum(x for x, _ in points) / len(points), sum(y for _, y in points) / len(points)
