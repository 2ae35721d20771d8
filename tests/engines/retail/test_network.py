"""The networks of IR files give what OpenVINO itself gives."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from lfw import LFW, needs_lfw
from retail_models import openvino_descriptors, real_model, tiny_model

from face128.domain.model_card import find_card
from face128.engines.loader import load_engine
from face128.engines.retail.engine import RetailEngine
from face128.photos.photo import open_photo
from face128.settings import Settings

# OpenVINO 2026.4.1's first numbers for the tiny network (seed 0) and the first of ``noise_chips``.
TINY_GOLDEN = (-0.0845632, 0.0331422, 0.1104503, -0.0466408, -0.0334844, -0.0178949, 0.1816996, -0.0612495)


def load(folder: Path) -> RetailEngine:
    engine = load_engine("retail", Settings(retail_model=folder))
    assert isinstance(engine, RetailEngine)
    return engine


def noise_chips(count: int) -> np.ndarray:
    """Coarse coloured noise of very different contrast, the darkest first."""
    noise = np.random.default_rng(6).integers(0, 256, (count, 16, 16, 3)).repeat(8, 1).repeat(8, 2)
    return (noise * np.linspace(0.2, 1, count)[:, None, None, None]).astype(np.uint8)


def test_a_network_gives_what_openvino_gave(tmp_path: Path) -> None:
    first = load(tiny_model(tmp_path)).describe(noise_chips(1))[0]
    assert np.abs(first[: len(TINY_GOLDEN)] - TINY_GOLDEN).max() < 1e-5


@pytest.mark.parametrize("dtype", ["f16", "f32"])
def test_a_tiny_network_gives_what_openvino_gives(tmp_path: Path, dtype: str) -> None:
    folder, chips = tiny_model(tmp_path, dtype=dtype), noise_chips(9)
    expected = openvino_descriptors(folder, chips)
    assert np.linalg.norm(load(folder).describe(chips) - expected, axis=1).max() < 1e-5
    assert np.linalg.norm(load(folder).describe(chips[..., ::-1]) - expected, axis=1).min() > 0.01


@needs_lfw
def test_the_real_network_gives_what_openvino_gives_on_200_faces() -> None:
    folder = real_model()
    engine = load(folder)
    chips = []
    for path in sorted(LFW.rglob("*.jpg"))[:215]:
        photo = open_photo(path.read_bytes())
        chips.extend(engine.crop(photo, engine.detect(photo)[:1]))
    faces = np.array(chips[:200])
    assert len(faces) == 200
    distances = np.linalg.norm(engine.describe(faces) - openvino_descriptors(folder, faces), axis=1)
    assert distances.max() < 1e-5


def test_the_real_file_is_known_and_has_no_warning(caplog: pytest.LogCaptureFixture) -> None:
    card = load(real_model()).card
    assert (card.name, card.dimension, card.metric) == ("retail-0095", 256, "cosine")
    assert caplog.records == []


def test_another_file_is_another_model_with_a_warning(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    first, same, other = (load(tiny_model(tmp_path / str(i), seed)).card.name for i, seed in enumerate((0, 0, 1)))
    assert first == same != other
    card = find_card(first)
    assert card is not None
    assert (card.name, card.dimension, card.metric) == (first, 256, "cosine")
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 3
    assert first in caplog.messages[0]


def test_a_chip_gets_the_same_descriptor_of_length_1_in_any_batch(tmp_path: Path) -> None:
    engine, chips = load(tiny_model(tmp_path)), noise_chips(19)
    alone = np.concatenate([engine.describe(chip[None]) for chip in chips])
    assert alone.shape == (19, 256)
    assert alone.dtype == np.float32
    assert np.abs(engine.describe(chips) - alone).max() < 1e-6
    assert np.abs(np.linalg.norm(alone, axis=1) - 1).max() < 1e-6
    assert engine.describe(chips[:0]).shape == (0, 256)
