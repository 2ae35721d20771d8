"""The quality of a face's photo: a verdict with reasons, from the measures of quality_measures.py.

The bands are chosen by what they do to decisions, on Labeled Faces in the Wild and on degraded copies of it:
benchmarks/quality.py measures it, docs/quality.md has the figures.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

from face128.encoding.quality_measures import Measures, measure
from face128.engines.base import Face
from face128.errors import PoorQuality
from face128.photos.photo import Photo

Verdict = Literal["good", "fair", "poor"]
Reason = Literal["too_small", "blurred", "too_dark", "too_bright", "low_contrast", "turned_away", "tilted", "cut_off"]
MinQuality = Literal["none", "fair", "good"]
"""The worst verdict of a photo that may be enrolled; "none": any."""
VERDICTS: tuple[Verdict, ...] = ("poor", "fair", "good")
"""The worst first."""

ADVICE: dict[str, str] = {
    "too_small": "Step closer.",
    "blurred": "Hold still, and wipe the lens.",
    "too_dark": "Turn to the light.",
    "too_bright": "Step out of the glare.",
    "low_contrast": "Turn away from haze and from light behind you.",
    "turned_away": "Look at the camera.",
    "tilted": "Hold your head upright.",
    "cut_off": "Bring your whole face into the picture.",
}
"""What to do, by the reason; the order is that of ``Quality.reasons``."""


@dataclass(frozen=True)
class Band:
    """A measure beyond ``fair`` makes a photo fair, beyond ``poor`` poor: below them, if ``poor`` is the lower one."""

    reason: Reason
    measure: str
    fair: float
    poor: float
    either_side: bool = False
    """For an angle: its size counts."""

    def verdict(self, measures: Measures) -> Verdict:
        value = getattr(measures, self.measure)
        if value is None:
            return "good"
        value = abs(value) if self.either_side else value
        sign = 1 if self.poor > self.fair else -1
        return "poor" if sign * value > sign * self.poor else "fair" if sign * value > sign * self.fair else "good"


BANDS = (
    Band("too_small", "eye_distance", 26, 16),
    Band("blurred", "sharpness", 0.23, 0.18),
    Band("too_dark", "brightness", 0.34, 0.25),
    # Shadows across the face: a part of it is too dark.
    Band("too_dark", "contrast", 0.36, 0.44),
    Band("too_bright", "brightness", 0.72, 0.82),
    Band("low_contrast", "contrast", 0.10, 0.06),
    Band("turned_away", "yaw", 15, 28, either_side=True),
    # Up alone: the estimate does not tell a head that looks down from a long nose.
    Band("turned_away", "pitch", 22, 30),
    Band("tilted", "roll", 12, 20, either_side=True),
    Band("cut_off", "margin", -0.1, -0.3),
)


@dataclass(frozen=True)
class Quality:
    verdict: Verdict
    reasons: tuple[Reason, ...]
    """Empty for a good photo."""
    measures: Measures

    def to_json(self) -> dict[str, Any]:
        return {"verdict": self.verdict, "reasons": list(self.reasons), "measures": asdict(self.measures)}


def assess(photo: Photo, face: Face) -> Quality:
    """The quality of the photo of a face. Blocking, some 0.3 ms."""
    return judge(measure(photo, face))


def judge(measures: Measures) -> Quality:
    verdicts: dict[Reason, Verdict] = {}
    for band in BANDS:
        if (verdict := band.verdict(measures)) != "good" and verdicts.get(band.reason) != "poor":
            verdicts[band.reason] = verdict
    if "too_small" in verdicts:  # the few pixels of a small face are blurred as well
        verdicts.pop("blurred", None)
    worst: Verdict = min(verdicts.values(), key=VERDICTS.index, default="good")
    return Quality(worst, tuple(verdicts), measures)


def refuse_poor_quality(quality: Quality, min_quality: MinQuality) -> None:
    """Raise PoorQuality if the verdict is worse than ``min_quality``."""
    if min_quality != "none" and VERDICTS.index(quality.verdict) < VERDICTS.index(min_quality):
        needed = " or ".join(VERDICTS[VERDICTS.index(min_quality) :])
        sentence = f"The photo is {quality.verdict}; to enrol it must be {needed}. {advice(quality.reasons)}"
        raise PoorQuality(sentence, **quality.to_json(), min_quality=min_quality)


def advice(reasons: Iterable[str]) -> str:
    """What a person can do about each of the reasons, in words."""
    return " ".join(ADVICE[reason] for reason in reasons if reason in ADVICE)
