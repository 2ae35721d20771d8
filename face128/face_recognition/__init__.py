"""The functions of the package face_recognition 1.3.0, faster: ``import face128.face_recognition as face_recognition``.

They have the same signatures and return the same things. docs/face_recognition.md says what differs.
"""

from face128.face_recognition.api import (
    batch_face_locations,
    compare_faces,
    face_distance,
    face_encodings,
    face_landmarks,
    face_locations,
    load_image_file,
)

__all__ = [
    "batch_face_locations",
    "compare_faces",
    "face_distance",
    "face_encodings",
    "face_landmarks",
    "face_locations",
    "load_image_file",
]
