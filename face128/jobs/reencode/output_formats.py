"""The formats of --out: a body of /match in JSON, a table in CSV, or members for @face128/client, one a line.

With several models, a member's ``descriptors`` is an object by model, as /match and the client take it.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, TextIO

from face128.domain.descriptors import from_base64
from face128.domain.model_card import FACEAPI, ModelCard
from face128.jobs.reencode.results import EncodedMember

CSV_COLUMNS = ("regNo", "name", "photo", "model", "descriptor")


Writer = Callable[[TextIO, list[EncodedMember], Sequence[ModelCard]], None]
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


def _write_match_body(file: TextIO, members: list[EncodedMember], cards: Sequence[ModelCard], *, base64: bool) -> None:
    """A body of /match without a probe, with one member a line."""
    first = cards[0]
    several = {"pipelines": {card.name: card.pipeline for card in cards}} if len(cards) > 1 else {}
    head = json.dumps({"model": first.name, "pipeline": first.pipeline, **several, "note": _note(cards)})
    file.write(f'{head.removesuffix("}")}, "enrolled": [\n')
    file.write(",\n".join(_to_json(member, cards, base64) for member in members) + "\n]}\n")


def _to_json(member: EncodedMember, cards: Sequence[ModelCard], base64: bool) -> str:
    """``descriptor`` is null if every photo failed: not enrolled yet. ``faces``: as in an export of the gallery."""
    fields: dict[str, Any]
    if not member.descriptors:
        fields = {"descriptor": None}
    elif len(cards) > 1:
        fields = {"descriptors": _by_model(member, cards, base64)}
    else:
        values = [descriptor_json(descriptor, base64=base64) for descriptor in member.of_model(cards[0].name)]
        fields = {"descriptors": values} if len(values) > 1 else {"descriptor": values[0]}
    faces = [{"photo_facts": facts} for facts in member.photo_facts]
    known = {"faces": faces} if any(member.photo_facts) else {}
    return json.dumps({"regNo": member.reg_no, "name": member.name, **fields, **known}, ensure_ascii=False)


def _by_model(member: EncodedMember, cards: Sequence[ModelCard], base64: bool) -> dict[str, Any]:
    """Of several photos a list for each model, in the order of the photos; null for a photo that the model lacks."""
    found = {}
    for card in cards:
        texts = [photo.get(card.name) for photo in member.descriptors]
        values = [descriptor_json(text, base64=base64) if text else None for text in texts]
        if any(texts):
            found[card.name] = values if len(values) > 1 else values[0]
    return found


def _note(cards: Sequence[ModelCard]) -> str:
    if len(cards) > 1:
        return "A member of @face128/client takes these descriptors as they are, in its field descriptors."
    if cards[0].name == FACEAPI.name:
        return "In a member of @face128/client, these numbers belong in the field descriptor."
    field = f"descriptors['{cards[0].name}']"
    return f"In a member of @face128/client, these numbers belong in {field}: its field descriptor is face-api.js's."


def _write_jsonl(file: TextIO, members: list[EncodedMember], cards: Sequence[ModelCard], *, base64: bool) -> None:
    """One line for each photo with a descriptor: a member as @face128/client takes it."""
    for member in members:
        for by_model in member.descriptors:
            values = {model: descriptor_json(text, base64=base64) for model, text in by_model.items()}
            line = {"regNo": member.reg_no, "name": member.name, "descriptors": values}
            file.write(json.dumps(line, ensure_ascii=False) + "\n")


def _write_csv(file: TextIO, members: list[EncodedMember], cards: Sequence[ModelCard], *, base64: bool) -> None:
    """One row for each descriptor."""
    writer = csv.writer(file)
    writer.writerow(CSV_COLUMNS)
    for member in members:
        for photo, by_model in zip(member.photos, member.descriptors, strict=True):
            for model, descriptor in by_model.items():
                text = descriptor_text(descriptor, base64=base64)
                writer.writerow((member.reg_no, member.name, photo.photo, model, text))


write_match_body = file_writer("json", base64=False)
