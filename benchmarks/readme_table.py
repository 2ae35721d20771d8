"""The README's table of measurements, rendered from docs/benchmarks.json: ``python -m benchmarks.readme_table``.

``make bench`` calls it too. The table is between two HTML comments; tests/docs/test_figures.py compares it.
"""

from __future__ import annotations

import datetime
import json
from typing import Any

from benchmarks.harness import ROOT
from benchmarks.publish import format_number

README = ROOT / "README.md"
DOCUMENT = ROOT / "docs" / "benchmarks.json"
BEGIN = "<!-- measured: written by `python -m benchmarks.readme_table` -->"
END = "<!-- /measured -->"
TABLE_HEAD = "| | face128 | compared with | times as good |\n| --- | ---: | --- | ---: |"
ROWS = (
    ("encode", "/encode-image, 1 megapixel", "naive service"),
    ("encode", "/encode-image, 11 megapixels", "naive service"),
    ("match", "/match, 1,000 members, a new list, as numbers", "naive service"),
    ("match", "/match, 10,000 members, as numbers", "naive service"),
    ("match", "/match, 10,000 members, a new list, as base64", "naive service, as numbers"),
    ("latency", "/match, 1 member, while 4 clients encode: p99", "naive service"),
    ("startup", "start until ready, all threads warm", "naive service, first descriptor (1 megapixel)"),
    ("reencode", "re-encoding, 2 processes", "plain face_recognition loop"),
    ("network", "the network, one chip", "dlib"),
    ("gallery", "search, top 5 of 1,000,000, with freshness", "bare FAISS"),
)
"""Part, figure and peer of each row, as docs/benchmarks.json names them."""


def render(document: dict[str, Any]) -> str:
    """The table and the line above it. Raises KeyError if the document lacks one of ROWS."""
    date = datetime.date.fromisoformat(document["date"])
    versions = ", ".join(f"{name} {document['versions'][name]}" for name in ("Python", "dlib-bin", "onnxruntime"))
    day = f"{date.day} {date:%B %Y}"
    head = f"Measured on {day} with `make bench`. {document['machine']}; {versions}. Medians."
    return "\n".join([head, "", TABLE_HEAD, *(_row(_figure(document, *row)) for row in ROWS)])


def update() -> None:
    """Write the table of docs/benchmarks.json into the README."""
    before, _, rest = README.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    table = render(json.loads(DOCUMENT.read_text()))
    README.write_text(f"{before}{BEGIN}\n{table}\n{END}{after}")


def _figure(document: dict[str, Any], part: str, what: str, peer: str) -> dict[str, Any]:
    for figure in document["parts"][part]["figures"]:
        if (figure["what"], figure["peer"]) == (what, peer):
            result: dict[str, Any] = figure
            return result
    raise KeyError(f"docs/benchmarks.json has no figure {what!r} compared with {peer!r}")


def _row(figure: dict[str, Any]) -> str:
    own, peer, ratio = (format_number(figure[name]) for name in ("value", "peer_value", "ratio"))
    unit = figure["unit"]
    return f"| {figure['what']} | {own} {unit} | {figure['peer']}: {peer} {unit} | {ratio}× |"


if __name__ == "__main__":
    update()
