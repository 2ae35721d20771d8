"""What the OpenAPI document says of every route alike, where FastAPI would say it wrongly or not at all."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI

from face128.settings import Settings

_HEADERS = {
    "X-Request-ID": "The caller's own id, or a new one; it stands in the log.",
    "Retry-After": "Seconds to wait before the next try.",
    "WWW-Authenticate": "Bearer.",
}
_SOME = {"Retry-After": ("429", "503"), "WWW-Authenticate": ("401",)}
"""Headers that come with these statuses only."""


class Documented(FastAPI):
    """FastAPI with a document that is true of this service. ``app.state.service`` is set before it is asked for."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            document = super().openapi()
            settings = self.state.service.settings
            for path in document["paths"].values():
                for operation in path.values():
                    _correct(operation, settings)
            components = document["components"]
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
            components["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, text in _HEADERS.items()
            }
        assert self.openapi_schema is not None
        return self.openapi_schema


def _correct(operation: dict[str, Any], settings: Settings) -> None:
    if not settings.api_keys:
        operation.pop("security", None)
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "engine":
            parameter["schema"] = {"type": "string", "enum": list(settings.engines), "title": "Engine"}
    answers = operation["responses"]
    # FastAPI announces its own shape of 422 for every route with a parameter. It never leaves this service.
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    answers["500"] = {"description": "`internal`, with an `id` that stands in the log", "content": problem}
    for status, answer in answers.items():
        answer["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"}
            for name in _HEADERS
            if name not in _SOME or status in _SOME[name]
        }
