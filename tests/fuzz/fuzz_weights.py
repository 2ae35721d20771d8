"""The targets fuzz_weights:dlib, :faceapi, :insightface and :retail: damaged weight files and their readers."""

from __future__ import annotations

import json
import logging
import random
import tempfile
from collections.abc import Callable
from pathlib import Path

import insight_packs
import numpy as np
import retail_models
from mutating import Mutator

from face128.engines.dlib.dat_file import read_resnet
from face128.engines.dlib.weight_files import RESNET_FILE, find_weights
from face128.engines.faceapi import manifest as weight_manifest
from face128.engines.insightface.pack import read_pack
from face128.engines.retail.network import read_model
from face128.errors import ConfigurationError

Case = Callable[[random.Random], str]
MODEL = "tiny_face_detector"
SHAPES = {"conv0/filters": [3, 3, 3, 4], "conv0/bias": [4], "norm/sub": [2, 2, 1, 1]}


def dlib() -> Case:
    """Changes the 22 MB in place and restores them afterwards: copying takes longer than reading."""
    data = bytearray((find_weights() / RESNET_FILE).read_bytes())
    names = [b"con_4", b"affine_", b"relu_", b"add_prev_", b"max_pool_2", b"avg_pool_2", b"fc_2", b"loss_metric_2"]
    # Everything that is not a weight is near a name.
    places = [at + shift for name in names for at in _all(data, name) for shift in range(-60, 60)]
    places += range(400)

    def case(dice: random.Random) -> str:
        place = max(0, min(dice.choice(places), len(data) - 8)) if dice.random() < 0.9 else dice.randrange(len(data))
        change = bytearray(data[place : place + dice.choice((1, 2, 4, 8))])
        kept = bytes(change)
        for at in range(len(change)):
            change[at] = dice.choice((change[at] ^ 1 << dice.randrange(8), 0, 1, 4, 8, 0x0F, 0x7F, 0x84, 0xFF))
        data[place : place + len(kept)] = change
        try:
            end = dice.randrange(len(data)) if dice.random() < 0.1 else len(data)
            more = bytes(dice.randrange(4)) if dice.random() < 0.02 else b""
            read_resnet(data[:end] + more if end < len(data) or more else data)  # type: ignore[arg-type]
        except ConfigurationError:
            return "refused"
        finally:
            data[place : place + len(kept)] = kept
        return "read"

    return case


def _all(data: bytes | bytearray, token: bytes) -> list[int]:
    places, at = [], data.find(token)
    while at >= 0:
        places.append(at)
        at = data.find(token, at + 1)
    return places


def face_api(folder: Path) -> Case:
    """A manifest of three small tensors, one of them quantised, in two shards."""
    logging.disable()  # the warning about unknown weights
    quantised = {"dtype": "uint8", "scale": 0.01, "min": -1.5}
    weights = [{"name": name, "shape": shape, "dtype": "float32"} for name, shape in SHAPES.items()]
    weights[0] |= {"quantization": quantised}
    shards = [f"{MODEL}_model-shard{i}" for i in (1, 2)]
    data = bytes(range(108)) + np.linspace(-1, 1, 8).astype("<f4").tobytes()
    manifest = json.dumps([{"weights": weights, "paths": shards}]).encode()
    tokens = [
        b"null", b"-1", b"1e400", b"NaN", b"1e308", b"[]", b"{}", b'""', b'"float32"', b'"uint8"', b'"int32"', b"0",
        b"1073741824", b"99999999999999999999", b"true", b'"../x"', b'"\\u0000"', b'"shape"', b'"paths"', b'"scale"',
        b'"min"', b"[" * 2000, shards[0].encode(), b'"/etc/passwd"', b'"' + b"x" * 300 + b'"', b".",
    ]  # fmt: skip
    texts, bytes_ = Mutator([manifest], tokens), Mutator([data], [b"\xff\xff\x80\x7f"])

    def case(dice: random.Random) -> str:
        joined = bytes_(dice) if dice.random() < 0.2 else data
        (folder / f"{MODEL}_model-weights_manifest.json").write_bytes(texts(dice))
        for shard, part in zip(shards, (joined[:60], joined[60:]), strict=True):
            (folder / shard).write_bytes(part)
        try:
            read = weight_manifest.read_weights(folder, MODEL)
            for name, shape in SHAPES.items():
                read.tensor(name, *shape)
        except ConfigurationError:
            return "refused"
        return "read"

    return case


def insightface(folder: Path) -> Case:
    insight_packs.tiny_pack(folder)
    recogniser, detector = (folder / name for name in ("tiny.onnx", "det_tiny.onnx"))
    tokens = [
        b"graph",
        b"input",
        b"Conv",
        b"picture",
        b"chips",
        b"ai.onnx",
        b"\x0a\xff\xff\xff\xff\x0f",
        b"\x12\0",
        b"\x08\x01",
    ]
    # The recogniser is 1.5 MB of weights: its ends hold the graph.
    whole = {path: path.read_bytes() for path in (recogniser, detector)}
    mutators = {path: Mutator([data[:2000]], tokens) for path, data in whole.items()}

    def case(dice: random.Random) -> str:
        path = dice.choice((recogniser, detector))
        data = mutators[path](dice) + whole[path][2000:]
        if dice.random() < 0.5:
            end = bytearray(data[-2000:])
            mutators[path].change(dice, end)
            data = data[:-2000] + end
        path.write_bytes(data)
        try:
            read_pack(folder)
        except ConfigurationError:
            return "refused"
        finally:
            path.write_bytes(whole[path])
        return "read"

    return case


def retail(folder: Path) -> Case:
    logging.disable()  # the warning about unknown weights
    retail_models.tiny_model(folder)
    xml, weights = (folder / f"{retail_models.STEM}{suffix}" for suffix in (".xml", ".bin"))
    data = weights.read_bytes()
    tokens = [
        b"<layer", b"</layer>", b"<edge", b'"0"', b'"1"', b'"-1"', b'"99999999999"', b'"1, 64, 1, 1"', b'"0, 0"',
        b'"2, 2"', b"<dim>", b"</dim>", b'"Const"', b'"Result"', b'"Convert"', b'"PReLU"', b'"GroupConvolution"',
        b'"f32"', b'"i64"', b"<!DOCTYPE net [", b"&lt;", b"&e;", b"<![CDATA[", b"\0", b"\xff", b'shape=""',
        b"<a>" * 500, b'"9, 9, 9, 9, 9, 9"', b'version="10"',
    ]  # fmt: skip
    texts, bytes_ = Mutator([xml.read_bytes()], tokens), Mutator([data], [b"\0\x7c", b"\0\xfe"])

    def case(dice: random.Random) -> str:
        xml.write_bytes(texts(dice))
        weights.write_bytes(bytes_(dice) if dice.random() < 0.2 else data)
        try:
            read_model(xml, weights)
        except ConfigurationError:
            return "refused"
        return "read"

    return case


def prepare(reader: str) -> Case:
    if reader == "dlib":
        return dlib()
    folder = Path(tempfile.mkdtemp(dir="."))  # inside the parent's folder, which is removed
    return {"faceapi": face_api, "insightface": insightface, "retail": retail}[reader](folder)
