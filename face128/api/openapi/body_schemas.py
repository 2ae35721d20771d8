"""Schemas of the request bodies, as FastAPI's ``openapi_extra`` takes them.

The example of /match has descriptors of the photos in fixtures/: "Try it out" in /docs gives a match.
"""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from face128.domain.model_card import MAX_MODELS
from face128.match_body.uploaded_list import DIGEST

_EXAMPLE: dict[str, Any] = json.loads(files("face128.api.openapi").joinpath("match_example.json").read_text())

_DESCRIPTOR = {"$ref": "#/components/schemas/Descriptor"}
_DESCRIPTORS = {"$ref": "#/components/schemas/Descriptors"}
_MEMBER = {"$ref": "#/components/schemas/Member"}

_DESCRIPTOR_SCHEMA = {
    "description": "128 numbers (256 of retail, 512 of an InsightFace model), the object that "
    "JSON.stringify(Float32Array) makes, base64 of little-endian float32, or the first two as JSON text.",
    "anyOf": [
        {"type": "array", "items": {"type": "number"}, "minItems": 128, "maxItems": 512},
        {
            "type": "object",
            "propertyNames": {"pattern": "^[0-9]{1,3}$"},
            "additionalProperties": {"type": "number"},
            "minProperties": 128,
            "maxProperties": 512,
        },
        {"type": "string", "minLength": 257},  # the shortest is a list of 128 digits as JSON text
    ],
}

_NULL = {"type": "null"}
_THRESHOLD = {"type": "number", "exclusiveMinimum": 0, "maximum": 2}

_MODEL = r"(dlib-resnet-v1|faceapi-resnet-v1|retail-0095|retail-[0-9a-f]{8}|insightface-[A-Za-z0-9_]{1,40}-[0-9a-f]{8})"
_BY_MODEL = {"type": "object", "propertyNames": {"pattern": f"^{_MODEL}$"}, "maxProperties": MAX_MODELS}
_DESCRIPTORS_SCHEMA = {
    "description": "Several descriptors: a list of one model's, or an object with those of each model, by its name. In "
    "its lists, those at the same place are of one photo; null keeps a place empty.",
    "anyOf": [
        {"type": "array", "items": _DESCRIPTOR},
        _BY_MODEL
        | {
            "additionalProperties": {
                "anyOf": [_DESCRIPTOR, {"type": "array", "items": {"anyOf": [_DESCRIPTOR, _NULL]}}, _NULL]
            }
        },
        _NULL,
    ],
}
_THRESHOLDS = {
    "description": "The greatest distance: a number for the probe's own model, or an object with one for each model; a "
    "pair is dlib-resnet-v1+retail-0095.",
    "anyOf": [
        _THRESHOLD,
        {
            "type": "object",
            "propertyNames": {"pattern": rf"^{_MODEL}(\+{_MODEL})?$"},
            "additionalProperties": {"anyOf": [_THRESHOLD, _NULL]},
            "minProperties": 1,
        },
        _NULL,
    ],
}


def _object(*optional: str, **properties: Any) -> dict[str, Any]:
    required = [name for name in properties if name not in optional]
    return {"type": "object", "required": required, "properties": properties}


def _probe(*optional: str, **properties: Any) -> dict[str, Any]:
    """An object that has ``descriptor``, ``descriptors`` or both."""
    properties = {"descriptor": _DESCRIPTOR, "descriptors": _DESCRIPTORS} | properties
    return {"anyOf": [_object(each, *optional, **properties) for each in ("descriptors", "descriptor")]}


def _or_null(schema: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [*schema.get("anyOf", [schema]), _NULL]}


_TEXT_OR_NULL = _or_null({"type": "string"})
_NOT_ENROLLED = {"enum": ["", None], "description": "Not enrolled yet."}
_MEMBER_SCHEMA = _object(
    *("name", "descriptor", "descriptors", "model"),
    regNo={"anyOf": [{"type": "number"}, {"type": "string"}]},
    name=_TEXT_OR_NULL,
    descriptor={"anyOf": [_DESCRIPTOR, {"type": "array", "items": {"type": "number"}, "maxItems": 0}, _NOT_ENROLLED]},
    descriptors=_DESCRIPTORS,
    model=_TEXT_OR_NULL,
)
COMPONENTS = {"Descriptor": _DESCRIPTOR_SCHEMA, "Descriptors": _DESCRIPTORS_SCHEMA, "Member": _MEMBER_SCHEMA}
_ALPHA = _or_null({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1})
_RISK = {"tail": _or_null({"enum": ["exact", "estimate"]}), "review_alpha": _ALPHA}
_THRESHOLD_RULE = _object("alpha", *_RISK, rule={"const": "threshold"}, alpha=_NULL, **_RISK)
_COHORT_RULE = _object("alpha", *_RISK, rule={"const": "cohort"}, alpha=_ALPHA, **_RISK)
_FILE = {"type": "string", "format": "binary"}
_BASE64 = {"type": "string", "contentEncoding": "base64", "minLength": 1}


def _body(*, form: dict[str, Any] | None = None, json: dict[str, Any] | None = None, **example: Any) -> dict[str, Any]:
    schemas = {"multipart/form-data": form, "application/json": json}
    content = {media_type: {"schema": schema, **example} for media_type, schema in schemas.items() if schema}
    return {"requestBody": {"required": True, "content": content}}


