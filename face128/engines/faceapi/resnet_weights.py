"""Reads face-api.js's recognition network: dlib's ResNet, its weights rounded to uint8."""

from __future__ import annotations

from face128.engines.faceapi.manifest import Weights
from face128.engines.resnet.architecture import BLOCKS, DIMENSION, STEM_SHAPE, Convolution, FilterShape, ResnetWeights

# Of the blocks: conv32_1, conv32_2 ...
_NAME_ENDS = ("1", "2", "3", "down", "1", "2", "3", "down", "1", "2", "down", "1", "2", "down_out")


def read_resnet(weights: Weights) -> ResnetWeights:
    """The weights in face_recognition_model's files. Raises ConfigurationError for anything but that network."""

    def convolution(name: str, shape: FilterShape) -> Convolution:
        channels, inputs, rows, _ = shape
        return Convolution(
            filters=weights.filters(f"{name}/conv/filters", rows, inputs, channels),
            biases=weights.tensor(f"{name}/conv/bias", channels),
            gamma=weights.tensor(f"{name}/scale/weights", channels),
            beta=weights.tensor(f"{name}/scale/biases", channels),
        )

    return ResnetWeights(
        # src/faceRecognitionNet/FaceRecognitionNet.ts; face-api.js 0.22.2 and dlib divide by 256: a distance of 0.001.
        mean=(122.782, 117.001, 104.298),
        scale=255.0,
        stem=convolution("conv32_down", STEM_SHAPE),
        blocks=tuple(
            (convolution(f"{name}/conv1", block.shapes[0]), convolution(f"{name}/conv2", block.shapes[1]))
            for block, end in zip(BLOCKS, _NAME_ENDS, strict=True)
            for name in [f"conv{block.channels}_{end}"]
        ),
        projection=weights.tensor("fc", BLOCKS[-1].channels, DIMENSION),
    )
