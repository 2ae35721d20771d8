"""Request bodies for OpenAPI, with descriptors of the photos in fixtures/: "Try it out" in /docs gives a match."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_BODY: dict[str, Any] = json.loads(files("face128.api").joinpath("match_example.json").read_text())

_DESCRIPTOR = {
    "description": "128 numbers, the object of JSON.stringify(Float32Array), or base64 of little-endian float32.",
    "anyOf": [
        {"type": "array", "items": {"type": "number"}, "minItems": 128, "maxItems": 128},
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
                "required": ["descriptor", "enrolled"],
                "properties": {
                    "descriptor": _DESCRIPTOR,
                    "enrolled": {"type": "array", "items": _MEMBER},
                    "threshold": {"type": "number", "exclusiveMinimum": 0, "maximum": 2},
                    "model": {"type": "string"},
                },
            },
            "example": _BODY,
        }
    },
}

IMAGE: dict[str, Any] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["image"],
                "properties": {"image": {"type": "string", "format": "binary"}},
            }
        },
        "application/json": {
            "schema": {
                "type": "object",
                "required": ["image_base64"],
                "properties": {"image_base64": {"type": "string", "contentEncoding": "base64"}},
            }
        },
    },
}
