"""The documentation site as `mkdocs` builds it: its pages, what they link to, and what a browser would load."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from posixpath import normpath
from urllib.parse import unquote, urlsplit

from paths import ROOT

BUILD_TIMEOUT_S = 240
LOADED = {"script": "src", "img": "src", "iframe": "src", "source": "src", "video": "src", "object": "data"}
"""What a browser loads by itself, by element; and of a <link>, these:"""
LOADED_LINKS = {"stylesheet", "icon", "preload", "preconnect", "manifest", "modulepreload"}
BLOCKS = {
    "p",
    "li",
    "ul",
    "ol",
    "tr",
    "td",
    "th",
    "pre",
    "table",
    "blockquote",
    *(f"h{level}" for level in range(1, 7)),
}


def build(target: Path, root: Path = ROOT) -> subprocess.CompletedProcess[str]:
    """Builds the site of the repository, or of a copy of it, into a folder."""
    nowhere = {name: "http://127.0.0.1:9" for name in ("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY")}
    command = [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(target)]  # --quiet would make it less strict
    environment = os.environ | nowhere | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(
        command, cwd=root, env=environment, capture_output=True, text=True, timeout=BUILD_TIMEOUT_S, check=False
    )


@dataclass
class SitePage(HTMLParser):
    """One page. ``links`` are those to follow, ``loads`` what a browser loads, ``blocks`` the text of the article."""

    path: str
    """Within the site: settings/index.html."""
    html: str
    links: list[str] = field(default_factory=list)
    loads: list[str] = field(default_factory=list)
    ids: set[str] = field(default_factory=set)
    article: str = ""

    def __post_init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.feed(self.html)
        match = re.search(r"<article[^>]*>(.*)</article>", self.html, re.DOTALL)
        self.article = match[1] if match else ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = {name: value or "" for name, value in attrs}
        self.ids |= {known[name] for name in ("id", "name") if name in known}
        if tag == "a" and "href" in known:
            self.links.append(known["href"])
        elif tag == "link" and LOADED_LINKS & set(known.get("rel", "").split()):
            self.loads.append(known["href"])
        elif address := known.get(LOADED.get(tag, ""), ""):
            self.loads.append(address)
        if "srcset" in known:
            self.loads += [part.split()[0] for part in known["srcset"].split(",")]

    def target(self, address: str) -> tuple[str, str]:
        """The file of the site that an address without a host names, and its anchor."""
        parts = urlsplit(address)
        if not parts.path:
            return self.path, parts.fragment
        path = unquote(parts.path)
        file = normpath(path.lstrip("/") if path.startswith("/") else f"{Path(self.path).parent.as_posix()}/{path}")
        return (f"{file}/index.html" if path.endswith(("/", ".")) else file).removeprefix("./"), parts.fragment


def pages(site: Path) -> dict[str, SitePage]:
    paths = {path.relative_to(site).as_posix(): path for path in sorted(site.rglob("*.html"))}
    return {name: SitePage(name, path.read_text()) for name, path in paths.items()}


class _Blocks(HTMLParser):
    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.found: list[str] = []
        self._text = ""
        self._left_out = False

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        known = dict(attrs)
        self._left_out |= tag == "a" and "headerlink" in (known.get("class") or "")
        if tag in BLOCKS:
            self.end_block()
            if tag != "p":  # a paragraph of a list's item may have its element or not
                self.found.append(f"<{tag}{known.get('start') or ''}>")

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._left_out = False
        if tag in BLOCKS:
            self.end_block()

    def handle_data(self, data: str) -> None:
        if not self._left_out:
            self._text += data

    def end_block(self) -> None:
        if text := " ".join(self._text.split()):
            self.found.append(text)
        self._text = ""


def blocks(html: str) -> list[str]:
    """The elements that make blocks, and the text in each, in their order."""
    parser = _Blocks()
    parser.feed(html)
    parser.end_block()
    return parser.found
