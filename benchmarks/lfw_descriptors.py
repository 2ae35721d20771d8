"""The descriptors of lfw-view1's photos, for the benchmarks of decisions; a file may keep them for the next run."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from benchmarks.harness import LFW
from face128.encoding.passes import Passes, with_passes
from face128.engines.dlib.engine import DlibEngine
from face128.engines.dlib.weight_files import find_weights
from face128.photos.photo import Limits, open_photo

Array = npt.NDArray[np.float64]


def add_descriptor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--descriptors", type=Path, help="read the descriptors from this file; write it if it does not exist"
    )
    parser.add_argument("--passes", choices=get_args(Passes), default="one", help="how a photo is described")


def lfw_descriptors(options: argparse.Namespace) -> tuple[Array, npt.NDArray[np.str_]]:
    """As ``describe_faces``, of all photos. Raises SystemExit if there are none, or if the file was made otherwise."""
    if not LFW.exists():
        raise SystemExit("Skipped: ../shared/data/lfw-view1 is missing.")
    made = f"exact detection, the face nearest the centre, passes={options.passes}"
    file: Path | None = options.descriptors
    if file and file.exists():
        with np.load(file) as stored:
            if "made" not in stored or str(stored["made"]) != made:
                raise SystemExit(f"{file} was not made with: {made}. Delete it, or name another file.")
            return stored["vectors"], stored["names"]
    vectors, names = describe_faces(sorted(LFW.rglob("*.jpg")), passes=options.passes)
    if file:
        np.savez(file, vectors=vectors, names=names, made=made)
    return vectors, names


def describe_faces(
    files: Sequence[Path], detection: Literal["fast", "exact"] = "exact", passes: Passes = "one"
) -> tuple[Array, npt.NDArray[np.str_]]:
    """The descriptor of each photo with a face, and the person: the name of its folder."""
    engine = with_passes(DlibEngine(find_weights(), detection=detection), passes)
    limits = Limits(12 * 2**20, 50_000_000)

    def describe(file: Path) -> npt.NDArray[np.float32] | None:
        photo = open_photo(file.read_bytes(), limits)
        size = np.array([photo.width, photo.height])
        faces = sorted(engine.detect(photo), key=lambda f: np.abs(np.add(f.box[:2], f.box[2:]) - size).sum())
        return engine.describe(engine.crop(photo, faces[:1]))[0] if faces else None

    with ThreadPoolExecutor() as pool:
        described = list(pool.map(describe, files))
    with_face = [(d, file.parent.name) for d, file in zip(described, files, strict=True) if d is not None]
    return np.array([d for d, _ in with_face], np.float64), np.array([name for _, name in with_face])
