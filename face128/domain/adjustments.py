"""What was done to a photo so that its face could be found and described."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True)
class Adjustments:
    turned: Literal[0, 90, 180, 270] = 0
    """Degrees clockwise, from the photo as it was sent."""
    margin_added: bool = False
    """The face fills the photo: it was found with a margin around the photo."""
    lightened: bool = False

    def to_json(self) -> dict[str, Any]:
        """The field ``adjusted`` of the answers: only what was done; empty if nothing was."""
        return {name: value for name, value in vars(self).items() if value}


NOT_ADJUSTED = Adjustments()
