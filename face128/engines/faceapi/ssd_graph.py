"""Writes face-api.js's larger detector as an ONNX graph: a MobileNet, and six layers that each propose boxes.

The specification is src/ssdMobilenetv1 of @vladmandic/face-api 1.7.15.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face128.engines.faceapi.graphs import AROUND, END, finish, rows, start
from face128.engines.faceapi.manifest import Weights
from face128.engines.onnx.graph_builder import Graph

PLACES = 5118
"""Boxes that the network judges: on grids of 32, 16, 8, 4, 2 and 1 cells a side, 3 a cell on the finest, else 6."""

_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_STRIDED = (2, 4, 6, 12)
_EPSILON = 0.0010000000474974513  # mobileNetV1.ts

_Seen = list[tuple[str, int]]
"""The values that boxes are proposed from, and their channels."""


def ssd_mobilenetv1(weights: Weights) -> bytes:
    """Side: 512. Gives "boxes", (5118, 4): top, left, bottom, right as shares of the side; and "scores", (5118, 1)."""
    graph, x = start([127.5] * 3, 127.5)
    seen = _features(graph, x, weights)

    # How a box differs from the one that stands at its place (outputLayer.ts).
    standing = weights.tensor("Output/extra_dim", 1, PLACES, 4)[0]
    sizes = standing[:, 2:] - standing[:, :2]
    centres = standing[:, :2] + sizes / 2
    encoded = _proposed(graph, seen, weights, "BoxEncodingPredictor", 4)
    shift, growth = (graph.add("Gather", encoded, graph.constant(np.array(i)), axis=1) for i in ([0, 1], [2, 3]))
    centre = graph.add("Add", graph.add("Mul", shift, graph.floats(sizes / 10)), graph.floats(centres))
    growth = graph.add("Exp", graph.add("Div", growth, graph.floats(5)))
    half = graph.add("Mul", growth, graph.floats(sizes / 2))
    graph.add("Concat", graph.add("Sub", centre, half), graph.add("Add", centre, half), axis=1, name="boxes")

    # Of the three classes the second is a face.
    logits = _proposed(graph, seen, weights, "ClassPredictor", 3)
    graph.add("Sigmoid", graph.add("Gather", logits, graph.constant(np.array([1])), axis=1), name="scores")
    return finish(graph, "ssd_mobilenetv1", boxes=[PLACES, 4], scores=[PLACES, 1])


def _features(graph: Graph, x: str, weights: Weights) -> _Seen:
    zero, six = graph.floats(0), graph.floats(6)

    def relu6(x: str) -> str:
        return graph.add("Clip", x, zero, six)

    def pointwise(x: str, prefix: str, kernel: int, inputs: int, outputs: int, stride: int = 1) -> str:
        filters = weights.filters(f"{prefix}_pointwise/weights", kernel, inputs, outputs)
        biases = weights.tensor(f"{prefix}_pointwise/convolution_bn_offset", outputs)
        return relu6(graph.convolve(x, filters, biases, stride, END if stride == 2 else (0, 0, 0, 0)))

    x, inputs = pointwise(x, "MobilenetV1/Conv2d_0", 3, 3, 32, stride=2), 32
    seen = []
    for i, outputs in enumerate(_CHANNELS, start=1):
        filters, biases = _normalised(weights, f"MobilenetV1/Conv2d_{i}_depthwise", inputs)
        stride, pads = (2, END) if i in _STRIDED else (1, AROUND)
        x = relu6(graph.convolve(x, filters, biases, stride, pads, group=inputs))
        x, inputs = pointwise(x, f"MobilenetV1/Conv2d_{i}", 1, inputs, outputs), outputs
        if i in (11, 13):
            seen.append((x, outputs))
    for i, (between, outputs) in enumerate(((256, 512), (128, 256), (128, 256), (64, 128))):
        x = pointwise(x, f"Prediction/Conv2d_{2 * i}", 1, inputs, between)
        x, inputs = pointwise(x, f"Prediction/Conv2d_{2 * i + 1}", 3, between, outputs, stride=2), outputs
        seen.append((x, outputs))
    return seen


def _proposed(graph: Graph, seen: _Seen, weights: Weights, predictor: str, columns: int) -> str:
    """(5118, columns), from the finest grid to the coarsest."""
    parts = []
    for i, (x, inputs) in enumerate(seen):
        prefix = f"Prediction/BoxPredictor_{i}/{predictor}"
        outputs = columns * (3 if i == 0 else 6)
        filters = weights.filters(f"{prefix}/weights", 1, inputs, outputs)
        parts.append(rows(graph, graph.convolve(x, filters, weights.tensor(f"{prefix}/biases", outputs)), columns))
    return graph.add("Concat", *parts, axis=0)


def _normalised(
    weights: Weights, prefix: str, channels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A depthwise convolution and the batch normalisation after it, as one convolution: its filters and biases."""
    gamma, beta, mean, variance = (
        weights.tensor(f"{prefix}/BatchNorm/{name}", channels).astype(np.float64)
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    gamma /= np.sqrt(variance + _EPSILON)
    filters = weights.depthwise_filters(f"{prefix}/depthwise_weights", channels)
    return filters * gamma[:, None, None, None], beta - mean * gamma
