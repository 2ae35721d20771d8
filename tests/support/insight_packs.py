"""InsightFace packs for the tests: the sample networks, if they are there, and tiny ones that are written here."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper
from paths import ROOT

SAMPLE_PACK = ROOT.parent / "shared" / "data" / "insightface-sample"
GOLDEN: dict[str, list[dict[str, Any]]] = json.loads((ROOT / "fixtures" / "insightface" / "golden.json").read_text())
"""What the insightface package finds in photos/ with the sample networks (fixtures/insightface/make.py)."""
CELL_BOX = (1.0, 2.0, 3.0, 4.0)
"""The tiny detector's box around each bright cell: distances to left, top, right, bottom, in strides."""
CELL_POINTS = tuple(0.25 * i for i in range(10))


def sample_pack() -> Path:
    if not SAMPLE_PACK.is_dir():
        pytest.skip("../shared/data/insightface-sample is not here")
    return SAMPLE_PACK


def golden_descriptors(name: str) -> np.ndarray:
    return np.array([np.frombuffer(base64.b64decode(face["normed_embedding"]), "<f4") for face in GOLDEN[name]])


def tiny_pack(folder: Path, **kind: Any) -> Path:
    folder.mkdir(exist_ok=True)
    write_detector(folder / "det_tiny.onnx")
    write_recogniser(folder / "tiny.onnx", **kind)
    return folder


def write_detector(path: Path, *, bright: int = 8, side: int | str = "side", batched: bool = False) -> None:
    """A detector that reports each bright cell at the stride ``bright`` as a face, with the first of two anchors."""
    nodes, constants = [], []

    def constant(values: Any, kind: Any = np.float32) -> str:
        constants.append(numpy_helper.from_array(np.array(values, kind), f"constant{len(constants)}"))
        return constants[-1].name

    def add(kind: str, *inputs: str, **attributes: Any) -> str:
        nodes.append(helper.make_node(kind, inputs, [f"{kind}{len(nodes)}"], **attributes))
        return nodes[-1].output[0]

    def output(image: str, weights: np.ndarray, biases: Any, columns: int) -> str:
        cells = add("Conv", image, constant(weights.reshape(-1, 3, 1, 1)), constant(biases))
        shape = (1, -1, columns) if batched else (-1, columns)
        return add("Reshape", add("Transpose", cells, perm=[0, 2, 3, 1]), constant(shape, np.int64))

    outputs: list[list[str]] = [[], [], []]
    for stride in (8, 16, 32):
        cells = add("AveragePool", "picture", kernel_shape=[stride] * 2, strides=[stride] * 2)
        # White is 3 * 0.996: a score of 0.88; grey is below the threshold. The second anchor never is above it.
        scores = output(cells, np.repeat([10.0, 0.0], 3), [-27.9 if stride == bright else -99, -99], 1)
        outputs[0].append(add("Sigmoid", scores))
        outputs[1].append(output(cells, np.zeros(24), CELL_BOX * 2, 4))
        outputs[2].append(output(cells, np.zeros(60), CELL_POINTS * 2, 10))
    names = [name for group in outputs for name in group]
    save_model(path, nodes, constants, {"picture": [1, 3, side, side]}, names)


def write_recogniser(
    path: Path, *, batch: int | str = "n", dimension: int = 512, own_scale: bool = False, quantised: bool = False
) -> None:
    """A recogniser that describes a chip by its colours; with ``own_scale`` the graph itself scales pixels."""
    weights = np.random.default_rng(5).normal(size=(768, dimension)).astype(np.float32)
    constants = [
        numpy_helper.from_array(np.array(value, np.float32), name)
        for name, value in (("mean", 127.5), ("scale", 1 / 127.5))
    ] + [numpy_helper.from_array(weights, "weights")]
    nodes = []
    image = "chips"
    if own_scale:
        nodes += [helper.make_node("Sub", [image, "mean"], ["s"]), helper.make_node("Mul", ["s", "scale"], ["m"])]
        image = "m"
    nodes.append(helper.make_node("AveragePool", [image], ["cells"], kernel_shape=[7, 7], strides=[7, 7]))
    image = "cells"
    if quantised:
        nodes.append(helper.make_node("DynamicQuantizeLinear", [image], ["q", "step", "zero"]))
        nodes.append(helper.make_node("DequantizeLinear", ["q", "step", "zero"], ["coarse"]))
        image = "coarse"
    nodes.append(helper.make_node("Flatten", [image], ["flat"]))
    nodes.append(helper.make_node("MatMul", ["flat", "weights"], ["descriptors"]))
    save_model(path, nodes, constants, {"chips": [batch, 3, 112, 112]}, ["descriptors"])


def save_model(path: Path, nodes: Any, constants: Any, inputs: dict[str, Any], outputs: list[str]) -> None:
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name, shape in inputs.items()],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        constants,
    )
    onnx.save(helper.make_model(graph, ir_version=8, opset_imports=[helper.make_opsetid("", 17)]), path)
