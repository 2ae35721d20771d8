"""The formats of --out: a body of /match in JSON, a table in CSV, or members for @face128/client, one a line."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from functools import partial
from typing import Any, TextIO

from face128.domain.descriptors import from_base64
from face128.domain.model_card import FACEAPI, ModelCard
from face128.jobs.reencode.results import EncodedMember

CSV_COLUMNS = ("regNo", "name", "photo", "model", "descriptor")


Writer = Callable[[TextIO, list[EncodedMember], ModelCard], None]
FIRST_BYTES = {
    "json": b"{",
    "csv": ",".join(CSV_COLUMNS).encode(),
    "jsonl": b'{"regNo": ',
    "sql": b"-- face128 reencode",
}
"""With which every file of a format begins."""


def file_writer(name: str, *, base64: bool) -> Writer:
    """``base64``: descriptors in base64 of float32, not every number in full. ``sql`` is a DescriptorColumn's."""
    writer = {"csv": _write_csv, "jsonl": _write_jsonl}.get(name, _write_match_body)
    return partial(writer, base64=base64)


def descriptor_json(descriptor: str, *, base64: bool) -> Any:
    """A descriptor in base64 as a value of JSON."""
    return descriptor if base64 else from_base64(descriptor).tolist()


def descriptor_text(descriptor: str, *, base64: bool) -> str:
    """A descriptor in base64 as the text of a column: JSON, or base64."""
    return descriptor if base64 else json.dumps(from_base64(descriptor).tolist())


def _write_match_body(file: TextIO, members: list[EncodedMember], card: ModelCard, *, base64: bool) -> None:
    """A body of /match without a probe, with one member a line."""
    head = json.dumps({"model": card.name, "pipeline": card.pipeline, "note": _note(card)}).removesuffix("}")
    file.write(f'{head}, "enrolled": [\n')
    file.write(",\n".join(_to_json(member, base64) for member in members) + "\n]}\n")


def _to_json(member: EncodedMember, base64: bool) -> str:
    """``descriptor`` is null if every photo failed: not enrolled yet. ``faces``: as in an export of the gallery."""
    values = [descriptor_json(descriptor, base64=base64) for descriptor in member.descriptors]
    fields = {"descriptors": values} if len(values) > 1 else {"descriptor": values[0] if values else None}
    faces = [{"photo_facts": facts} for facts in member.photo_facts]
    known = {"faces": faces} if any(member.photo_facts) else {}
    return json.dumps({"regNo": member.reg_no, "name": member.name, **fields, **known}, ensure_ascii=False)


def _note(card: ModelCard) -> str:
    if card.name == FACEAPI.name:
        return "In a member of @face128/client, these numbers belong in the field descriptor."
    field = f"descriptors['{card.name}']"
    return f"In a member of @face128/client, these numbers belong in {field}: its field descriptor is face-api.js's."


def _write_jsonl(file: TextIO, members: list[EncodedMember], card: ModelCard, *, base64: bool) -> None:
    """One line for each photo with a descriptor: a member as @face128/client takes it."""
    for member in members:
        for descriptor in member.descriptors:
            value = {card.name: descriptor_json(descriptor, base64=base64)}
            line = {"regNo": member.reg_no, "name": member.name, "descriptors": value}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_csv(file: TextIO, members: list[EncodedMember], card: ModelCard, *, base64: bool) -> None:
    """One row for each photo with a descriptor."""
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for member in members:
        for photo, descriptor in zip(member.photos, member.descriptors, strict=True):
            text = descriptor_text(descriptor, base64=base64)
            writer.writerow((member.reg_no, member.name, photo.photo, card.name, text))


write_match_body = file_writer("json", base64=False)
