"""Guesses from the 128 numbers which network made a descriptor. Only for information: nothing is refused.

face-api.js's network is dlib's own with its weights rounded to 8 bits; a logistic regression sees the rounding. Its
coefficients are in ``origin.json``; benchmarks/train_origin.py fits them and prints their accuracy.
"""

from __future__ import annotations

import json
from functools import cache
from importlib.resources import files
from typing import Any

import numpy as np
import numpy.typing as npt

from face128.domain.descriptors import Matrix


def looks_like_faceapi(vectors: Matrix) -> npt.NDArray[np.bool_]:
    """For each row of (n, 128): whether it looks like a descriptor of face-api.js, (n,).

    Has no meaning for descriptors that were normalised or rounded to two decimals.
    """
    weights, bias = _coefficients()
    return np.asarray(vectors @ weights + bias > 0)


@cache
def _coefficients() -> tuple[npt.NDArray[np.float64], float]:
    fitted: dict[str, Any] = json.loads(files("face128.jobs.audit").joinpath("origin.json").read_text())
    return np.array(fitted["weights"]), float(fitted["bias"])
