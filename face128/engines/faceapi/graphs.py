"""Builds the ONNX graphs of face-api.js's detectors and of its landmark network.

Each takes "pixels", float32 RGB of 0..255 as (1, side, side, 3). The specification is the source of
@vladmandic/face-api 1.7.15: src/tinyYolov2, src/ssdMobilenetv1, src/faceFeatureExtractor and src/faceLandmarkNet.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from face128.engines.faceapi.manifest import Weights
from face128.engines.onnx.graph_builder import GraphBuilder

INPUT_NAME = "pixels"

_SSD_ANCHORS = 5118
"""Anchor boxes: on grids of 32, 16, 8, 4, 2 and 1 cells a side, 3 a cell on the finest, else 6."""

_SSD_CHANNELS = (64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024)
_SSD_STRIDE_2_LAYERS = (2, 4, 6, 12)
_SSD_EPSILON = 0.0010000000474974513  # mobileNetV1.ts


class _Network(GraphBuilder):
    """A graph that begins with ``(pixels - mean) / scale``, and the weights of its layers."""

    def __init__(self, weights: Weights, mean: npt.ArrayLike, scale: float) -> None:
        super().__init__(INPUT_NAME, [1, "side", "side", 3])
        self.weights = weights
        x = self.add("Div", self.add("Sub", INPUT_NAME, self.constant(mean)), self.constant(scale))
        self.image = self.add("Transpose", x, perm=[0, 3, 1, 2])

    def full(
        self,
        x: str,
        filters: str,
        biases: str,
        rows: int,
        inputs: int,
        outputs: int,
        stride: int = 1,
        same: bool = True,
    ) -> str:
        """A convolution over all channels, with ``rows`` * ``rows`` filters."""
        weights = self.weights.filters(filters, rows, inputs, outputs), self.weights.tensor(biases, outputs)
        return self.convolve(x, *weights, stride=stride, same=same)

    def separable(self, x: str, prefix: str, inputs: int, outputs: int, stride: int = 1) -> str:
        """A 3x3 convolution of each channel by itself, then a 1x1 convolution over the channels."""
        filters = self.weights.depthwise_filters(f"{prefix}/depthwise_filter", inputs)
        x = self.convolve(x, filters, stride=stride, group=inputs)
        return self.full(x, f"{prefix}/pointwise_filter", f"{prefix}/bias", 1, inputs, outputs)

    def rows(self, x: str, columns: int, name: str = "") -> str:
        """(1, channels, height, width) as rows of ``columns`` numbers, in TensorFlow's order: channels last."""
        x = self.add("Transpose", x, perm=[0, 2, 3, 1])
        return self.add("Reshape", x, self.constant([-1, columns], np.int64), name=name)


def tiny_face_detector(weights: Weights) -> bytes:
    """Side: a multiple of 32. Output "cells": (side / 32)^2 * 5 rows of x, y, width, height, score, not yet decoded."""
    net = _Network(weights, [117.001, 114.697, 97.404], 255)
    x = net.add("LeakyRelu", net.full(net.image, "conv0/filters", "conv0/bias", 3, 3, 16, same=False), alpha=0.1)
    for i in range(1, 6):
        x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[2, 2], auto_pad="SAME_UPPER")
        x = net.add("LeakyRelu", net.separable(x, f"conv{i}", 8 * 2**i, 16 * 2**i), alpha=0.1)
    x = net.add("MaxPool", x, kernel_shape=[2, 2], strides=[1, 1], auto_pad="SAME_UPPER")
    net.rows(net.full(x, "conv8/filters", "conv8/bias", 1, 512, 25), 5, name="cells")
    return net.serialize({"cells": ["cells", 5]})


