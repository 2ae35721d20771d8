"""MkDocs' hooks: the pages keep their links, which GitHub follows too, and docs/README.md is the navigation.

A page has its path in the repository as its source path. So a link to ../README.md or ../deploy/compose.yml is resolved
as on GitHub, and MkDocs' own check finds the wrong ones.
"""

from __future__ import annotations

import re
from pathlib import Path, PurePosixPath
from posixpath import normpath
from typing import Any

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import ConfigurationError
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]
INDEX = "docs/README.md"
FENCE = re.compile(r"^```.*?^```$", re.DOTALL | re.MULTILINE)
HEADING_OR_ROW = re.compile(r"^(##|###) (.+)$|^\| \[([^\]]+)\]\(([^)\s]+)\)", re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s#]+)[^)\s]*\)")


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    config.nav = navigation((ROOT / INDEX).read_text())
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The files of docs/ by their paths in the repository, and the files beside docs/ that they link to."""
    found: dict[str, File] = {}
    for file in files:
        if file.src_dir == config.docs_dir:
            path = f"docs/{file.src_uri}"
            found[path] = repository_file(path, file.dest_uri, config)
        else:
            found[file.src_uri] = file
    for path in pages(config.nav):
        if path not in found and (ROOT / path).is_file():
            found[path] = repository_file(path, web_path(path), config)
    for path in [path for path in found if path.endswith(".md")]:
        for target in links(path):
            if target not in found and not target.endswith(".md") and (ROOT / target).is_file():
                found[target] = repository_file(target, f"files/{target}", config)
    return Files(found.values())


def navigation(index: str) -> list[dict[str, Any]]:
    """The navigation that the index has: a section for each reader, in the order of its headings.

    The first table, before the headings, is for people. A page that stands under several readers is in the section of
    the first of them.
    """
    sections: dict[str, list[Any]] = {}
    seen = {INDEX}
    here: list[Any] | None = None
    for level, title, name, target in HEADING_OR_ROW.findall(index):
        if level == "##":
            here = sections.setdefault(title, [])
        elif level == "###":
            if here is None:
                raise ConfigurationError(f"{INDEX}: '{title}' stands under no reader")
            sections[next(reversed(sections))].append({title: (here := [])})
        elif (path := normpath(f"docs/{target}")) not in seen and here is not None:
            seen.add(path)
            here.append({name: path})
    return [{"Home": INDEX}, *({title: items} for title, items in sections.items())]


def pages(nav: Any) -> list[str]:
    """The source paths in a navigation."""
    if isinstance(nav, str):
        return [nav]
    return [path for item in (nav.values() if isinstance(nav, dict) else nav or ()) for path in pages(item)]


def links(path: str) -> list[str]:
    """The files that a page links to."""
    text = FENCE.sub("", (ROOT / path).read_text())
    return [normpath(PurePosixPath(path).parent / target) for target in LINK.findall(text) if ":" not in target]


def web_path(path: str) -> str:
    """Where a page that is not in docs/ is put: clients/client/README.md is clients/client/."""
    if path == "README.md":
        return "readme/index.html"
    folder = PurePosixPath(path.lower())
    return str((folder.parent if folder.stem == "readme" else folder.with_suffix("")) / "index.html")


def repository_file(path: str, web: str, config: MkDocsConfig) -> File:
    return File(path, str(ROOT), config.site_dir, config.use_directory_urls, dest_uri=web)
