"""Reads a network in OpenVINO's IR: an .xml file lists its layers, and where their numbers are in a .bin file.

Both files are checked as if a stranger had made them: XML without entities, bounded in size, with no reference outside.
Format: OpenVINO's documentation, "Intermediate Representation Format", version 10 and 11.
"""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

MAX_LAYERS = 5_000  # face-reidentification-retail-0095 has 686
MAX_AXES = 6
MAX_LENGTH = 2**16  # of an axis
DTYPES = {"f16": "<f2", "f32": "<f4"}

Floats = npt.NDArray[np.float32]
Shape = tuple[int, ...]


class IrError(ValueError):
    """Why the files cannot be used: the end of a sentence."""


class Layer(NamedTuple):
    kind: str
    attributes: Mapping[str, str]
    inputs: tuple[str, ...]
    """The ids of the layers whose outputs it takes, in order."""
    shape: Shape
    """Of its output, as the file says; empty for a Result."""

    def number(self, name: str) -> int:
        (number,) = self.numbers(name, 1)
        return number

    def numbers(self, name: str, count: int | None = None) -> tuple[int, ...]:
        """An attribute such as "2, 2". Raises IrError unless it consists of ``count`` natural numbers."""
        numbers = _naturals(self.attributes.get(name, ""))
        if numbers is None or count not in (None, len(numbers)):
            raise IrError(f"the attribute {name} of a layer {self.kind} is wrong")
        return numbers


def read_layers(xml: bytes) -> dict[str, Layer]:
    """The layers by their ids, each after those that it depends on. Raises IrError."""
    net = _parse(xml)
    elements = {str(element.get("id")): element for element in net.iterfind("layers/layer")}
    if not 0 < len(elements) <= MAX_LAYERS:
        raise IrError("it has no layers, or too many")
    sources: dict[str, dict[str, str]] = {key: {} for key in elements}
    for edge in net.iterfind("edges/edge"):
        source, target = str(edge.get("from-layer")), str(edge.get("to-layer"))
        if source not in elements or target not in elements:
            raise IrError("an edge is of a layer that does not exist")
        sources[target][str(edge.get("to-port"))] = source
    try:
        order = list(TopologicalSorter({key: inputs.values() for key, inputs in sources.items()}).static_order())
    except CycleError:
        raise IrError("its layers go round in a circle") from None
    return {key: _layer(elements[key], sources[key]) for key in order}


def read_constant(layer: Layer, weights: bytes) -> Floats:
    """The numbers of a layer Const. Raises IrError."""
    dtype = DTYPES.get(layer.attributes.get("element_type", ""))
    if dtype is None:
        raise IrError("a layer Const has numbers of an unknown type")
    shape = layer.numbers("shape")
    offset, count = layer.number("offset"), math.prod(shape)
    if shape != layer.shape or layer.number("size") != count * np.dtype(dtype).itemsize:
        raise IrError("a layer Const contradicts itself")
    if offset + layer.number("size") > len(weights):
        raise IrError("the .bin file ends too early")
    values = np.frombuffer(weights, dtype, count, offset).reshape(shape).astype(np.float32)
    if not np.isfinite(values).all():
        raise IrError("a weight is not finite")
    return values


def _parse(xml: bytes) -> ET.Element:
    try:
        # As a string: no encoding that the file names is used. Entities can only be declared in a DOCTYPE.
        text = xml.decode("utf-8-sig")
        if "<!DOCTYPE" in text:
            raise IrError("it has a DOCTYPE")
        net = ET.fromstring(text)  # noqa: S314  (without entities)
    except (UnicodeDecodeError, ET.ParseError):
        raise IrError("it is not XML, or cut short") from None
    if net.tag != "net" or net.get("version") not in ("10", "11"):
        raise IrError("it is no IR of version 10 or 11")
    return net


def _layer(element: ET.Element, sources: Mapping[str, str]) -> Layer:
    kind = str(element.get("type"))
    data = element.find("data")
    ports = [str(port.get("id")) for port in element.iterfind("input/port")]
    outputs = element.findall("output/port")
    if set(ports) != set(sources) or len(ports) != len(sources) or len(outputs) > 1:
        raise IrError("the edges do not fit the layers")
    dims = ",".join(str(dim.text) for port in outputs for dim in port.iterfind("dim"))
    shape = _naturals(dims) if dims else ()
    if shape is None or len(shape) > MAX_AXES or not all(0 < length <= MAX_LENGTH for length in shape):
        raise IrError("the size of an output is wrong")
    return Layer(kind, data.attrib if data is not None else {}, tuple(sources[port] for port in ports), shape)


def _naturals(text: str) -> tuple[int, ...] | None:
    """The numbers of a list such as "1, 64"; of an empty one (); None if it is none, or one is huge."""
    if not text.strip():
        return ()
    parts = [part.strip() for part in text.split(",")]
    if not all(part.isascii() and part.isdigit() and len(part) < 12 for part in parts):
        return None
    return tuple(int(part) for part in parts)
