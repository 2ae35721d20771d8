"""What went wrong with a photo, by the error's code: in words, and what to do about it."""

from __future__ import annotations

import re

ADVICE = {
    "no_face": "Send a photo in which the face is seen from the front, sharp, well lit and at least 40 pixels wide.",
    "multiple_faces": "Crop the photo to one person, or run with --faces largest or --faces best.",
    "poor_quality": "Send a better photo, as the error says; FACE128_MIN_QUALITY is the bound.",
    "head_tilted": "Turn the photo until the head is upright, or send another; FACE128_MAX_ROLL is the bound.",
    "bad_image": "The file is empty or damaged: copy it again from its source, or take a new photo.",
    "unsupported_format": "Save the photo as JPEG or PNG.",
    "too_large": "Shrink the photo, or raise FACE128_MAX_IMAGE_BYTES or FACE128_MAX_IMAGE_PIXELS.",
    "not_found": "Correct the row, or put the photo at this path.",
    "bad_request": "Give this user the right to read the file, or copy it again.",
    "invalid_request": "Rename the file to regNo_name.jpg, describe the file names with --pattern, or correct the row.",
    "too_many_images": "The service keeps four photos of a member: this one was not sent.",
    "duplicate": "The face is another member's: find out whose it is. If both are right, enrol this one in the service "
    "itself, with POST /enroll_faces/NUMBER?force=true.",
    "consent_required": "Ask this member for their consent, and run again with its reference in --consent.",
    "inconsistent_person": "Look at this member's photos: is this one of somebody else? Take it out, or send another.",
    "out_of_memory": "Run again with more memory, or shrink the photo.",
    "crashed": "Open the photo in another program and save it anew.",
}

AGAIN = {
    "no_face": ("no face was found", "Photograph again: face to the camera, sharp, with light from the front."),
    "multiple_faces": ("several faces", "Photograph again alone, or crop the photo to this member."),
    "head_tilted": ("the head is tilted", "Photograph again with the head upright."),
    "bad_image": ("the file is empty or damaged", "Copy the file again from where it came from, or photograph again."),
    "unsupported_format": ("the file is no photo", "Save the photo as JPEG or PNG, or photograph again."),
    "too_large": ("the photo is too large", "Put a smaller copy of the photo in its place, or photograph again."),
    "not_found": ("there is no photo", "Photograph this member, or put the photo where the list says."),
    "bad_request": ("the file cannot be read", "Copy the file again from where it came from, or photograph again."),
    "invalid_request": ("the row of the list is wrong", "Correct the row."),
    "out_of_memory": ("too large for this machine's memory", "Put a smaller copy of the photo in its place."),
    "crashed": ("the file may be damaged", "Save the photo anew in another program, or photograph again."),
}
"""For those who take the photos: the reason, and what to do."""


def in_commands(code: str, error: str) -> str:
    """The error's sentence without advice for those who send requests."""
    return re.sub(r"(Multiple faces detected: \d+\.).*", r"\1", error) if code == "multiple_faces" else error
