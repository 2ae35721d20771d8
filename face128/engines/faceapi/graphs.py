"""Builds the ONNX graphs of face-api.js's detectors and of its landmark network.

Each takes "pixels", float32 RGB of 0..255 as (1, side, side, 3). The specification is the source of
@vladmandic/face-api 1.7.15: src/tinyYolov2, src/ssdMobilenetv1, src/faceFeatureExtractor and src/faceLandmarkNet.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import numpy.typing as npt

from face128.engines.faceapi.manifest import Weights
from face128.engines.onnx.graph_builder import GraphBuilder, Shape

INPUT_NAME = "pixels"
_INPUT: Mapping[str, Shape] = {INPUT_NAME: [1, "side", "side", 3]}

# Zeros around the input of a 3x3 convolution: (top, left, bottom, right). Every side that a stride of 2 is applied to
# is even, and there TensorFlow's "same" pads only the end.
_PAD_ALL = (1, 1, 1, 1)
_PAD_END = (0, 0, 1, 1)

_SSD_ANCHORS = 5118
"""Anchor boxes: on grids of 32, 16, 8, 4, 2 and 1 cells a side, 3 a cell on the finest, else 6."""

_SSD_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_SSD_STRIDE_2_LAYERS = (2, 4, 6, 12)
_SSD_EPSILON = 0.0010000000474974513  # mobileNetV1.ts

_FeatureMaps = list[tuple[str, int]]
"""The values that boxes are predicted from, and their channels."""


def tiny_face_detector(weights: Weights) -> bytes:
    """Side: a multiple of 32. Output "cells": (side / 32)^2 * 5 rows of x, y, width, height, score, not yet decoded."""
    graph, x = _start_graph([117.001, 114.697, 97.404], 255)
    x = graph.convolve(x, weights.filters("conv0/filters", 3, 3, 16), weights.tensor("conv0/bias", 16))
    x = graph.add("LeakyRelu", x, alpha=0.1)
    inputs = 16
    for i in range(1, 6):
        # "same": an odd side is padded at its end; the padding does not change the result for an even one.
        x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], pads=list(_PAD_END))
        x = _separable_convolution(graph, x, weights, f"conv{i}", inputs, 2 * inputs)
        x = graph.add("LeakyRelu", x, alpha=0.1)
        inputs *= 2
    x = graph.add("MaxPool", x, kernel_shape=[2, 2], strides=[1, 1], pads=list(_PAD_END))
    x = graph.convolve(x, weights.filters("conv8/filters", 1, 512, 25), weights.tensor("conv8/bias", 25))
    _reshape_to_rows(graph, x, 5, name="cells")
    return graph.serialize("tiny_face_detector", _INPUT, {"cells": ["cells", 5]})


def face_landmark_68(weights: Weights) -> bytes:
    """Side: 112. Output "landmarks", (1, 136): x and y of 68 points as shares of the side."""
    graph, x = _start_graph([122.782, 117.001, 104.298], 255)
    inputs = 3
    for i, outputs in enumerate((32, 64, 128, 256)):
        name = f"dense{i}/conv0"
        if i == 0:
            filters = weights.filters(f"{name}/filters", 3, inputs, outputs)
            x = graph.convolve(x, filters, weights.tensor(f"{name}/bias", outputs), stride=2, pads=_PAD_END)
        else:
            x = _separable_convolution(graph, x, weights, name, inputs, outputs, stride=2)
        total = x = graph.add("Relu", x)
        for j in range(1, 4):
            # Each layer's input is the sum of all layers before it.
            y = _separable_convolution(graph, x, weights, f"dense{i}/conv{j}", outputs, outputs)
            total = graph.add("Add", total, y)
            x = graph.add("Relu", total)
        inputs = outputs
    # The side is 7 here, and so is that of the average: one cell remains.
    x = graph.add("Flatten", graph.add("GlobalAveragePool", x))
    matrix, biases = graph.floats(weights.tensor("fc/weights", 256, 136)), graph.floats(weights.tensor("fc/bias", 136))
    graph.add("Gemm", x, matrix, biases, name="landmarks")
    return graph.serialize("face_landmark_68", _INPUT, {"landmarks": [1, 136]})


def ssd_mobilenetv1(weights: Weights) -> bytes:
    """Side: 512.

    Outputs: "boxes", (5118, 4): top, left, bottom, right as shares of the side; and "scores", (5118, 1).
    """
    graph, x = _start_graph([127.5] * 3, 127.5)
    features = _ssd_features(graph, x, weights)

    # Boxes are encoded relative to their anchors (outputLayer.ts).
    anchors = weights.tensor("Output/extra_dim", 1, _SSD_ANCHORS, 4)[0]
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sizes / 2
    encoded = _ssd_predictions(graph, features, weights, "BoxEncodingPredictor", 4)
    shift, growth = (graph.add("Gather", encoded, graph.constant(np.array(i)), axis=1) for i in ([0, 1], [2, 3]))
    centre = graph.add("Add", graph.add("Mul", shift, graph.floats(sizes / 10)), graph.floats(centres))
    growth = graph.add("Exp", graph.add("Div", growth, graph.floats(5)))
    half_size = graph.add("Mul", growth, graph.floats(sizes / 2))
    graph.add("Concat", graph.add("Sub", centre, half_size), graph.add("Add", centre, half_size), axis=1, name="boxes")

    # The second of the three classes is "face".
    logits = _ssd_predictions(graph, features, weights, "ClassPredictor", 3)
    graph.add("Sigmoid", graph.add("Gather", logits, graph.constant(np.array([1])), axis=1), name="scores")
    return graph.serialize("ssd_mobilenetv1", _INPUT, {"boxes": [_SSD_ANCHORS, 4], "scores": [_SSD_ANCHORS, 1]})


def _ssd_features(graph: GraphBuilder, x: str, weights: Weights) -> _FeatureMaps:
    zero, six = graph.floats(0), graph.floats(6)

    def relu6(x: str) -> str:
        return graph.add("Clip", x, zero, six)

    def pointwise(x: str, prefix: str, kernel: int, inputs: int, outputs: int, stride: int = 1) -> str:
        filters = weights.filters(f"{prefix}_pointwise/weights", kernel, inputs, outputs)
        biases = weights.tensor(f"{prefix}_pointwise/convolution_bn_offset", outputs)
        return relu6(graph.convolve(x, filters, biases, stride, _PAD_END if stride == 2 else (0, 0, 0, 0)))

    x, inputs = pointwise(x, "MobilenetV1/Conv2d_0", 3, 3, 32, stride=2), 32
    features = []
    for i, outputs in enumerate(_SSD_CHANNELS, start=1):
        filters, biases = _ssd_depthwise(weights, f"MobilenetV1/Conv2d_{i}_depthwise", inputs)
        stride, pads = (2, _PAD_END) if i in _SSD_STRIDE_2_LAYERS else (1, _PAD_ALL)
        x = relu6(graph.convolve(x, filters, biases, stride, pads, group=inputs))
        x, inputs = pointwise(x, f"MobilenetV1/Conv2d_{i}", 1, inputs, outputs), outputs
        if i in (11, 13):
            features.append((x, outputs))
    for i, (between, outputs) in enumerate(((256, 512), (128, 256), (128, 256), (64, 128))):
        x = pointwise(x, f"Prediction/Conv2d_{2 * i}", 1, inputs, between)
        x, inputs = pointwise(x, f"Prediction/Conv2d_{2 * i + 1}", 3, between, outputs, stride=2), outputs
        features.append((x, outputs))
    return features


def _ssd_predictions(
    graph: GraphBuilder, features: _FeatureMaps, weights: Weights, predictor: str, columns: int
) -> str:
    """(5118, columns), from the finest grid to the coarsest."""
    parts = []
    for i, (x, inputs) in enumerate(features):
        prefix = f"Prediction/BoxPredictor_{i}/{predictor}"
        outputs = columns * (3 if i == 0 else 6)
        x = graph.convolve(
            x,
            weights.filters(f"{prefix}/weights", 1, inputs, outputs),
            weights.tensor(f"{prefix}/biases", outputs),
        )
        parts.append(_reshape_to_rows(graph, x, columns))
    return graph.add("Concat", *parts, axis=0)


def _ssd_depthwise(
    weights: Weights, prefix: str, channels: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """A depthwise convolution and the batch normalisation after it, as one convolution: its filters and biases."""
    gamma, beta, mean, variance = (
        weights.tensor(f"{prefix}/BatchNorm/{name}", channels).astype(np.float64)
        for name in ("gamma", "beta", "moving_mean", "moving_variance")
    )
    gamma /= np.sqrt(variance + _SSD_EPSILON)
    filters = weights.depthwise_filters(f"{prefix}/depthwise_weights", channels)
    return filters * gamma[:, None, None, None], beta - mean * gamma


def _start_graph(mean: npt.ArrayLike, scale: float) -> tuple[GraphBuilder, str]:
    """A graph, and its input as (1, 3, side, side): ``(pixels - mean) / scale``."""
    graph = GraphBuilder()
    x = graph.add("Div", graph.add("Sub", INPUT_NAME, graph.floats(mean)), graph.floats(scale))
    return graph, graph.add("Transpose", x, perm=[0, 3, 1, 2])


def _separable_convolution(
    graph: GraphBuilder, x: str, weights: Weights, prefix: str, inputs: int, outputs: int, stride: int = 1
) -> str:
    """A 3x3 convolution of each channel by itself, then a 1x1 convolution over the channels."""
    filters = weights.depthwise_filters(f"{prefix}/depthwise_filter", inputs)
    x = graph.convolve(x, filters, stride=stride, pads=_PAD_ALL if stride == 1 else _PAD_END, group=inputs)
    filters = weights.filters(f"{prefix}/pointwise_filter", 1, inputs, outputs)
    return graph.convolve(x, filters, weights.tensor(f"{prefix}/bias", outputs))


def _reshape_to_rows(graph: GraphBuilder, x: str, columns: int, name: str = "") -> str:
    """(1, channels, height, width) as rows of ``columns`` numbers, in TensorFlow's order: channels last."""
    x = graph.add("Transpose", x, perm=[0, 2, 3, 1])
    return graph.add("Reshape", x, graph.constant(np.array([-1, columns])), name=name)
