"""Trains the classifier of jobs/audit/audit.py on face-api.js's and dlib's descriptors of the same photos.

    (cd tests/faceapi_golden && npm ci)
    python benchmarks/train_origin.py tests/faceapi_golden [--photos 900] [--out face128/jobs/audit/origin.json]

The photos are those of ../shared/data/lfw-view1. face-api.js runs in Node (describe.cjs, 0.3 s per photo), with both
of its detectors and both kinds of input. A third of the people are held out; the accuracy on them is printed. The
model is a ridge-penalised logistic regression, fitted by Newton's method.
"""

from __future__ import annotations

import argparse
import json
import random
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from face128.domain.descriptors import from_base64
from face128.jobs.calibrate.described_photos import describe
from face128.jobs.execution.local_backend import LocalBackend
from face128.jobs.execution.recipe import Recipe
from face128.settings import load_settings

LFW = Path(__file__).parents[1].parent / "shared" / "data" / "lfw-view1" / "images"
FACEAPI_VARIANTS = [(detector, source) for detector in ("ssd", "tiny") for source in ("tensor", "canvas")]
RIDGE = 1e-4  # 1e-3 to 1e-6 classify all held-out people correctly, 1e-2 94 % of them
HELD_OUT_SHARE = 1 / 3


def faceapi_descriptors(photos: list[Path], node: Path) -> Iterator[tuple[Path, str, np.ndarray]]:
    """Each photo, the variant of face-api.js and the descriptor of the first face. The four variants take turns."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "photo.rgb"
        script = subprocess.Popen(["node", "describe.cjs"], cwd=node, stdin=-1, stdout=-1, text=True)
        assert script.stdin is not None
        assert script.stdout is not None
        with script:
            for i, photo in enumerate(photos):
                image = Image.open(photo).convert("RGB")
                raw.write_bytes(image.tobytes())
                detector, source = FACEAPI_VARIANTS[i % len(FACEAPI_VARIANTS)]
                job = {"file": str(raw), "width": image.width, "height": image.height}
                script.stdin.write(json.dumps(job | {"detector": detector, "input": source}) + "\n")
                script.stdin.flush()
                faces = json.loads(script.stdout.readline())["faces"]
                if faces:
                    yield photo, f"face-api.js {detector} {source}", from_base64(faces[0]["descriptor"])
            script.stdin.close()


def fit(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (128,) and bias; both classes have the same total weight."""
    mean, spread = x.mean(axis=0), x.std(axis=0)
    z = np.column_stack([(x - mean) / spread, np.ones(len(x))])
    share = np.where(y, 0.5 / y.sum(), 0.5 / (~y).sum())
    penalty = RIDGE * np.diag([1.0] * x.shape[1] + [0.0])
    w = np.zeros(z.shape[1])
    for _ in range(50):
        p = 1 / (1 + np.exp(-np.clip(z @ w, -30, 30)))
        slope = z.T @ (share * (p - y)) + penalty @ w
        curve = (z * (share * p * (1 - p))[:, None]).T @ z + penalty
        step = np.linalg.solve(curve + 1e-12 * np.eye(len(w)), slope)
        w -= step
        if abs(step).max() < 1e-8:
            break
    return w[:-1] / spread, float(w[-1] - (w[:-1] * mean / spread).sum())


def main(node: Path, count: int, out: Path) -> None:
    photos = sorted(LFW.rglob("*.jpg"))
    random.Random(0).shuffle(photos)
    photos = photos[:count]
    settings = load_settings()
    backend = LocalBackend(settings.threads, settings.photo_seconds)
    dlib_descriptors = describe(photos, Recipe.from_settings(settings, choice="central"), backend)[0].vectors
    rows = [(photo, "dlib", vector) for photo, vector in dlib_descriptors.items()]
    rows += faceapi_descriptors(photos, node)
    people = sorted({photo.parent.name for photo in photos})
    random.Random(1).shuffle(people)
    held_out_people = set(people[: int(HELD_OUT_SHARE * len(people))])
    x = np.array([vector for _, _, vector in rows], np.float64)
    y = np.array([variant != "dlib" for _, variant, _ in rows])
    held_out = np.array([photo.parent.name in held_out_people for photo, _, _ in rows])
    weights, bias = fit(x[~held_out], y[~held_out])
    weights, bias = weights.round(5), round(bias, 5)
    correct = (x @ weights + bias > 0) == y
    print(f"trained on {(~held_out).sum()} descriptors; on {held_out.sum()} of {len(held_out_people)} people held out:")
    for variant in sorted({variant for _, variant, _ in rows}):
        chosen = held_out & np.array([row[1] == variant for row in rows])
        print(f"{variant:26} {correct[chosen].mean():7.2%} of {chosen.sum()}")
    out.write_text(json.dumps({"weights": weights.tolist(), "bias": bias}) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node", type=Path, help="the folder of describe.cjs, with its node_modules")
    parser.add_argument("--photos", type=int, default=900, help="(default 900)")
    parser.add_argument("--out", type=Path, default=Path("face128/jobs/audit/origin.json"))
    arguments = parser.parse_args()
    main(arguments.node, arguments.photos, arguments.out)
