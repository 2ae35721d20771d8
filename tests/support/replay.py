"""Replays the examples of an API in their order: each may use values of earlier responses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from paths import FIXTURES


def replay(client: httpx.Client, name: str) -> int:
    """Send every example of fixtures/contracts/NAME, check each response, and return how many there were."""
    saved: dict[str, Any] = {}
    examples = json.loads((FIXTURES / "contracts" / name).read_text())
    for example in examples:
        request, expected = filled_in(example["request"], saved), filled_in(example["response"], saved)
        response = client.request(
            request["method"], request["path"], files=files(request), data=request.get("form"), json=request.get("json")
        )
        details = f"{example['name']}: {response.text}"
        assert response.status_code == example["status"], details
        body = response.json()
        assert_alike(expected, body, details, only=example.get("only", False))
        for path in example["exact"]:
            assert value_at(body, path) == value_at(expected, path), f"{path} of {details}"
        saved |= {name: value_at(body, path) for name, path in example.get("keep", {}).items()}
    return len(examples)


def filled_in(value: Any, saved: dict[str, Any]) -> Any:
    if isinstance(value, str):
        for name, text in saved.items():
            value = value.replace(f"{{{name}}}", text)
        return value
    if isinstance(value, list):
        return [filled_in(item, saved) for item in value]
    return {key: filled_in(item, saved) for key, item in value.items()} if isinstance(value, dict) else value


def files(request: dict[str, Any]) -> list[tuple[str, tuple[str, bytes]]] | None:
    parts = []
    for field, names in request.get("files", {}).items():
        for name in [names] if isinstance(names, str) else names:
            parts.append((field, (Path(name).name, (FIXTURES / name).read_bytes())))
    return parts or None


def assert_alike(example: Any, response: Any, details: str, *, only: bool) -> None:
    """Assert that every field of the example is there with its type; with ``only``, no other field."""
    assert type(response) is type(example), details
    if isinstance(example, dict):
        assert example.keys() <= response.keys(), details
        assert not only or example.keys() == response.keys(), details
        for name, value in example.items():
            assert_alike(value, response[name], details, only=only)
    if isinstance(example, list):
        assert len(response) == len(example), details
        for value, item in zip(example, response, strict=True):
            assert_alike(value, item, details, only=only)


def value_at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value
