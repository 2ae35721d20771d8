"""docs/endpoints.md and the table of scopes against the OpenAPI document and the tree of errors."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from markdown_pages import DOCS, sections, table_rows

from face128 import errors
from face128.api.app import create_app
from face128.api_keys import ApiKey
from face128.settings import Settings

PAGE = (DOCS / "endpoints.md").read_text()
HEADING = re.compile(r"(GET|POST|PUT|DELETE|HEAD|PATCH) (/\S+)")
HEADING_LINE = re.compile(r"^### (\S+ /\S+)$", re.MULTILINE)
WITHOUT_CLASS = {"method_not_allowed": 405}
"""Codes of answers that the router gives."""
COMMAND_LINE_ONLY = {errors.ConfigurationError.code}


def documented() -> dict[str, str]:
    """The text about each endpoint, by its heading: method and path."""
    found = {section.title: section.text for section in sections(PAGE, 3) if HEADING.fullmatch(section.title)}
    assert all(PAGE.count(f"\n### {title}\n") == 1 for title in found)
    return found


def operations() -> dict[str, dict[str, Any]]:
    key = ApiKey("all", "0" * 64)
    document = create_app(Settings(engines=("fake",), api_keys=(key,))).openapi()
    schemas = document["components"]["schemas"]
    return {
        f"{method.upper()} {path}": operation | {"schemas": schemas}
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
    }


OPERATIONS = operations()


def test_every_endpoint_is_documented_and_every_documented_endpoint_exists() -> None:
    assert documented().keys() == OPERATIONS.keys()


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_endpoint_has_its_scope_its_parameters_and_the_fields_of_its_answer(name: str) -> None:
    text, operation = documented()[name], OPERATIONS[name]
    scopes = [scope for scheme in operation.get("security", ()) for some in scheme.values() for scope in some]
    assert text.strip().startswith(f"Scope `{scopes[0]}`." if scopes else "No key.")
    named = set(re.findall(r"[?&](\w+)=", text))
    assert named == query_parameters(operation) - {"collection"}
    missing = [field for field in answer_fields(operation) if not re.search(rf"[`\"({{, ]{field}[`\"]", text)]
    assert not missing


def query_parameters(operation: dict[str, Any]) -> set[str]:
    return {each["name"] for each in operation.get("parameters", ()) if each["in"] == "query"}


def test_the_endpoints_of_the_gallery_and_match_take_a_collection() -> None:
    """As the table of query parameters says, so that not each of them has to."""
    about_people = [section.text for section in sections(PAGE, 2) if section.title.startswith("The gallery")]
    expected = {"POST /match", *(heading for text in about_people for heading in HEADING_LINE.findall(text))}
    assert expected == {name for name, operation in OPERATIONS.items() if "collection" in query_parameters(operation)}


def answer_fields(operation: dict[str, Any]) -> Iterator[str]:
    """The required fields of the answer with status 200, of each of its forms."""
    for content in operation["responses"].get("200", {}).get("content", {}).values():
        schema = content["schema"]
        for form in schema.get("anyOf", [schema]):
            model = operation["schemas"].get(form.get("$ref", "").rpartition("/")[2], {})
            yield from model.get("required", ())


def classes(root: type[errors.Face128Error]) -> Iterator[type[errors.Face128Error]]:
    for each in root.__subclasses__():
        yield each
        yield from classes(each)


def test_every_code_is_documented_with_its_status() -> None:
    every = {errors.Face128Error, *classes(errors.Face128Error)}
    expected = {each.code: each.status for each in every if each.code not in COMMAND_LINE_ONLY} | WITHOUT_CLASS
    (text,) = (section.text for section in sections(PAGE, 2) if section.title == "Errors")
    table = {code.strip("`"): int(status) for code, status, _ in table_rows(text) if code.startswith("`")}
    assert table == expected
    assert all(f"`{code}`" in text for code in COMMAND_LINE_ONLY)


def test_the_table_of_scopes_is_the_guards() -> None:
    text = (DOCS / "operations.md").read_text()
    table = {
        scope.strip("`"): set(re.findall(r"`(/\S+)`", opens))
        for scope, opens in (row for row in table_rows(text) if len(row) == 2 and row[1].startswith("`/"))
    }
    expected: dict[str, set[str]] = {}
    for name, operation in OPERATIONS.items():
        for scheme in operation.get("security", ()):
            for scope in next(iter(scheme.values())):
                expected.setdefault(scope, set()).add(re.sub(r"/\{.*", "", name.partition(" ")[2]))
    assert table == expected
