"""Tiny packs with known results: what is read, how it runs, and what is refused."""

from __future__ import annotations

import shutil
from pathlib import Path

import insight_packs
import numpy as np
import onnx
import pytest

from face128.domain.model_card import find_card
from face128.engines.insightface.engine import InsightfaceEngine
from face128.engines.insightface.pack import read_pack
from face128.engines.loader import load_engine
from face128.errors import ConfigurationError
from face128.photos.photo import Photo
from face128.settings import Settings


def bright_cells(side: int, stride: int, *cells: tuple[int, int]) -> Photo:
    """A black photo with white cells at (column, row)."""
    pixels = np.zeros((side, side, 3), np.uint8)
    for column, row in cells:
        pixels[row * stride : (row + 1) * stride, column * stride : (column + 1) * stride] = 255
    return Photo.from_rgb(pixels)


def chips(count: int) -> np.ndarray:
    """Of very different contrast, the darkest first."""
    noise = np.random.default_rng(6).integers(0, 256, (count, 112, 112, 3))
    return (noise * np.linspace(0.2, 1, count)[:, None, None, None]).astype(np.uint8)


@pytest.mark.parametrize("batched", [False, True])
@pytest.mark.parametrize("stride", [8, 16, 32])
def test_a_face_is_where_its_cell_says(tmp_path: Path, stride: int, batched: bool) -> None:
    insight_packs.tiny_pack(tmp_path)
    insight_packs.write_detector(tmp_path / "det_tiny.onnx", bright=stride, batched=batched)
    (face,) = InsightfaceEngine(tmp_path, 320).detect(bright_cells(320, stride, (6, 3)))
    x, y = 6 * stride, 3 * stride
    left, top, right, bottom = (stride * side for side in insight_packs.CELL_BOX)
    assert face.box == (x - left, y - top, x + right, y + bottom)
    offsets = np.array(insight_packs.CELL_POINTS).reshape(5, 2) * stride
    assert face.points == tuple(complex(x + dx, y + dy) for dx, dy in offsets)
    assert face.confidence == pytest.approx(1 / (1 + np.exp(27.9 - 30 * 127.5 / 128)), abs=1e-4)


def test_a_box_is_scaled_back_to_the_photo(tmp_path: Path) -> None:
    small, large = (
        InsightfaceEngine(insight_packs.tiny_pack(tmp_path), 320).detect(bright_cells(320 * n, 32 * n, (6, 3)))[0]
        for n in (1, 3)
    )
    # A cell of 32 pixels holds 4x4 cells of the smallest stride: of their overlapping boxes, the first is kept.
    assert large.box == tuple(3 * side for side in small.box)


def test_of_boxes_that_overlap_one_is_kept(tmp_path: Path) -> None:
    engine = InsightfaceEngine(insight_packs.tiny_pack(tmp_path), 320)
    assert len(engine.detect(bright_cells(320, 8, (6, 6), (7, 6)))) == 1
    assert len(engine.detect(bright_cells(320, 8, (6, 6), (9, 6)))) == 2


@pytest.mark.parametrize("kind", [{}, {"batch": 1}, {"quantised": True}], ids=["any batch", "one", "quantised"])
def test_a_chip_gets_the_same_descriptor_in_any_batch(tmp_path: Path, kind: dict[str, object]) -> None:
    engine = InsightfaceEngine(insight_packs.tiny_pack(tmp_path, **kind))
    many = chips(19)
    alone = np.concatenate([engine.describe(chip[None]) for chip in many])
    assert alone.shape == (19, 512)
    assert np.abs(engine.describe(many) - alone).max() < 1e-6
    assert np.allclose(np.linalg.norm(alone, axis=1), 1)
    assert np.linalg.norm(alone[0] - alone[-1]) > 0.1


def test_a_graph_that_scales_pixels_itself_gets_them_as_they_are(tmp_path: Path) -> None:
    plain, own = (
        InsightfaceEngine(insight_packs.tiny_pack(tmp_path / str(scales), own_scale=scales)) for scales in (False, True)
    )
    assert np.abs(plain.describe(chips(3)) - own.describe(chips(3))).max() < 1e-5


def test_another_file_is_another_model_even_under_the_same_name(tmp_path: Path) -> None:
    first, same, other = (
        read_pack(insight_packs.tiny_pack(tmp_path / name, own_scale=name == "other"))[1].model_name
        for name in ("first", "same", "other")
    )
    assert first == same != other
    assert first.startswith("insightface-tiny-")


