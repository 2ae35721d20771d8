"""Several models, and the pairs of two, on the same photos: what each would decide."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from face128.domain.model_card import ModelCard
from face128.jobs.calibrate.bootstrap import RateEstimate
from face128.jobs.calibrate.calibrate import Calibration

COMPARED_FARS = (0.01, 0.001)


@dataclass(frozen=True)
class ModelResult:
    card: ModelCard
    far: RateEstimate
    """At the model's own threshold."""
    frr: RateEstimate
    frr_at_far: dict[float, RateEstimate | None]
    """By the same FAR for all models; None if it is less than one pair."""

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.card.name,
            "threshold": self.card.threshold,
            "far": asdict(self.far),
            "frr": asdict(self.frr),
            "frr_at_far": {str(far): frr and asdict(frr) for far, frr in self.frr_at_far.items()},
        }


def compare(calibrations: Sequence[Calibration]) -> list[ModelResult]:
    return [
        ModelResult(
            one.card,
            *one.at(one.card.threshold),
            {
                far: None if (threshold := one.greatest_thresholds[far]) is None else one.at(threshold)[1]
                for far in COMPARED_FARS
            },
        )
        for one in calibrations
    ]
