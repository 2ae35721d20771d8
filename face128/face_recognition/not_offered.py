"""What face_recognition does with weights that face128 does not use, and why."""

from __future__ import annotations

from face128.errors import ConfigurationError


class NotOffered(ConfigurationError, NotImplementedError):
    """A function or a model of face_recognition that face128 does not have."""


SIXTY_EIGHT_POINTS = (
    "face128 does not have the model 'large' of face_recognition, which finds 68 landmarks: the licence of the photos "
    'that it was trained on (iBUG 300-W) excludes commercial use. Ask for model="small": five landmarks.'
)
CNN_DETECTOR = (
    "face128 does not have the CNN detector of face_recognition: what the photos that it was trained on allow is an "
    'open question (ImageNet and AFLW, among them, are for research). Use face_locations with model="hog", the default.'
)
