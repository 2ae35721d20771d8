"""Writes face-api.js's tiny detector and its landmark network as ONNX graphs; its other detector is in faceapi_ssd.py.

Each takes "pixels", float32 RGB of 0..255 as (1, side, side, 3). The specification is the source of
@vladmandic/face-api 1.7.15: src/tinyYolov2, src/faceFeatureExtractor, src/faceLandmarkNet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from onnx import TensorProto, helper

from face128.engines.faceapi.manifest import Weights
from face128.engines.onnx.graph_builder import Graph

INPUT = "pixels"

# Zeros around the input of a 3x3 convolution: (top, left, bottom, right). Every side that a stride of 2 meets is
# even, and there TensorFlow's "same" pads only the end.
AROUND = (1, 1, 1, 1)
END = (0, 0, 1, 1)


def start(mean: npt.ArrayLike, scale: float) -> tuple[Graph, str]:
    """A graph, and its input as (1, 3, side, side): ``(pixels - mean) / scale``."""
    graph = Graph()
    x = graph.add("Div", graph.add("Sub", INPUT, graph.floats(mean)), graph.floats(scale))
    return graph, graph.add("Transpose", x, perm=[0, 3, 1, 2])


def finish(graph: Graph, name: str, **outputs: list[int | str]) -> bytes:
    """The model: from the input to the values of these names and shapes."""
    pixels = helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, [1, "side", "side", 3])
    values = [helper.make_tensor_value_info(value, TensorProto.FLOAT, shape) for value, shape in outputs.items()]
    return graph.model(name, [pixels], values)


def _separable(graph: Graph, x: str, weights: Weights, prefix: str, inputs: int, outputs: int, stride: int = 1) -> str:
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution over the channels."""
    filters = weights.depthwise_filters(f"{prefix}/depthwise_filter", inputs)
    x = graph.convolve(x, filters, stride=stride, pads=AROUND if stride == 1 else END, group=inputs)
    filters = weights.filters(f"{prefix}/pointwise_filter", 1, inputs, outputs)
    return graph.convolve(x, filters, weights.tensor(f"{prefix}/bias", outputs))


def rows(graph: Graph, x: str, columns: int, name: str = "") -> str:
    """(1, channels, height, width) as rows of ``columns`` numbers, in TensorFlow's order: channels last."""
    x = graph.add("Transpose", x, perm=[0, 2, 3, 1])
    return graph.add("Reshape", x, graph.constant(np.array([-1, columns])), name=name)


def tiny_face_detector(weights: Weights) -> bytes:
    """Side: a multiple of 32. Gives "cells": (side / 32)^2 * 5 rows of x, y, width, height, score, not yet decoded."""
    graph, x = start([117.001, 114.697, 97.404], 255)
    x = graph.convolve(x, weights.filters("conv0/filters", 3, 3, 16), weights.tensor("conv0/bias", 16))
    x = graph.add("LeakyRelu", x, alpha=0.1)
    inputs = 16
    for i in range(1, 6):
        # "same": an odd side is padded at its end, where an even one never looks.
        x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=list(END))
        x = graph.add("LeakyRelu", _separable(graph, x, weights, f"conv{i}", inputs, 2 * inputs), alpha=0.1)
        inputs *= 2
    x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[1, 1], pads=list(END))
    x = graph.convolve(x, weights.filters("conv8/filters", 1, 512, 25), weights.tensor("conv8/bias", 25))
    rows(graph, x, 5, name="cells")
    return finish(graph, "tiny_face_detector", cells=["cells", 5])


def face_landmark_68(weights: Weights) -> bytes:
    """Side: 112. Gives "landmarks", (1, 136): x and y of 68 points as shares of the side."""
    graph, x = start([122.782, 117.001, 104.298], 255)
    inputs = 3
    for i, outputs in enumerate((32, 64, 128, 256)):
        name = f"dense{i}/conv0"
        if i == 0:
            filters = weights.filters(f"{name}/filters", 3, inputs, outputs)
            x = graph.convolve(x, filters, weights.tensor(f"{name}/bias", outputs), stride=2, pads=END)
        else:
            x = _separable(graph, x, weights, name, inputs, outputs, stride=2)
        total = x = graph.add("Relu", x)
        for j in range(1, 4):
            # Each layer sees the sum of all before it.
            y = _separable(graph, x, weights, f"dense{i}/conv{j}", outputs, outputs)
            total = graph.add("Add", total, y)
            x = graph.add("Relu", total)
        inputs = outputs
    # The side is 7 here, and so is the average's: one cell stays.
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    matrix, biases = graph.floats(weights.tensor("fc/weights", 256, 136)), graph.floats(weights.tensor("fc/bias", 136))
    graph.add("Gemm", x, matrix, biases, name="landmarks")
    return finish(graph, "face_landmark_68", landmarks=[1, 136])
