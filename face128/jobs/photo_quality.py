"""Counts of the verdicts and reasons of members' photos, and who has a poor one."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from face128.domain.members import RegNo
from face128.encoding.quality import ADVICE, VERDICTS, advice


@dataclass(frozen=True)
class PoorPhoto:
    """Its fields are the columns of the report."""

    regNo: RegNo
    name: str | None
    photo: str
    """Empty where the file is not known."""
    reasons: str
    """Separated by spaces."""
    advice: str


@dataclass
class PhotoQualities:
    """Photos whose quality is not known are not counted."""

    verdicts: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)
    poor: list[PoorPhoto] = field(default_factory=list)

    def add(self, reg_no: RegNo, name: str | None, photo: str, photo_facts: Any) -> None:
        """``photo_facts``: as Encoding.photo_facts, of a file that anyone may have written; nonsense is not counted."""
        quality = photo_facts.get("quality") if isinstance(photo_facts, dict) else None
        if not isinstance(quality, dict) or quality.get("verdict") not in VERDICTS:
            return
        named = quality.get("reasons")
        reasons = [reason for reason in ADVICE if isinstance(named, list) and reason in named]
        self.verdicts[quality["verdict"]] += 1
        self.reasons.update(reasons)
        if quality["verdict"] == "poor":
            self.poor.append(PoorPhoto(reg_no, name, photo, " ".join(reasons), advice(reasons)))

    def sentence(self) -> str:
        """In words: how many are good, fair and poor."""
        counts = [f"{self.verdicts[verdict]} {verdict}" for verdict in reversed(VERDICTS)]
        return f"Quality of the photos: {', '.join(counts)}"

    def to_json(self) -> dict[str, Any]:
        return {"verdicts": dict(self.verdicts), "reasons": dict(self.reasons)}
