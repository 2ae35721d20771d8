"""Which files are read, and the one sentence for those that cannot be used."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from retail_models import STEM, IrWriter, real_model, tiny_ir, tiny_model

from face128.engines.loader import load_engine
from face128.engines.retail.model_files import find_files
from face128.engines.retail.network import read_model
from face128.errors import ConfigurationError
from face128.settings import Settings

XML, BIN = f"{STEM}.xml", f"{STEM}.bin"


def test_the_setting_is_the_folder_or_either_file(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "model.v1")
    expected = folder / XML, folder / BIN
    for chosen in (folder, folder / XML, folder / BIN):
        assert find_files(chosen, tmp_path) == expected
    (folder / XML).rename(folder / "other.xml")
    assert find_files(folder, tmp_path) == (folder / "other.xml", folder / "other.bin")


def test_without_the_setting_the_files_in_the_data_folder_are_used(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"FACE128_RETAIL_MODEL.*face128 models add retail"):
        load_engine("retail", Settings(data=tmp_path))
    tiny_model(tmp_path / "models" / "retail")
    assert load_engine("retail", Settings(data=tmp_path)).card.name.startswith("retail-")


def change_xml(old: str, new: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        text = (folder / XML).read_text()
        assert old in text
        (folder / XML).write_text(text.replace(old, new, 1))

    return change


def cut(name: str, share: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        data = (folder / name).read_bytes()
        (folder / name).write_bytes(data[: int(len(data) * share)])

    return change


def replace(name: str, data: bytes) -> Callable[[Path], None]:
    return lambda folder: (folder / name).write_bytes(data) and None


def entity_bomb(folder: Path) -> None:
    levels = "".join(f'<!ENTITY e{i} "{f"&e{i - 1};" * 10}">' for i in range(1, 12))
    (folder / XML).write_text(f'<!DOCTYPE net [<!ENTITY e0 "x">{levels}]><net version="11">&e11;</net>')


def all_weights(number: float) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        size = (folder / BIN).stat().st_size
        (folder / BIN).write_bytes(np.full(size // 2, number, "<f2").tobytes())

    return change


def of_another_size(folder: Path) -> None:
    ir = IrWriter()
    picture = ir.add("Parameter", [], (1, 3, 128, 128), shape="1,3,128,128", element_type="f32")
    ir.add("Result", [ir.average(picture, 128, (1, 3, 1, 1))], None)
    ir.write(folder)


def bottomless(folder: Path) -> None:
    """A convolution of more work than any processor does in a second."""
    ir = IrWriter()
    image = ir.add("Parameter", [], (1, 3, 128, 128), shape="1,3,128,128", element_type="f32")
    for channels in (3, *[256] * 4):
        image = ir.convolve(image, np.zeros((256, channels, 3, 3)), (1, 256, 128, 128), stride=1, pad=1)
    ir.add("Result", [ir.average(image, 128, (1, 256, 1, 1))], None)
    ir.write(folder)


def one_constant_again_and_again(folder: Path) -> None:
    """Constants that share their bytes: small files that would fill the memory."""
    ir = IrWriter("f32")
    constant = ir.layers[ir.constant(np.zeros((1000, 1000), np.float32))]
    ir.layers += [constant.replace('id="0"', f'id="{i}"', 1) for i in range(1, 300)]
    ir.add("Parameter", [], (1, 3, 128, 128), shape="1,3,128,128", element_type="f32")
    ir.add("Result", [len(ir.layers) - 1], None)
    ir.write(folder)


def huge_sum(folder: Path) -> None:
    ir = IrWriter()
    picture = ir.add("Parameter", [], (1, 3, 128, 128), shape="1,3,128,128", element_type="f32")
    many = ir.constant(np.zeros((6000, 3, 1, 1)))
    ir.add("Result", [ir.add("Add", [picture, many], (6000, 3, 128, 128), auto_broadcast="numpy")], None)
    ir.write(folder)


DAMAGE = {
    "no folder": (shutil.rmtree, "FACE128_RETAIL_MODEL"),
    "no xml": (lambda folder: (folder / XML).unlink(), XML),
    "no bin": (lambda folder: (folder / BIN).unlink(), BIN),
    "a page instead": (replace(XML, b"<!DOCTYPE html><html>404</html>"), XML),
    "another file": (replace(XML, b"\x89PNG\r\n\x1a\n\xff\xfe" * 9), XML),
    "nothing": (replace(XML, b""), XML),
    "half the xml": (cut(XML, 0.5), "cut short"),
    "half the bin": (cut(BIN, 0.5), "ends too early"),
    "no weights": (replace(BIN, b""), "ends too early"),
    "infinite weights": (all_weights(np.inf), "not finite"),
    "weights without effect": (all_weights(0), BIN),
    "entities": (entity_bomb, "DOCTYPE"),
    "a huge file": (lambda folder: (folder / XML).write_bytes(b" " * (2 * 2**20 + 1)), "too large"),
    "the version before": (change_xml('version="11"', 'version="7"'), "version 10 or 11"),
    "an unknown layer": (change_xml('type="Sigmoid"', 'type="Tanh"'), "another kind"),
    "a circle": (change_xml('from-layer="0" ', 'from-layer="9" '), XML),
    "an edge to nowhere": (change_xml('from-layer="0" ', 'from-layer="99" '), "does not exist"),
    "a missing edge": (change_xml('to-port="1"', 'to-port="7"'), "edges"),
    "a far offset": (change_xml('offset="0"', 'offset="99999999"'), "ends too early"),
    "an offset that is no number": (change_xml('offset="0"', 'offset="-1"'), "offset"),
    "a huge number": (change_xml('offset="0"', f'offset="{"9" * 5000}"'), "offset"),
    "numbers of another type": (change_xml('element_type="f16"', 'element_type="u4"'), "unknown type"),
    "another stride": (change_xml('strides="2, 2"', 'strides="1, 1"'), "another size"),
    "no stride": (change_xml('strides="2, 2"', 'strides="0, 0"'), "Convolution"),
    "a wide margin": (change_xml('pads_begin="1, 1"', 'pads_begin="90000000, 1"'), "Convolution"),
    "a huge output": (change_xml("<dim>128</dim>", "<dim>99999999</dim>"), "size of an output"),
    "an automatic margin": (change_xml('auto_pad="explicit"', 'auto_pad="same_upper"'), "settings"),
    "3 numbers": (of_another_size, "256 numbers"),
    "too much work": (bottomless, "far larger"),
    "too many constants": (one_constant_again_and_again, "far larger"),
    "a huge sum": (huge_sum, "far larger"),
    "whole numbers": (change_xml('destination_type="f32"', 'destination_type="i32"'), "Convert"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_files_that_cannot_be_used_are_one_sentence_without_a_path(tmp_path: Path, damage: str) -> None:
    folder = tiny_model(tmp_path / "model")
    break_it, sentence = DAMAGE[damage]
    break_it(folder)
    with pytest.raises(ConfigurationError, match=re.escape(sentence)) as refusal:
        load_engine("retail", Settings(retail_model=folder))
    assert str(tmp_path) not in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_layers_may_come_in_any_order(tmp_path: Path) -> None:
    ir = tiny_ir()
    ir.write(tmp_path)
    _, graph = read_model(tmp_path / XML, tmp_path / BIN)
    ir.layers.reverse()
    ir.write(tmp_path)
    assert len(read_model(tmp_path / XML, tmp_path / BIN)[1]) == len(graph)


def test_a_real_file_that_is_cut_or_changed_is_refused_or_another_model(tmp_path: Path) -> None:
    shutil.copytree(real_model(), tmp_path / "model", dirs_exist_ok=True)
    xml, bin_ = tmp_path / "model" / XML, tmp_path / "model" / BIN
    (tmp_path / "model").chmod(0o700)
    for file in (xml, bin_):
        file.chmod(0o600)
    data = bytearray(bin_.read_bytes())
    data[1_000_000] ^= 1
    bin_.write_bytes(data)
    assert re.fullmatch(r"retail-[0-9a-f]{8}", read_model(xml, bin_)[0].name)
    bin_.write_bytes(data[:-1])
    with pytest.raises(ConfigurationError, match=BIN):
        read_model(xml, bin_)
