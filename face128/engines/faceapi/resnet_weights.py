"""Reads face-api.js's recognition network: dlib's ResNet, its weights rounded to uint8."""

from __future__ import annotations

from face128.engines.faceapi.manifest import Weights
from face128.engines.resnet.architecture import (
    BLOCKS,
    DIMENSION,
    STEM_SHAPE,
    Convolution,
    ResidualBlock,
    ResnetWeights,
)


def read_resnet(weights: Weights) -> ResnetWeights:
    """The weights in face_recognition_model's files. Raises ConfigurationError for anything but that network."""
    return ResnetWeights(
        # src/faceRecognitionNet/FaceRecognitionNet.ts; face-api.js 0.22.2 and dlib divide by 256: a distance of 0.001.
        mean=(122.782, 117.001, 104.298),
        scale=255.0,
        stem=_convolution(weights, "conv32_down", STEM_SHAPE),
        blocks=tuple(_block(weights, name, block) for name, block in zip(_block_names(), BLOCKS, strict=True)),
        projection=weights.tensor("fc", BLOCKS[-1].channels, DIMENSION),
    )


def _block_names() -> list[str]:
    """face-api.js's names of the blocks: conv64_down, conv64_1, conv64_2 ...; the last is conv256_down_out."""
    names: list[str] = []
    for block in BLOCKS[:-1]:
        prefix = f"conv{block.channels}_"
        count = sum(name.startswith(prefix) for name in names)
        # The blocks of 32 channels begin with a plain one, number 1.
        names.append(prefix + ("down" if block.down else str(count + (block.channels == STEM_SHAPE[0]))))
    return [*names, "conv256_down_out"]


def _block(weights: Weights, name: str, block: ResidualBlock) -> tuple[Convolution, Convolution]:
    first, second = block.shapes
    return _convolution(weights, f"{name}/conv1", first), _convolution(weights, f"{name}/conv2", second)


def _convolution(weights: Weights, name: str, shape: tuple[int, int, int, int]) -> Convolution:
    channels, inputs, rows, _ = shape
    return Convolution(
        filters=weights.filters(f"{name}/conv/filters", rows, inputs, channels),
        biases=weights.tensor(f"{name}/conv/bias", channels),
        gamma=weights.tensor(f"{name}/scale/weights", channels),
        beta=weights.tensor(f"{name}/scale/biases", channels),
    )