def test_the_name_of_any_file_makes_a_name_that_match_knows(tmp_path: Path) -> None:
    insight_packs.tiny_pack(tmp_path)
    (tmp_path / "tiny.onnx").rename(tmp_path / f"gesichter für 'alle' {'x' * 60}.onnx")
    name = read_pack(tmp_path)[1].model_name
    assert len(name) <= 64
    card = find_card(name)
    assert card is not None
    assert (card.name, card.dimension, card.metric, card.threshold) == (name, 512, "cosine", 0.45)


@pytest.mark.parametrize("name", ["insightface", "insightface-", "insightface-x-1234567", "x", None, 7, ["dlib"]])
def test_a_name_that_no_engine_gives_is_not_known(name: object) -> None:
    assert find_card(name) is None


def test_other_networks_of_a_pack_are_ignored(tmp_path: Path) -> None:
    insight_packs.tiny_pack(tmp_path)
    for name, side in (("1k3d68", 192), ("genderage", 96), ("inswapper", 128)):
        insight_packs.save_model(
            tmp_path / f"{name}.onnx",
            [onnx.helper.make_node("Identity", ["in"], ["out"])],
            [],
            {"in": [1, 3, side, side]},
            ["out"],
        )
    assert [network.path.name for network in read_pack(tmp_path)] == ["det_tiny.onnx", "tiny.onnx"]


def empty(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.mkdir()


def truncate(name: str) -> object:
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:-1000])


def poison(folder: Path) -> None:
    """Weights that are not finite."""
    model = onnx.load(folder / "tiny.onnx")
    weights = next(constant for constant in model.graph.initializer if constant.name == "weights")
    weights.raw_data = np.full(768 * 512, np.nan, np.float32).tobytes()
    onnx.save(model, folder / "tiny.onnx")


DAMAGE = {
    "no folder": (lambda folder: shutil.rmtree(folder), "is not a folder"),
    "nothing in it": (empty, "no detector"),
    "no detector": (lambda folder: (folder / "det_tiny.onnx").unlink(), "no detector"),
    "no recogniser": (lambda folder: (folder / "tiny.onnx").unlink(), "no recogniser"),
    "a page instead": (lambda folder: (folder / "tiny.onnx").write_text("<html>404</html>"), "tiny.onnx"),
    "an empty file": (lambda folder: (folder / "tiny.onnx").write_bytes(b""), "no recogniser"),
    "half a detector": (truncate("det_tiny.onnx"), "det_tiny.onnx"),
    "half a recogniser": (truncate("tiny.onnx"), "tiny.onnx"),
    "a detector of one size": (
        lambda folder: insight_packs.write_detector(folder / "det_tiny.onnx", side=320),
        "FACE128_INSIGHTFACE_DETECTION_SIZE to 320",
    ),
    "128 numbers": (
        lambda folder: insight_packs.write_recogniser(folder / "tiny.onnx", dimension=128),
        "tiny.onnx.*512 numbers",
    ),
    "no numbers": (poison, "tiny.onnx"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_pack_that_cannot_be_used_is_one_sentence_without_a_path(tmp_path: Path, damage: str) -> None:
    folder = insight_packs.tiny_pack(tmp_path / "pack")
    break_it, sentence = DAMAGE[damage]
    break_it(folder)
    with pytest.raises(ConfigurationError, match=sentence) as refusal:
        load_engine("insightface", Settings(insightface_pack=folder))
    assert str(tmp_path) not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_detector_with_other_outputs_is_refused(tmp_path: Path) -> None:
    insight_packs.tiny_pack(tmp_path)
    nodes = [onnx.helper.make_node("Identity", ["in"], [f"out{i}"]) for i in range(9)]
    insight_packs.save_model(
        tmp_path / "det_tiny.onnx", nodes, [], {"in": [1, 3, "h", "w"]}, [f"out{i}" for i in range(9)]
    )
    with pytest.raises(ConfigurationError, match=r"det_tiny\.onnx"):
        InsightfaceEngine(tmp_path)


def test_without_a_pack_the_engine_says_what_to_set() -> None:
    with pytest.raises(ConfigurationError, match="FACE128_INSIGHTFACE_PACK"):
        load_engine("insightface", Settings())
