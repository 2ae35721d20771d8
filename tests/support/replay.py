"""Replays a document's examples in their order: each may use what an earlier answer gave."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import httpx
from paths import FIXTURES


def replay(client: httpx.Client, name: str) -> int:
    """Send every example of fixtures/contracts/NAME, check each answer, and say how many there were."""
    kept: dict[str, Any] = {}
    examples = json.loads((FIXTURES / "contracts" / name).read_text())
    for example in examples:
        request, wanted = filled(example["request"], kept), filled(example["response"], kept)
        answer = client.request(request["method"], request["path"], files=files(request), data=request.get("form"))
        told = f"{example['name']}: {answer.text}"
        assert answer.status_code == example["status"], told
        body = answer.json()
        assert_alike(wanted, body, told, only=example.get("only", False))
        for path in example["exact"]:
            assert at(body, path) == at(wanted, path), f"{path} of {told}"
        kept |= {word: at(body, path) for word, path in example.get("keep", {}).items()}
    return len(examples)


def filled(value: Any, kept: dict[str, Any]) -> Any:
    if isinstance(value, str):
        for word, content in kept.items():
            value = value.replace(f"{{{word}}}", content)
        return value
    if isinstance(value, list):
        return [filled(item, kept) for item in value]
    return {key: filled(item, kept) for key, item in value.items()} if isinstance(value, dict) else value


def files(request: dict[str, Any]) -> list[tuple[str, tuple[str, bytes]]] | None:
    sent = []
    for field, names in request.get("files", {}).items():
        for name in [names] if isinstance(names, str) else names:
            sent.append((field, (Path(name).name, (FIXTURES / name).read_bytes())))
    return sent or None


def assert_alike(example: Any, answer: Any, told: str, *, only: bool) -> None:
    """Every field of the example is there with its type, and with ``only`` no other."""
    assert type(answer) is type(example), told
    if isinstance(example, dict):
        assert example.keys() <= answer.keys(), told
        assert not only or example.keys() == answer.keys(), told
        for name, value in example.items():
            assert_alike(value, answer[name], told, only=only)
    if isinstance(example, list):
        assert len(answer) == len(example), told
        for value, item in zip(example, answer, strict=True):
            assert_alike(value, item, told, only=only)


def at(value: Any, path: str) -> Any:
    for step in path.split("."):
        value = value[int(step)] if isinstance(value, list) else value[step]
    return value
