"""face-reidentification-retail-0095 for the tests: the real files, if they are there, and a tiny one written here."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import pytest
from paths import ROOT

REAL_MODEL = ROOT.parent / "shared" / "data" / "retail-0095"
STEM = "face-reidentification-retail-0095"

needs_real_model = pytest.mark.skipif(not REAL_MODEL.is_dir(), reason="../shared/data/retail-0095 is missing")


def real_model() -> Path:
    if not REAL_MODEL.is_dir():
        pytest.skip("../shared/data/retail-0095 is not here")
    return REAL_MODEL


def tiny_model(folder: Path, seed: int = 0, dtype: str = "f16", stem: str = STEM) -> Path:
    """Write a network with each kind of layer that the real one has; another seed is another model."""
    folder.mkdir(parents=True, exist_ok=True)
    tiny_ir(seed, dtype).write(folder, stem)
    return folder


def tiny_ir(seed: int = 0, dtype: str = "f16") -> IrWriter:
    """256 random mixtures of what a face looks like from afar, so that two people differ."""
    random = np.random.default_rng(seed)
    ir = IrWriter(dtype)
    picture = ir.add("Parameter", [], (1, 3, 128, 128), shape="1,3,128,128", element_type="f32")
    scale = ir.constant(np.full((1, 3, 1, 1), 1 / 128))
    image = ir.add("Multiply", [picture, scale], (1, 3, 128, 128), auto_broadcast="numpy")
    # Blue, green and red have a mean of their own, so that their order counts.
    mean = ir.constant(np.array([-0.8, -0.9, -1.0]).reshape(1, 3, 1, 1))
    image = ir.add("Add", [image, mean], (1, 3, 128, 128), auto_broadcast="numpy")
    image = ir.convolve(image, random.normal(0, 0.2, (8, 3, 3, 3)), (1, 8, 64, 64), stride=2, pad=1)
    image = ir.add("PReLU", [image, ir.constant(np.array([0.2]))], (1, 8, 64, 64))
    image = ir.convolve(image, random.normal(0, 0.3, (8, 1, 1, 3, 3)), (1, 8, 64, 64), stride=1, pad=1)
    pooled = ir.average(image, 64, (1, 8, 1, 1))
    gate = ir.add("Sigmoid", [pooled], (1, 8, 1, 1))
    image = ir.add("Multiply", [image, gate], (1, 8, 64, 64), auto_broadcast="numpy")
    image = ir.average(image, 8, (1, 8, 8, 8))
    mixtures = random.normal(0, 1, (256, 8, 8, 8))
    mixtures -= mixtures.mean((2, 3), keepdims=True)  # of a picture of one colour, nothing
    image = ir.convolve(image, mixtures, (1, 256, 1, 1), stride=1, pad=0)
    biases = ir.constant(random.normal(0, 0.1, (1, 256, 1, 1)))
    image = ir.add("Add", [image, biases], (1, 256, 1, 1), auto_broadcast="numpy")
    ir.add("Result", [image], None)
    return ir


class IrWriter:
    """Writes OpenVINO's IR, version 11, layer by layer. ``dtype``: of the constants, "f16" or "f32"."""

    def __init__(self, dtype: str = "f16") -> None:
        self.dtype = dtype
        self.layers: list[str] = []
        self.edges: list[str] = []
        self.weights = b""

    def add(self, kind: str, inputs: list[int], dims: tuple[int, ...] | None, **attributes: Any) -> int:
        """``dims``: of the output; None for a Result. Returns the layer's id."""
        key = len(self.layers)
        data = "".join(f" {name}={quoteattr(str(value))}" for name, value in attributes.items())
        ports = "".join(f'<port id="{port}"/>' for port in range(len(inputs)))
        sizes = "".join(f"<dim>{length}</dim>" for length in dims or ())
        output = f'<output><port id="{len(inputs)}" precision="FP32">{sizes}</port></output>' if dims else ""
        self.layers.append(
            f'<layer id="{key}" name="{kind}_{key}" type="{kind}" version="opset1">'
            + (f"<data{data}/>" if data else "")
            + (f"<input>{ports}</input>" if ports else "")
            + f"{output}</layer>"
        )
        for port, source in enumerate(inputs):
            from_port = self.layers[source].count("<port") - 1
            self.edges.append(
                f'<edge from-layer="{source}" from-port="{from_port}" to-layer="{key}" to-port="{port}"/>'
            )
        return key

    def constant(self, values: np.ndarray) -> int:
        data = values.astype({"f16": "<f2", "f32": "<f4"}[self.dtype]).tobytes()
        shape = ", ".join(map(str, values.shape))
        attributes = {"element_type": self.dtype, "shape": shape, "offset": len(self.weights), "size": len(data)}
        self.weights += data
        key = self.add("Const", [], values.shape, **attributes)
        if self.dtype == "f32":
            return key
        return self.add("Convert", [key], values.shape, destination_type="f32")

    def convolve(self, image: int, filters: np.ndarray, shape: tuple[int, ...], *, stride: int, pad: int) -> int:
        return self.add(
            "Convolution" if filters.ndim == 4 else "GroupConvolution",
            [image, self.constant(filters)],
            shape,
            strides=f"{stride}, {stride}",
            dilations="1, 1",
            pads_begin=f"{pad}, {pad}",
            pads_end=f"{pad}, {pad}",
            auto_pad="explicit",
        )

    def average(self, image: int, side: int, shape: tuple[int, ...]) -> int:
        sides = f"{side}, {side}"
        settings = {"kernel": sides, "strides": sides, "pads_begin": "0, 0", "pads_end": "0, 0"}
        return self.add("AvgPool", [image], shape, **settings, **{"exclude-pad": "true"}, rounding_type="floor")

    @property
    def xml(self) -> str:
        layers, edges = "\n".join(self.layers), "\n".join(self.edges)
        return (
            '<?xml version="1.0"?>\n<net name="tiny" version="11">\n'
            f"<layers>\n{layers}\n</layers>\n<edges>\n{edges}\n</edges>\n</net>\n"
        )

    def write(self, folder: Path, stem: str = STEM) -> None:
        (folder / f"{stem}.xml").write_text(self.xml)
        (folder / f"{stem}.bin").write_bytes(self.weights)


def openvino_descriptors(folder: Path, chips: np.ndarray) -> np.ndarray:
    """What OpenVINO itself gives for chips, (n, 128, 128, 3) uint8 RGB, scaled to length 1."""
    openvino = pytest.importorskip("openvino", reason="openvino is not installed: make test installs it")
    model = openvino.Core().read_model(folder / f"{STEM}.xml")
    model.reshape([-1, 3, 128, 128])
    # In float32: it would use bfloat16 where the processor has it.
    settings = {"INFERENCE_PRECISION_HINT": "f32", "INFERENCE_NUM_THREADS": 1}
    network = openvino.compile_model(model, "CPU", settings)
    blue_green_red = chips[..., ::-1].transpose(0, 3, 1, 2).astype(np.float32)
    batches = [network(blue_green_red[start : start + 25])[0] for start in range(0, len(chips), 25)]
    rows = np.concatenate(batches).reshape(len(chips), -1)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)
