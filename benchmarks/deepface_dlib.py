"""How far deepface's "Dlib" descriptors are from face128's: the same network, on faces that are aligned in another way.

    python -m benchmarks.deepface_dlib DEEPFACE_PYTHON [--photos 150]

DEEPFACE_PYTHON is the Python of an environment with deepface and dlib, where deepface finds its weights already. Prints
the table of docs/from/deepface.md, on people of ../shared/data/lfw-view1 who have at least two photos.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness import LFW
from face128.encoding.encode import encode
from face128.engines.loader import load_engine
from face128.errors import Face128Error
from face128.photos.photo import Limits
from face128.settings import Settings

DETECTORS = ("opencv", "dlib")  # deepface's default, and the one that is nearest to face128's
THRESHOLDS = (0.38, 0.5, 0.6)
PHOTOS_OF_ONE = 3
LIMITS = Limits(2**25, 2**27)
PROGRAM = """
import json, sys
from deepface import DeepFace
for path in json.load(sys.stdin):
    try:
        faces = DeepFace.represent(path, model_name="Dlib", detector_backend=sys.argv[1])
    except ValueError:  # no face
        faces = []
    print("RESULT", json.dumps([face["embedding"] for face in faces]))
"""

Descriptors = dict[str, npt.NDArray[np.float64]]


def photos(count: int) -> list[str]:
    people = defaultdict(list)
    for path in sorted(LFW.rglob("*.jpg")):
        people[path.parent.name].append(str(path))
    return [path for own in people.values() if len(own) > 1 for path in own[:PHOTOS_OF_ONE]][:count]


def by_deepface(python: str, detector: str, paths: list[str]) -> Descriptors:
    command = [python, "-c", PROGRAM, detector]
    run = subprocess.run(command, input=json.dumps(paths), stdout=subprocess.PIPE, text=True, check=True)
    lines = [json.loads(line[6:]) for line in run.stdout.splitlines() if line.startswith("RESULT")]
    return {path: np.array(faces[0]) for path, faces in zip(paths, lines, strict=True) if len(faces) == 1}


def by_face128(paths: list[str]) -> Descriptors:
    engine, found = load_engine("dlib", Settings()), {}
    for path in paths:
        try:
            found[path] = encode(engine, Path(path).read_bytes(), LIMITS, "one").descriptor.astype(np.float64)
        except Face128Error:
            continue
    return found


def print_row(name: str, first: Descriptors, second: Descriptors, paths: list[str]) -> None:
    """Of all pairs of two of the photos; the first descriptor of each pair is from ``first``."""
    distances: dict[bool, list[float]] = {True: [], False: []}
    for place, one in enumerate(paths):
        for other in paths[place + 1 :]:
            same = Path(one).parent == Path(other).parent
            distances[same].append(float(np.linalg.norm(first[one] - second[other])))
    own, strangers = np.array(distances[True]), np.array(distances[False])
    refused = " / ".join(f"{100 * (own > limit).mean():.0f}" for limit in THRESHOLDS)
    accepted = " / ".join(f"{100 * (strangers <= limit).mean():.2f}" for limit in THRESHOLDS)
    print(f"| {name} | {np.median(own):.2f} | {refused} % | {accepted} % |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("python")
    parser.add_argument("--photos", type=int, default=150)
    options = parser.parse_args()
    wanted = photos(options.photos)
    if not wanted:
        sys.exit(f"{LFW} is missing.")
    ours = by_face128(wanted)
    for detector in DETECTORS:
        theirs = by_deepface(options.python, detector, wanted)
        paths = [path for path in wanted if path in ours and path in theirs]
        apart = [float(np.linalg.norm(ours[path] - theirs[path])) for path in paths]
        print(
            f"\n{detector}: {len(paths)} photos; the two descriptors of one photo are {np.median(apart):.2f} apart, ",
            end="",
        )
        print(f"at most {max(apart):.2f}\n")
        print(f"| enrolled, probe | one person: median | refused at {THRESHOLDS} | strangers accepted |")
        print("| --- | --- | --- | --- |")
        print_row("face128, face128", ours, ours, paths)
        print_row("deepface, deepface", theirs, theirs, paths)
        print_row("deepface, face128", theirs, ours, paths)


if __name__ == "__main__":
    main()
