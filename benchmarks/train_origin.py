"""Trains the classifier of jobs/audit/network_origin.py: face-api.js's descriptors and dlib's of the same photos.

    (cd tests/faceapi_golden && npm ci)
    python benchmarks/train_origin.py tests/faceapi_golden [--photos 900] [--out face128/jobs/audit/origin.json]

Photos are those of ../shared/data/lfw-view1. face-api.js runs under Node (describe.cjs, 0.3 s a photo), with both
of its detectors and both kinds of input. A third of the people is held out; how often the classifier is right on them
is printed. The regression is ridge-penalised logistic regression, fitted by Newton's method.
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
from face128.jobs.execution.describe_photos import describe
from face128.jobs.execution.recipe import Recipe
from face128.settings import load_settings

LFW = Path(__file__).parents[1].parent / "shared" / "data" / "lfw-view1" / "images"
WAYS = [(detector, source) for detector in ("ssd", "tiny") for source in ("tensor", "canvas")]
RIDGE = 1e-4  # 1e-3 to 1e-6 are all right on everyone held out; 1e-2 on 94 %
HELD_OUT = 1 / 3


def faceapi(photos: list[Path], node: Path) -> Iterator[tuple[Path, str, np.ndarray]]:
    """Each photo's first face as face-api.js describes it, in one of four ways in turn."""
    with tempfile.TemporaryDirectory() as folder:
        raw = Path(folder) / "photo.rgb"
        script = subprocess.Popen(["node", "describe.cjs"], cwd=node, stdin=-1, stdout=-1, text=True)
        assert script.stdin is not None
        assert script.stdout is not None
        with script:
            for i, photo in enumerate(photos):
                image = Image.open(photo).convert("RGB")
                raw.write_bytes(image.tobytes())
                detector, source = WAYS[i % len(WAYS)]
                job = {"file": str(raw), "width": image.width, "height": image.height}
                script.stdin.write(json.dumps(job | {"detector": detector, "input": source}) + "\n")
                script.stdin.flush()
                faces = json.loads(script.stdout.readline())["faces"]
                if faces:
                    yield photo, f"face-api.js {detector} {source}", from_base64(faces[0]["descriptor"])
            script.stdin.close()


def fit(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, float]:
    """Weights (128,) and bias; both classes weigh the same, whatever their sizes."""
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
    ours = describe(photos, Recipe.from_settings(settings, choice="central"), settings.threads).descriptors
    rows = [(photo, "dlib", vector) for photo, vector in ours.items()] + list(faceapi(photos, node))
    people = sorted({photo.parent.name for photo in photos})
    random.Random(1).shuffle(people)
    unseen = set(people[: int(HELD_OUT * len(people))])
    x = np.array([vector for _, _, vector in rows], np.float64)
    y = np.array([way != "dlib" for _, way, _ in rows])
    held_out = np.array([photo.parent.name in unseen for photo, _, _ in rows])
    weights, bias = fit(x[~held_out], y[~held_out])
    weights, bias = weights.round(5), round(bias, 5)
    right = (x @ weights + bias > 0) == y
    print(f"trained on {(~held_out).sum()} descriptors; on {held_out.sum()} of {len(unseen)} people held out:")
    for way in sorted({way for _, way, _ in rows}):
        chosen = held_out & np.array([row[1] == way for row in rows])
        print(f"{way:26} {right[chosen].mean():7.2%} of {chosen.sum()}")
    out.write_text(json.dumps({"weights": weights.tolist(), "bias": bias}) + "\n")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("node", type=Path, help="the folder of describe.cjs, with its node_modules")
    parser.add_argument("--photos", type=int, default=900, help="(default 900)")
    parser.add_argument("--out", type=Path, default=Path("face128/jobs/audit/origin.json"))
    arguments = parser.parse_args()
    main(arguments.node, arguments.photos, arguments.out)
