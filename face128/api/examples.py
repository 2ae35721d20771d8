"""Request bodies for OpenAPI, with descriptors of the photos in fixtures/: "Try it out" in /docs gives a match."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_EXAMPLE: dict[str, Any] = json.loads(files("face128.api").joinpath("match_example.json").read_text())

_DESCRIPTOR = {
    "description": "128 numbers (512 of an InsightFace model), the object of JSON.stringify(Float32Array), or base64 "
    "of little-endian float32.",
    "anyOf": [
        {"type": "array", "items": {"type": "number"}, "minItems": 128, "maxItems": 512},
        {"type": "object", "additionalProperties": {"type": "number"}},
        {"type": "string", "contentEncoding": "base64"},
    ],
}

_MEMBER = {
    "type": "object",
    "required": ["regNo"],
    "properties": {
        "regNo": {"anyOf": [{"type": "number"}, {"type": "string"}]},
        "name": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "descriptor": {"anyOf": [*_DESCRIPTOR["anyOf"], {"type": "null"}]},
        "descriptors": {"type": "array", "items": _DESCRIPTOR},
        "model": {"type": "string"},
    },
}

MATCH: dict[str, Any] = {
    "required": True,
    "content": {
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["descriptor"],
                "properties": {
                    "descriptor": _DESCRIPTOR,
                    "enrolled": {"type": "array", "items": _MEMBER},
                    "threshold": {"type": "number", "exclusiveMinimum": 0, "maximum": 2},
                    "model": {"type": "string"},
                    "decision": {
                        "type": "object",
                        "required": ["rule"],
                        "properties": {
                            "rule": {"enum": ["threshold", "cohort"]},
                            "alpha": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                        },
                    },
                },
            },
            "example": _EXAMPLE,
        }
    },
}

_FILE = {"type": "string", "format": "binary"}
_BASE64 = {"type": "string", "contentEncoding": "base64"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"schema": {"type": "object", "required": list(properties), "properties": properties}}


def _body(**content: Any) -> dict[str, Any]:
    kinds = {"form": "multipart/form-data", "json": "application/json"}
    return {"required": True, "content": {kinds[kind]: schema for kind, schema in content.items()}}


IMAGE = _body(form=_object(image=_FILE), json=_object(image_base64=_BASE64))
TWO_IMAGES = _body(form=_object(image1=_FILE, image2=_FILE), json=_object(image1=_BASE64, image2=_BASE64))
TWO_DESCRIPTORS = _body(
    json={
        **_object(embedding_a=_DESCRIPTOR, embedding_b=_DESCRIPTOR),
        "example": {"embedding_a": _EXAMPLE["descriptor"], "embedding_b": _EXAMPLE["enrolled"][0]["descriptor"]},
    }
)
BATCH = _body(json=_object(images={"type": "array", "maxItems": 64, "items": _BASE64}))


def _form(required: list[str], **properties: dict[str, Any]) -> dict[str, Any]:
    schema = {"type": "object", "required": required, "properties": properties}
    return {"required": True, "content": {"multipart/form-data": {"schema": schema}}}


_FILE = {"type": "string", "format": "binary"}
RECORD = _form(
    ["image", "name"],
    image=_FILE,
    name={"type": "string", "maxLength": 255},
    metadata={"type": "string", "contentMediaType": "application/json", "example": '{"department": "Engineering"}'},
)
RECORD_MATCH = _form(
    ["image"],
    image=_FILE,
    top_k={"type": "integer", "minimum": 1, "maximum": 100, "default": 5},
    threshold={"type": "number", "exclusiveMinimum": 0, "maximum": 2},
)
ENROL = _form(
    ["name", "files"],
    name={"type": "string", "maxLength": 255},
    files={"type": "array", "items": _FILE, "minItems": 1, "maxItems": 4},
)
