"""docs/console.md against the console's menu."""

from __future__ import annotations

import tomllib

from markdown_pages import DOCS, sections, table_rows
from paths import ROOT

from face128.api.console.pages import NAVIGATION

PAGE = (DOCS / "console.md").read_text()
MAX_PICTURE_BYTES = 250_000


def test_the_table_has_the_screens_with_their_scopes_in_the_order_of_the_menu() -> None:
    sentences = tomllib.loads((ROOT / "face128/api/console/sentences/en/base.toml").read_text())["screens"]
    (text,) = (section.text for section in sections(PAGE, 2) if section.title == "Signing in")
    rows = [tuple(cell.strip("` ") for cell in row) for row in table_rows(text)]
    assert [row for row in rows if row != ("screen", "scope of the key")] == [
        (sentences[screen], scope or "any") for screen, scope in NAVIGATION
    ]


def test_the_pictures_are_small() -> None:
    pictures = sorted((DOCS / "images").glob("console-*.png"))
    assert len(pictures) == 4
    for picture in pictures:
        assert f"](images/{picture.name})" in PAGE
        assert picture.stat().st_size < MAX_PICTURE_BYTES, picture.name