def face_landmark_68(weights: Weights) -> bytes:
    """Side: 112. Output "landmarks", (1, 136): x and y of 68 points as shares of the side."""
    net = _Network(weights, [122.782, 117.001, 104.298], 255)
    x = net.full(net.image, "dense0/conv0/filters", "dense0/conv0/bias", 3, 3, 32, stride=2)
    for i, channels in enumerate((32, 64, 128, 256)):
        if i > 0:
            x = net.separable(x, f"dense{i}/conv0", channels // 2, channels, stride=2)
        total = x = net.add("Relu", x)
        for j in range(1, 4):
            # Each layer's input is the sum of all layers before it.
            total = net.add("Add", total, net.separable(x, f"dense{i}/conv{j}", channels, channels))
            x = net.add("Relu", total)
    # The side is 7 here, and so is that of the average: one cell remains.
    x = net.add("Flatten", net.add("GlobalAveragePool", x))
    matrix, biases = net.constant(weights.tensor("fc/weights", 256, 136)), net.constant(weights.tensor("fc/bias", 136))
    net.add("Gemm", x, matrix, biases, name="landmarks")
    return net.serialize({"landmarks": [1, 136]})


def ssd_mobilenetv1(weights: Weights) -> bytes:
    """Side: 512.

    Outputs: "boxes", (5118, 4): top, left, bottom, right as shares of the side; and "scores", (5118, 1).
    """
    net = _Network(weights, [127.5] * 3, 127.5)
    encoded, logits = _ssd_predictions(net)

    # Boxes are encoded relative to their anchors (outputLayer.ts).
    anchors = weights.tensor("Output/extra_dim", 1, _SSD_ANCHORS, 4)[0]
    sizes = anchors[:, 2:] - anchors[:, :2]
    centres = anchors[:, :2] + sizes / 2
    shift, growth = (net.add("Gather", encoded, net.constant(i, np.int64), axis=1) for i in ([0, 1], [2, 3]))
    centre = net.add("Add", net.add("Mul", shift, net.constant(sizes / 10)), net.constant(centres))
    growth = net.add("Exp", net.add("Div", growth, net.constant(5)))
    half_size = net.add("Mul", growth, net.constant(sizes / 2))
    net.add("Concat", net.add("Sub", centre, half_size), net.add("Add", centre, half_size), axis=1, name="boxes")

    # The second of the three classes is "face".
    net.add("Sigmoid", net.add("Gather", logits, net.constant([1], np.int64), axis=1), name="scores")
    return net.serialize({"boxes": [_SSD_ANCHORS, 4], "scores": [_SSD_ANCHORS, 1]})


def _ssd_predictions(net: _Network) -> tuple[str, str]:
    """Encoded boxes, (5118, 4), and logits of the three classes, (5118, 3), from the finest grid to the coarsest."""
    zero, six = net.constant(0), net.constant(6)

    def relu6(x: str) -> str:
        return net.add("Clip", x, zero, six)

    def depthwise(x: str, prefix: str, channels: int, stride: int) -> str:
        """A 3x3 convolution of each channel by itself, and the batch normalisation after it."""
        gamma, beta, mean, variance = (
            net.weights.tensor(f"{prefix}/BatchNorm/{name}", channels).astype(np.float64)
            for name in ("gamma", "beta", "moving_mean", "moving_variance")
        )
        gamma /= np.sqrt(variance + _SSD_EPSILON)
        filters = net.weights.depthwise_filters(f"{prefix}/depthwise_weights", channels) * gamma[:, None, None, None]
        return relu6(net.convolve(x, filters, beta - mean * gamma, stride=stride, group=channels))

    def pointwise(x: str, prefix: str, rows: int, inputs: int, outputs: int, stride: int = 1) -> str:
        names = f"{prefix}_pointwise/weights", f"{prefix}_pointwise/convolution_bn_offset"
        return relu6(net.full(x, *names, rows, inputs, outputs, stride))

    x, inputs = pointwise(net.image, "MobilenetV1/Conv2d_0", 3, 3, 32, stride=2), 32
    features = []
    for i, outputs in enumerate(_SSD_CHANNELS, start=1):
        x = depthwise(x, f"MobilenetV1/Conv2d_{i}_depthwise", inputs, 2 if i in _SSD_STRIDE_2_LAYERS else 1)
        x, inputs = pointwise(x, f"MobilenetV1/Conv2d_{i}", 1, inputs, outputs), outputs
        if i in (11, 13):
            features.append((x, outputs))
    for i, (between, outputs) in enumerate(((256, 512), (128, 256), (128, 256), (64, 128))):
        x = pointwise(x, f"Prediction/Conv2d_{2 * i}", 1, inputs, between)
        x, inputs = pointwise(x, f"Prediction/Conv2d_{2 * i + 1}", 3, between, outputs, stride=2), outputs
        features.append((x, outputs))

    def predict(predictor: str, columns: int) -> str:
        parts = []
        for i, (x, inputs) in enumerate(features):
            prefix = f"Prediction/BoxPredictor_{i}/{predictor}"
            outputs = columns * (3 if i == 0 else 6)
            x = net.full(x, f"{prefix}/weights", f"{prefix}/biases", 1, inputs, outputs)
            parts.append(net.rows(x, columns))
        return net.add("Concat", *parts, axis=0)

    return predict("BoxEncodingPredictor", 4), predict("ClassPredictor", 3)
