"""The faceapi engine against face-api.js itself: its golden vectors, and the npm package running under Node.

FACEAPI_PHOTOS sets the number of LFW photos, default 10; 200 take Node eight minutes. -s prints the distances.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import faceapi_truth
import numpy as np
import numpy.typing as npt
import pytest
from faceapi_truth import PHOTOS, PIPELINES, FaceapiNode, ReferenceFace, engine
from paths import LFW

from face128.engines.faceapi.engine import FaceapiEngine
from face128.photos.photo import Photo

NAMES = [photo.name for photo in PHOTOS]
LFW_IMAGES = LFW / "images"
LFW_COUNT = int(os.environ.get("FACEAPI_PHOTOS", 10))


@pytest.fixture(scope="module")
def node() -> Iterator[FaceapiNode]:
    faceapi_truth.models()
    with faceapi_truth.running_node() as faceapi:
        yield faceapi


def differences(engine: FaceapiEngine, rgb: npt.NDArray[np.uint8], truth: list[ReferenceFace]) -> list[float]:
    """L2 of each face's descriptor from face-api.js's; boxes and landmarks must be the same, rounded."""
    photo = Photo.from_rgb(rgb)
    faces = engine.detect(photo)
    assert len(faces) == len(truth)
    for face, expected in zip(faces, truth, strict=True):
        assert np.abs(np.array(face.box) - expected.box).max() <= 0.501
        assert np.abs(np.array(face.landmarks) - expected.landmarks).max() <= 0.501
        assert face.confidence == pytest.approx(expected.score, abs=1e-5)
    descriptors = engine.describe(engine.crop(photo, faces))
    return [
        float(np.linalg.norm(found - expected.descriptor)) for found, expected in zip(descriptors, truth, strict=True)
    ]


@pytest.mark.parametrize(("detector", "scaling"), PIPELINES)
@pytest.mark.parametrize("name", NAMES)
def test_boxes_landmarks_and_descriptors_are_those_of_the_golden_vectors(
    name: str, detector: str, scaling: str
) -> None:
    truth = faceapi_truth.golden(name, detector, scaling)
    found = differences(engine(detector, scaling), faceapi_truth.fixture_pixels(name), truth)
    assert len(found) == 1
    assert found[0] <= 1e-5


@pytest.mark.parametrize(("detector", "scaling"), PIPELINES)
def test_the_package_under_node_still_writes_the_golden_vectors(node: FaceapiNode, detector: str, scaling: str) -> None:
    for name in NAMES:
        (alive,) = node.find(faceapi_truth.fixture_pixels(name), detector, scaling)
        (kept,) = faceapi_truth.golden(name, detector, scaling)
        assert np.linalg.norm(alive.descriptor - kept.descriptor) <= 1e-5, name


@pytest.mark.parametrize(("detector", "scaling"), PIPELINES)
def test_labeled_faces_in_the_wild_come_out_as_under_node(node: FaceapiNode, detector: str, scaling: str) -> None:
    photos = sorted(LFW_IMAGES.rglob("*.jpg"))
    if not photos:
        pytest.skip("../shared/data/lfw-view1 is not here")
    found: list[float] = []
    for path in photos[:: len(photos) // LFW_COUNT][:LFW_COUNT]:
        rgb = faceapi_truth.file_pixels(path)
        found += differences(engine(detector, scaling), rgb, node.find(rgb, detector, scaling))
    print(f"{detector} {scaling}: {len(found)} faces, L2 median {np.median(found):.1e}, max {max(found):.1e}")
    assert len(found) >= 0.8 * LFW_COUNT  # neither detector finds all of them
    assert max(found) <= 1e-5


@pytest.mark.parametrize(("detector", "options"), [("ssd", {"minConfidence": 0.05}), ("tiny", {"scoreThreshold": 0.2})])
def test_many_faces_come_out_as_under_node_and_in_its_order(
    node: FaceapiNode, detector: str, options: dict[str, float]
) -> None:
    ours = FaceapiEngine(faceapi_truth.models(), detector, min_confidence=0.05, score_threshold=0.2)  # type: ignore[arg-type]
    counts = []
    for path in sorted((faceapi_truth.models().parent / "demo").glob("sample*.jpg")):
        rgb = faceapi_truth.file_pixels(path)
        truth = node.find(rgb, detector, "canvas", **options)
        counts.append(len(truth))
        assert max(differences(ours, rgb, truth), default=0) <= 1e-5
    assert max(counts) >= 5


@pytest.mark.parametrize("detector", ["ssd", "tiny"])
@pytest.mark.parametrize("scaling", ["tensor", "canvas"])
def test_faces_cut_by_the_photos_edges_come_out_as_under_node(node: FaceapiNode, detector: str, scaling: str) -> None:
    whole = faceapi_truth.fixture_pixels("hopper-1984.jpg")
    cuts = [whole[150:], whole[:290], whole[:, 210:], whole[:, :310]]
    truths = [node.find(np.ascontiguousarray(cut), detector, scaling) for cut in cuts]
    assert sum(map(len, truths)) >= 2
    for cut, truth in zip(cuts, truths, strict=True):
        assert max(differences(engine(detector, scaling), cut, truth), default=0) <= 1e-5


@pytest.mark.parametrize(("side", "threshold"), [(128, 0.05), (224, 0.1), (608, 0.3)])
def test_the_tiny_detectors_options_act_as_under_node(node: FaceapiNode, side: int, threshold: float) -> None:
    rgb = faceapi_truth.fixture_pixels("hopper-1984.jpg")
    truth = node.find(rgb, "tiny", "tensor", inputSize=side, scoreThreshold=threshold)
    ours = FaceapiEngine(faceapi_truth.models(), "tiny", "tensor", input_size=side, score_threshold=threshold)
    assert truth
    assert max(differences(ours, rgb, truth)) <= 1e-5
