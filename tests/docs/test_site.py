"""The documentation site: built strictly, every page with a reader, every link whole, nothing from another host."""

from __future__ import annotations

import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from console_browser import TIMEOUT_MS, Watch, console_browser, show, sideways_pixels
from markdown_it import MarkdownIt
from markdown_pages import DOCS, LINK, sections, table_rows
from paths import ROOT
from playwright.sync_api import expect
from site_pages import SitePage, blocks, build, pages

SEARCH_MS = 120_000  # the browser indexes all pages first
PICTURES = {".png", ".jpg", ".svg"}
LOOKED_AT = ("", "settings/", "console/", "deploy/compose/")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    done = build(folder)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stderr + done.stdout
    return folder


@pytest.fixture(scope="module")
def built(site: Path) -> dict[str, SitePage]:
    return pages(site)


def web_page(page: Path) -> str:
    """The file of the site that a page of docs/ becomes."""
    name = page.relative_to(DOCS).with_suffix("").as_posix().removesuffix("README").strip("/")
    return f"{name}/index.html".lstrip("/")


DOCUMENTS = {web_page(page): page for page in sorted(DOCS.rglob("*.md"))}


def test_every_page_has_a_reader(built: dict[str, SitePage]) -> None:
    without_text = built["404.html"]
    named = {without_text.target(link)[0] for link in without_text.links}
    assert DOCUMENTS.keys() <= named
    assert DOCUMENTS.keys() <= built.keys()


def test_each_reader_begins_with_a_start_page() -> None:
    index = (DOCS / "README.md").read_text()
    rows = [re.findall(r"\[([^]]+)\]\(([^)]+)\)", " ".join(row)) for row in table_rows(index.partition("\n## ")[0])]
    starts = {reader: start for (reader, _), (_, start) in filter(None, rows)}
    readers = {each.title: LINK.findall(each.text)[0] for each in sections(index, 2) if each.title}
    assert readers == starts
    assert len(readers) == 6


@pytest.mark.parametrize("name", DOCUMENTS)
def test_a_page_is_read_as_on_github(built: dict[str, SitePage], name: str) -> None:
    """The two dialects differ in nested lists, in lists without an empty line before, and in pipes inside tables."""
    github = MarkdownIt("commonmark").enable("table").render(DOCUMENTS[name].read_text())
    assert blocks(built[name].article) == blocks(github)


def test_every_link_leads_to_a_page_and_to_a_heading(site: Path, built: dict[str, SitePage]) -> None:
    for page in built.values():
        for link in page.links:
            parts = urlsplit(link)
            if parts.scheme or parts.netloc:
                assert (parts.scheme == "https" and "." in parts.netloc) or parts.scheme == "mailto", link
                continue
            file, anchor = page.target(link)
            assert (site / file).is_file(), f"{page.path}: {link}"
            assert not anchor or anchor in built[file].ids, f"{page.path}: {link}"


def test_a_browser_loads_nothing_from_another_host(site: Path, built: dict[str, SitePage]) -> None:
    for page in built.values():
        for address in page.loads:
            if address.startswith("data:"):
                continue
            assert not urlsplit(address).netloc, f"{page.path}: {address}"
            assert (site / page.target(address)[0]).is_file(), f"{page.path}: {address}"
        assert "mermaid" not in page.html  # the theme's script would fetch its drawing program
    for sheet in site.rglob("*.css"):
        assert not re.search(r"(?:@import|url\()\s*[\"']?(?:https?:)?//", sheet.read_text()), sheet


def test_every_picture_is_shown(site: Path, built: dict[str, SitePage]) -> None:
    shown = {page.target(address)[0] for page in built.values() for address in page.loads}
    kept = {path.relative_to(DOCS).as_posix() for path in DOCS.rglob("*") if path.suffix in PICTURES}
    assert kept
    assert kept <= shown


def test_what_is_wrong_with_a_page_stops_the_build(tmp_path: Path) -> None:
    root = tmp_path / "copy"
    root.mkdir()
    for path in ROOT.iterdir():
        (root / path.name).symlink_to(path)
    for name in ("docs", "website", "mkdocs.yml"):
        (root / name).unlink()
        subprocess.run(["cp", "-r", ROOT / name, root / name], check=True)
    (root / "docs" / "unlisted.md").write_text("# Nobody reads it\n")
    with (root / "docs" / "settings.md").open("a") as page:
        page.write("\n[a](nowhere.md) [b](gallery.md#nothing) [c](../LICENCE.txt) [d](/settings.md)\n")
    done = build(tmp_path / "site", root)
    assert done.returncode != 0
    for wrong in ("unlisted.md", "nowhere.md", "#nothing", "LICENCE.txt", "'/settings.md'"):
        assert wrong in done.stderr, f"{wrong} is not in\n{done.stderr}"


@contextmanager
def served(site: Path) -> Iterator[str]:
    """The site's address, under the path of a version, where `mike` puts it."""

    class Handler(SimpleHTTPRequestHandler):
        def translate_path(self, path: str) -> str:
            return super().translate_path(path.removeprefix("/0.2"))

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(Handler, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/0.2/"
        finally:
            server.shutdown()


def test_a_browser_shows_the_pages_on_a_phone_and_finds_words(site: Path) -> None:
    with served(site) as url, console_browser() as (browser, _):
        context = browser.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        watch = Watch(context, url.removesuffix("0.2/"))
        page = context.new_page()
        for name in LOOKED_AT:
            show(page, 360)
            page.goto(url + name)
            assert sideways_pixels(page) == 0, name
        show(page, 1600)
        page.goto(url)
        # Words that come before the search is ready are lost.
        expect(page.locator(".md-search-result__meta")).to_have_text("Type to start searching", timeout=SEARCH_MS)
        # Its script listens to keys, which fill() does not press.
        page.locator("input.md-search__input").press_sequentially("FACE128_KEEP_ALIVE_SECONDS")
        page.locator('.md-search-result__item a[href*="settings/"]').first.click(timeout=SEARCH_MS)
        page.wait_for_url("**/settings/**")
        watch.check()
        context.close()
