"""Copies of photos that are worse in one way, for the benchmark of the quality measures and its tests."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFilter

from face128.encoding.quality_measures import measure
from face128.engines.base import Face
from face128.photos.codecs import RGB
from face128.photos.photo import Photo

Degrade = Callable[[RGB, Face], RGB]
"""From a photo and its face to a copy."""
Floats = npt.NDArray[np.float64]


def eye_distance(face: Face) -> float:
    eyes = face.eyes
    assert eyes is not None
    return float(np.linalg.norm(eyes[1] - eyes[0]))


def blurred(sigma: float) -> Degrade:
    """Gaussian blur; ``sigma`` as a share of the eye distance."""

    def copy(rgb: RGB, face: Face) -> RGB:
        return np.asarray(Image.fromarray(rgb).filter(ImageFilter.GaussianBlur(sigma * eye_distance(face))))

    return copy


def exposed(gain: float) -> Degrade:
    """Every value times ``gain``, in the file's own values."""
    return lambda rgb, _: np.clip(np.round(rgb * float(gain)), 0, 255).astype(np.uint8)


def hazy(share: float, haze: float = 200) -> Degrade:
    """Only a ``share`` of each value, the rest is haze."""
    return lambda rgb, _: np.round(share * rgb.astype(np.float64) + (1 - share) * haze).astype(np.uint8)


def shrunk(eye_distance_px: float) -> Degrade:
    def copy(rgb: RGB, face: Face) -> RGB:
        image = Image.fromarray(rgb)
        scale = eye_distance_px / eye_distance(face)
        size = round(image.width * scale), round(image.height * scale)
        return np.asarray(image.resize(size, Image.Resampling.LANCZOS))

    return copy


def tilted(degrees: float) -> Degrade:
    """Rotated clockwise around the middle of the photo."""
    return lambda rgb, _: np.asarray(Image.fromarray(rgb).rotate(-degrees, Image.Resampling.BICUBIC))


def cut(share: float) -> Degrade:
    """Without what lies left of this share of the face's box."""

    def copy(rgb: RGB, face: Face) -> RGB:
        left, _, right, _ = face.box
        return rgb[:, max(0, round(left + share * (right - left))) :]

    return copy


def turned(degrees: float, *, up: bool = False) -> Degrade:
    """The head turned about its vertical axis, to the photo's right (``up``: lifted, about its horizontal axis).

    The photo is laid over a mean head, which is turned and seen from far away. What was hidden stays hidden: beyond 40
    degrees the far cheek is torn.
    """

    def copy(rgb: RGB, face: Face) -> RGB:
        eyes = face.eyes
        assert eyes is not None
        middle, unit = eyes.mean(axis=0), eye_distance(face)
        cosine, sine = (eyes[1] - eyes[0]) / unit
        column, row = np.meshgrid(*((np.arange(n) - m) / unit for n, m in zip(rgb.shape[1::-1], middle, strict=True)))
        x, y = cosine * column + sine * row, cosine * row - sine * column
        angle, depth, head = np.radians(degrees), _depth(x, y), _head(x, y)
        if up:
            return _moved(rgb.transpose(1, 0, 2), row.T, -angle, depth.T, head.T).transpose(1, 0, 2)
        return _moved(rgb, column, angle, depth, head)

    return copy


def turned_further(degrees: float) -> Degrade:
    """``turned`` to the side to which the head is turned already."""

    def copy(rgb: RGB, face: Face) -> RGB:
        yaw = measure(Photo.from_rgb(rgb), face).yaw
        return turned(degrees if yaw is None or yaw >= 0 else -degrees)(rgb, face)

    return copy


def _moved(rgb: RGB, x: Floats, angle: float, depth: Floats, head: Floats) -> RGB:
    """Each row with its points moved from x to x * cos + depth * sin, as far as they are on the head."""
    if angle < 0:  # from the other side: what is nearer must come first in its row, to hide what it passes
        return _moved(rgb[:, ::-1], -x[:, ::-1], -angle, depth[:, ::-1], head[:, ::-1])[:, ::-1]
    moved = x + head * (x * np.cos(angle) + depth * np.sin(angle) - x)
    columns = np.arange(rgb.shape[1], dtype=float)
    copy = np.empty_like(rgb)
    for row in range(len(rgb)):
        target = np.maximum.accumulate(moved[row] + 1e-6 * columns)  # no point passes one that is nearer
        source = np.interp(x[row], target, columns)
        left = np.minimum(source.astype(int), len(columns) - 2)
        share = (source - left)[:, None]
        copy[row] = np.round((1 - share) * rgb[row, left] + share * rgb[row, left + 1])
    return copy


def _depth(x: Floats, y: Floats) -> Floats:
    """How far the face is before the eyes, in eye distances: fitted by hand to MediaPipe's canonical face model."""
    skull = 0.30 - 0.62 * x**2 - 0.08 * (y - 0.6) ** 2
    nose = 0.35 * np.exp(-((x / 0.14) ** 2) - ((y - 0.5) / 0.27) ** 2)
    sockets = 0.14 * np.exp(-(((np.abs(x) - 0.5) / 0.2) ** 2) - (y / 0.16) ** 2)
    return np.maximum(skull + nose - sockets, -0.7)


def _head(x: Floats, y: Floats) -> Floats:
    """1 on the head, 0 on the background, and a smooth way from one to the other."""
    outside = np.hypot(x / 1.2, (y - 0.45) / 1.7)
    share = np.clip((1.65 - outside) / 0.5, 0, 1)
    return np.asarray(share**2 * (3 - 2 * share))
