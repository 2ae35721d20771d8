"""Corrects and completes FastAPI's OpenAPI document, for all routes alike."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.routing import APIRoute

from face128.api.openapi.body_schemas import COMPONENTS
from face128.settings import Settings

_HEADERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "X-Request-ID": ("The caller's own id, or a new one; the log has it too.", ()),
    "Retry-After": ("Seconds to wait before the next try.", ("429", "503")),
    "WWW-Authenticate": ("Bearer.", ("401",)),
    "Accept-Encoding": ("identity, if the body had another Content-Encoding.", ("415",)),
}
"""Description, and the statuses that have the header: all if none is listed."""


class DocumentedApp(FastAPI):
    """FastAPI with a corrected OpenAPI document. Set ``app.state.service`` before it is requested."""

    def openapi(self) -> dict[str, Any]:
        if self.openapi_schema is None:
            for route in self.routes:
                if isinstance(route, APIRoute):
                    route.unique_id = route.name  # generated clients name their functions so
            document = super().openapi()
            settings = self.state.service.settings
            for path in document["paths"].values():
                for operation in path.values():
                    _correct_operation(operation, settings)
            components = document["components"]
            components["schemas"] |= COMPONENTS
            for name in ("HTTPValidationError", "ValidationError"):
                components["schemas"].pop(name, None)
            components["headers"] = {
                name: {"description": text, "schema": {"type": "string"}} for name, (text, _) in _HEADERS.items()
            }
        assert self.openapi_schema is not None
        return self.openapi_schema


def _correct_operation(operation: dict[str, Any], settings: Settings) -> None:
    operation["summary"] = operation["operationId"].replace("_", " ").capitalize()
    if "security" in operation and not settings.api_keys:
        operation["security"].append({})  # a key is optional: the same client works for a service with keys
    for parameter in operation.get("parameters", ()):
        if parameter["name"] == "engine":
            parameter["schema"] = {"type": "string", "enum": list(settings.engines), "title": "Engine"}
    responses = operation["responses"]
    # FastAPI documents its own shape of 422 for every route with a parameter. This service never sends it.
    if "HTTPValidationError" in str(responses.get("422")):
        del responses["422"]
    problem = {"application/json": {"schema": {"$ref": "#/components/schemas/Problem"}}}
    responses["500"] = {"description": "`internal`, with an `id` that the log has too", "content": problem}
    for status, response in responses.items():
        response["headers"] = {
            name: {"$ref": f"#/components/headers/{name}"}
            for name, (_, statuses) in _HEADERS.items()
            if not statuses or status in statuses
        }
