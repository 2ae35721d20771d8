"""Prints how good photos are, and what to do about those that are not."""

from __future__ import annotations

from face128.encoding.quality import ADVICE
from face128.jobs.photo_quality import PhotoQualities
from face128.terminal.speech import Speech


def print_qualities(speech: Speech, qualities: PhotoQualities) -> None:
    """How many photos are good, fair and poor, and why; nothing if it is not known."""
    if qualities.verdicts:
        speech.say(qualities.sentence())
    if qualities.reasons:
        rows = [
            [str(count), reason.replace("_", " "), ADVICE[reason]] for reason, count in qualities.reasons.most_common()
        ]
        speech.table(["photos", "are", "what to do"], rows)
