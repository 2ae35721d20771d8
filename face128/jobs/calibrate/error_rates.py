"""FAR and FRR of a threshold, and the threshold with the best accuracy."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Distances:
    """Distances of pairs of photos, sorted."""

    genuine: Floats
    """Between photos of one person."""
    impostor: Floats
    """Between photos of two people."""

    def far(self, threshold: float) -> float:
        """The share of impostor pairs within the threshold, inclusive as everywhere."""
        return int(np.searchsorted(self.impostor, threshold, side="right")) / len(self.impostor)

    def frr(self, threshold: float) -> float:
        """The share of genuine pairs beyond the threshold."""
        return 1 - int(np.searchsorted(self.genuine, threshold, side="right")) / len(self.genuine)

    def best(self) -> tuple[float, float]:
        """The threshold with the highest accuracy, and that accuracy: the share of pairs that are judged rightly.

        Of several the smallest. It is one of the distances, or just below all of them: in between nothing changes.
        """
        distances = np.unique(np.concatenate([self.genuine, self.impostor]))
        candidates = np.concatenate([[np.nextafter(distances[0], -np.inf)], distances])
        accepted = np.searchsorted(self.genuine, candidates, side="right")
        refused = len(self.impostor) - np.searchsorted(self.impostor, candidates, side="right")
        right = accepted + refused
        best = int(right.argmax())
        return float(candidates[best]), float(right[best] / (len(self.genuine) + len(self.impostor)))
