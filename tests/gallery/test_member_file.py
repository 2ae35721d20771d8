"""Members are read as Python's parser reads the whole file, wherever the pieces that are read end."""

from __future__ import annotations

import io
import json
import random
from typing import Any

import pytest

from face128.errors import InvalidRequest
from face128.gallery.transfer import member_file
from face128.gallery.transfer.member_file import MemberFile, is_json

MEMBERS: list[Any] = [
    {"regNo": 1, "name": 'Zoë "Z" 😀', "descriptor": [0.25, -1.5e-07, 1e300, 7], "faces": [{"metadata": {}}]},
    {"regNo": 12345678901234567890, "name": None, "descriptors": ["AAAA", "\\"]},
    -2.5e-07,
    "text",
    [],
    {"regNo": "x" * 50, "deep": [[[{}]], {"a": {"b": []}}]},
]


def read(data: bytes) -> tuple[list[Any], Any]:
    file = MemberFile(io.BytesIO(data))
    model = file.model
    blocks = list(file.blocks())
    members = [member for block in blocks for member in block.members]
    assert members == [member for block in blocks for member in json.loads(block.text)]
    assert [block.first for block in blocks] == [sum(len(b.members) for b in blocks[:at]) for at in range(len(blocks))]
    assert file.model == model
    assert [member for block in file.blocks() for member in block.members] == members  # again
    return members, model


@pytest.mark.parametrize("piece", [1, 2, 3, 5, 17, 64, 2**20])
@pytest.mark.parametrize("indent", [None, 1, 20])
def test_every_shape_is_read_in_pieces_of_any_size(monkeypatch: pytest.MonkeyPatch, piece: int, indent: Any) -> None:
    monkeypatch.setattr(member_file, "PIECE_BYTES", piece)
    monkeypatch.setattr(member_file, "BLOCK_MEMBERS", 2)
    for ascii_only in (True, False):

        def written(value: Any) -> str:
            return json.dumps(value, indent=indent, ensure_ascii=ascii_only)  # noqa: B023

        lines = [{"regNo": place, "value": member} for place, member in enumerate(MEMBERS)]
        texts = [
            (written(MEMBERS), MEMBERS, None),
            (written({"enrolled": MEMBERS, "model": "m"}), MEMBERS, "m"),
            (written({"model": "m", "note": [1, {}], "enrolled": MEMBERS}), MEMBERS, "m"),
            ("\n".join(json.dumps(line, ensure_ascii=ascii_only) for line in lines) + "\r\n\n", lines, None),
            (written(lines[0]), lines[:1], None),
            (f" {written([])} \n", [], None),
            (written({"enrolled": []}), [], None),
        ]
        for text, members, model in texts:
            for encoding in ("utf-8", "utf-8-sig", "utf-16", "utf-32-le"):
                data = text.encode(encoding)
                assert read(data) == (members, model)
                assert is_json(data)


def test_damage_is_found_wherever_it_is() -> None:
    text = json.dumps({"model": "m", "enrolled": MEMBERS}).encode()
    chosen = random.Random(1)
    for _ in range(400):
        at, damage = chosen.randrange(len(text)), chosen.choice([b"", b"}", b"]", b",", b"x", b'"'])
        damaged = text[:at] + damage + text[at + 1 :]
        try:
            wanted = json.loads(damaged).get("enrolled")
        except (ValueError, AttributeError):
            wanted = None
        if isinstance(wanted, list):
            assert read(damaged)[0] == wanted
        else:
            with pytest.raises(InvalidRequest):
                read(damaged)


@pytest.mark.parametrize(
    ("data", "field"),
    [
        (b'[{"regNo": 1}, {"regNo": 2}, {"regNo": ]', "enrolled[2]"),
        (b'{"enrolled": [{"regNo": 1}, {"regNo": 2', "enrolled[1]"),
        (b'{"regNo": 1}\n{"regNo": 2}\n{"regNo"\n', "enrolled[2]"),
        (b'[{"regNo": 1} {"regNo": 2}]', "enrolled[1]"),
        (b'[{"regNo": 1}] x', None),
        (b'{"members": []}', None),
        (b'{"enrolled": {}}', None),
        (b'{"enrolled": [], "enrolled": []}', "enrolled"),
        (b"7", None),
        (b"[" * 100_000, "enrolled[0]"),
        (b"[1" + 5000 * b"1" + b"]", "enrolled[0]"),
        ("[{}, ".encode("utf-16") + b"\x00\xd8\x00\x00", None),
    ],
)
def test_an_error_says_where(data: bytes, field: str | None) -> None:
    with pytest.raises(InvalidRequest) as refused:
        list(MemberFile(io.BytesIO(data)).blocks())
    assert refused.value.context.get("field") == field


def test_a_member_without_an_end_is_not_read_into_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(member_file, "MAX_MEMBER_CHARACTERS", 2**22)
    file = io.BytesIO(b'[{"name": "' + bytes(2**24).replace(b"\0", b"x"))
    with pytest.raises(InvalidRequest, match="more than 4194304 characters"):
        list(MemberFile(file).blocks())
    assert file.tell() < 2**23 + 2**22


def test_a_table_is_no_json() -> None:
    assert not is_json(b"regNo,name\n1,x\n")
    assert not is_json(b"")
