"""Which network made a descriptor, told from its 128 numbers alone. It informs, and never refuses.

face-api.js's network is dlib's own with its weights rounded to 8 bits; a logistic regression sees the rounding. Its
coefficients stand in ``origin.json``; benchmarks/train_origin.py makes them and says how often they are right.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Block


def from_faceapi(vectors: Block) -> npt.NDArray[np.bool_]:
    """For each row of (n, 128): whether it looks like face-api.js's work, (n,).

    Means nothing for descriptors that were normalised or rounded to two decimals.
    """
    weights, bias = _coefficients()
    return np.asarray(vectors @ weights + bias > 0)


@cache
def _coefficients() -> tuple[npt.NDArray[np.float64], float]:
    fitted: dict[str, Any] = json.loads(files("face128.jobs.audit").joinpath("origin.json").read_text())
    return np.array(fitted["weights"]), float(fitted["bias"])
