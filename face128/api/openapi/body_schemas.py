"""Schemas of the request bodies for OpenAPI.

The example of /match has descriptors of the photos in fixtures/: "Try it out" in /docs gives a match.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

_EXAMPLE: dict[str, Any] = json.loads(files("face128.api.openapi").joinpath("match_example.json").read_text())

_DESCRIPTOR = {
    "description": "128 numbers (512 for an InsightFace model), the object that JSON.stringify(Float32Array) makes, "
    "or base64 of little-endian float32.",
    "anyOf": [
        {"type": "array", "items": {"type": "number"}, "minItems": 128, "maxItems": 128},
        {"type": "array", "items": {"type": "number"}, "minItems": 512, "maxItems": 512},
        {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{1,3}$"},
            "additionalProperties": {"type": "number"},
            "minProperties": 128,
            "maxProperties": 512,
        },
        # 4 bytes for each of 128 to 512 numbers.
        {"type": "string", "contentEncoding": "base64", "minLength": 684, "maxLength": 2732},
    ],
}

_NULL = {"type": "null"}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*schema.get("anyOf", [schema]), _NULL]}


_MEMBER = {
    "type": "object",
    "required": ["regNo"],
    "properties": {
        "regNo": {"anyOf": [{"type": "number"}, {"type": "string"}]},
        "name": _or_null({"type": "string"}),
        "descriptor": _or_null(_DESCRIPTOR),
        "descriptors": _or_null({"type": "array", "items": _DESCRIPTOR}),
        "model": _or_null({"type": "string"}),
    },
}

_ALPHA = _or_null({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})


def _decision(rule: str, alpha: dict[str, Any]) -> dict[str, Any]:
    return {"type": "object", "required": ["rule"], "properties": {"rule": {"const": rule}, "alpha": alpha}}


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
                    "threshold": _or_null({"type": "number", "exclusiveMinimum": 0, "maximum": 2}),
                    "model": _or_null({"type": "string"}),
                    "decision": {"anyOf": [_decision("threshold", _NULL), _decision("cohort", _ALPHA), _NULL]},
                },
            },
            "example": _EXAMPLE,
        }
    },
}

_FILE = {"type": "string", "format": "binary"}
_BASE64 = {"type": "string", "contentEncoding": "base64", "minLength": 1}


def _object(**properties: Any) -> dict[str, Any]:
    return {"schema": {"type": "object", "required": list(properties), "properties": properties}}


def _body(**content: Any) -> dict[str, Any]:
    media_types = {"form": "multipart/form-data", "json": "application/json"}
    return {"required": True, "content": {media_types[kind]: schema for kind, schema in content.items()}}


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


_CONTROL_CHARACTERS = r"\x00-\x1f\x7f-\x9f"
_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": rf"^[^{_CONTROL_CHARACTERS}]*[^\s{_CONTROL_CHARACTERS}][^{_CONTROL_CHARACTERS}]*$",
}
USER_ID = {**_NAME, "pattern": rf"^[^\s{_CONTROL_CHARACTERS}]([^{_CONTROL_CHARACTERS}]*[^\s{_CONTROL_CHARACTERS}])?$"}

RECORD = _form(
    ["image", "name"],
    image=_FILE,
    name=_NAME,
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
    name=_NAME,
    files={"type": "array", "items": _FILE, "minItems": 1, "maxItems": 4},
)


def _link(method: str, path: str, parameter: str, value: str) -> dict[str, Any]:
    reference = f"#/paths/{path.replace('/', '~1')}/{method}"
    return {"operationRef": reference, "parameters": {parameter: value}}


_RECORD = ("/records/{record_id}", "record_id", "$response.body#/record/id")
RECORD_LINKS = {"read": _link("get", *_RECORD), "erase": _link("delete", *_RECORD)}
ENROL_LINKS = {"erase": _link("delete", "/enroll_faces/{user_id}", "user_id", "$request.path.user_id")}
"""OpenAPI links: which route takes a value of this answer."""