_MATCH = _probe(
    *("enrolled", "enrolled_ref", "threshold", "model", "decision", "template"),
    enrolled_ref=_or_null({"type": "string", "pattern": f"^{DIGEST.pattern}$"}),
    enrolled={"type": "array", "items": _MEMBER},
    threshold=_THRESHOLDS,
    model=_TEXT_OR_NULL,
    decision={"anyOf": [_THRESHOLD_RULE, _COHORT_RULE, _NULL]},
    template=_or_null({"enum": ["nearest", "mean"]}),
)
MATCH_BODY = _body(json=_MATCH, example=_EXAMPLE)
LIST_BODY = _body(json={"type": "array", "items": _MEMBER}, example=_EXAMPLE["enrolled"])
IMAGE_BODY = _body(form=_object(image=_FILE), json=_object(image_base64=_BASE64))
TWO_IMAGES_BODY = _body(form=_object(image1=_FILE, image2=_FILE), json=_object(image1=_BASE64, image2=_BASE64))
TWO_DESCRIPTORS_BODY = _body(
    json=_object(embedding_a=_DESCRIPTOR, embedding_b=_DESCRIPTOR),
    example={"embedding_a": _EXAMPLE["descriptor"], "embedding_b": _EXAMPLE["enrolled"][0]["descriptor"]},
)
BATCH_BODY = _body(json=_object(images={"type": "array", "maxItems": 64, "items": _BASE64}))

_CONTROL_CHARACTERS = r"\x00-\x1f\x7f-\x9f"
_NAME = {
    "type": "string",
    "minLength": 1,
    "maxLength": 255,
    "pattern": rf"^[^{_CONTROL_CHARACTERS}]*[^\s{_CONTROL_CHARACTERS}][^{_CONTROL_CHARACTERS}]*$",
}
USER_ID = {**_NAME, "pattern": rf"^[^\s{_CONTROL_CHARACTERS}]([^{_CONTROL_CHARACTERS}]*[^\s{_CONTROL_CHARACTERS}])?$"}

_EXPIRES_AT = {"type": "string", "format": "date-time", "description": "When the person is to be erased."}
_CONSENT = {**_NAME, "maxLength": 500, "description": "A reference to the person's consent."}
_TERMS: dict[str, dict[str, Any]] = {"expires_at": _EXPIRES_AT, "consent": _CONSENT}
_FORM_TERMS = {field: {"anyOf": [schema, {"const": ""}]} for field, schema in _TERMS.items()}

PERSON_BODY = _body(
    json=_object("name", *_TERMS, name=_NAME, **{field: _or_null(schema) for field, schema in _TERMS.items()})
    | {"additionalProperties": False}
)
MERGE_BODY = _body(json=_object(into=_NAME) | {"additionalProperties": False})

JOB_ID = {"pattern": "^[A-Za-z0-9_-]{1,64}$"}
_COUNT = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}
JOB_BODY = _body(
    json=_object(
        *("failed", "errors"),
        state={"enum": ["running", "done", "failed", "interrupted"]},
        stage={"enum": ["encoding", "enrolling"]},
        total=_COUNT,
        done=_COUNT,
        failed=_COUNT,
        errors={
            "type": "object",
            "description": "How many failed, by code.",
            "propertyNames": {"pattern": "^[a-z0-9_]{1,64}$"},
            "additionalProperties": _COUNT,
            "maxProperties": 50,
        },
    )
    | {"additionalProperties": False, "description": "done and failed are no more than total."}
)

_METADATA = {"type": "string", "contentMediaType": "application/json", "example": '{"department": "Engineering"}'}
RECORD_BODY = _body(form=_object("metadata", *_TERMS, image=_FILE, name=_NAME, metadata=_METADATA, **_FORM_TERMS))
_TOP_K = {"type": "integer", "minimum": 1, "maximum": 2**31 - 1, "default": 5, "description": "Above 100: 100."}
RECORD_MATCH_BODY = _body(form=_object("top_k", "threshold", image=_FILE, top_k=_TOP_K, threshold=_THRESHOLD))
_ENROL = _object(
    "reg_no_type",
    *_TERMS,
    name=_NAME,
    files={"type": "array", "items": _FILE, "minItems": 1, "maxItems": 4},
    reg_no_type={"enum": ["number", "string"], "description": "JSON type of the regNo that /match answers."},
    **_FORM_TERMS,
)
ENROL_BODY = _body(form=_ENROL)

_VERIFY_PHOTO = _object("threshold", image_base64=_BASE64, threshold=_THRESHOLDS)
_VERIFY_DESCRIPTOR = _probe("model", "threshold", model=_TEXT_OR_NULL, threshold=_THRESHOLDS)
VERIFY_BODY = _body(
    form=_object("threshold", image=_FILE, threshold=_THRESHOLD),
    json={"anyOf": [_VERIFY_PHOTO, _VERIFY_DESCRIPTOR]},
)


# OpenAPI links: which route takes a value of this answer.
_RECORD_ID = {"record_id": "$response.body#/record/id"}
RECORD_LINKS = {
    "read": {"operationRef": "#/paths/~1records~1{record_id}/get", "parameters": _RECORD_ID},
    "erase": {"operationRef": "#/paths/~1records~1{record_id}/delete", "parameters": _RECORD_ID},
}
_ERASE_USER = "#/paths/~1enroll_faces~1{user_id}/delete"
ENROL_LINKS = {"erase": {"operationRef": _ERASE_USER, "parameters": {"user_id": "$request.path.user_id"}}}
