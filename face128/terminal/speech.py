"""How commands speak: sentences and tables that fit the terminal, plain text where there is none.

``OUT`` is for what a command was asked for (stdout); ``ERR`` is for notes, progress and questions (stderr). On a
terminal a sentence is wrapped between words; in a pipe or a file it stays on one line. No text that is printed here can
bring a control character or markup with it.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Literal

from face128.terminal.visible import visible

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

Style = Literal["", "heading", "good", "bad", "quiet"]
# Blue and orange differ for everybody, on dark and on light; words say the same.
_STYLES: dict[Style, str] = {"": "", "heading": "bold", "good": "blue", "bad": "bold dark_orange3", "quiet": "dim"}

_NUMBER = re.compile(r"[-+]?[\d.,]+( ?%|/s)?|")
_GAP = "  "


class Speech:
    """One of the process's streams, whatever sys.stdout or sys.stderr is at the time."""

    def __init__(self, stream: Literal["stdout", "stderr"]) -> None:
        self._stream: Literal["stdout", "stderr"] = stream
        self._console: Console | None = None

    @property
    def console(self) -> Console:
        """A rich console that is told what the stream is: FORCE_COLOR would put colours into a pipe."""
        from rich.console import Console

        stream = getattr(sys, self._stream)
        stream = getattr(stream, "rich_proxied_file", stream)  # while a progress bar is shown
        if self._console is None or self._console.file is not stream:
            self._console = Console(
                file=stream, force_terminal=stream.isatty(), markup=False, highlight=False, emoji=False
            )
        return self._console

    @property
    def is_terminal(self) -> bool:
        """Whether a person sees it: a terminal that can move its cursor."""
        return bool(getattr(sys, self._stream).isatty()) and os.environ.get("TERM") not in ("dumb", "unknown")

    def say(self, text: object = "", *, style: Style = "", indent: int = 0, hanging: int = 0) -> None:
        """Print a sentence or more, as one paragraph. ``hanging`` indents its second line and those that follow."""
        self._paragraph(visible(text), " " * indent, " " * (indent + hanging), style)

    def command(self, text: str) -> None:
        """Print something to copy, such as a command: it is indented and never wrapped."""
        print(f"    {visible(text)}", file=getattr(sys, self._stream), flush=True)

    def heading(self, text: str) -> None:
        """Print an empty line and a heading."""
        self.say()
        self.say(text, style="heading")

    def table(
        self, headings: Sequence[str], rows: Sequence[Sequence[object]], *, title: str = "", cut: bool = False
    ) -> None:
        """Print a table; where its words do not fit side by side, a line for each cell, or with ``cut`` long words cut.

        Columns of numbers are aligned to the right. There is no limit on the rows: give only those that a person reads.
        """
        from rich.measure import Measurement
        from rich.text import Text

        if title:
            self.say(title, style="heading")
        cells = [[visible(cell) for cell in row] for row in rows]
        table = _rich_table(headings, cells)
        console = self.console
        if cut or Measurement.get(console, console.options.update(max_width=10_000), table).minimum <= console.width:
            for segments in console.render_lines(table, pad=False):
                line = Text.assemble(*((segment.text, segment.style or "") for segment in segments))
                line.rstrip()
                console.print(line, soft_wrap=True)
        else:
            self._blocks(headings, cells)

    def _blocks(self, headings: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
        from rich.cells import cell_len

        label_width = max(map(cell_len, headings)) + len(_GAP)
        indent = " " * min(label_width, self.console.width // 3)
        for row in rows:
            for heading, cell in zip(headings, row, strict=True):
                if cell:
                    self._paragraph(cell, heading + " " * (label_width - cell_len(heading)), indent, "")
            self.say()

    def _paragraph(self, text: str, first: str, others: str, style: Style) -> None:
        if not self.is_terminal:  # rich takes a while to import
            print(first + text, file=getattr(sys, self._stream), flush=True)
            return
        for line in _wrapped(text, self.console.width, first, others):
            self.console.print(line, style=_STYLES[style], soft_wrap=True)


def plural(count: int, thing: str, things: str = "") -> str:
    """As "1 photo", "1,549 photos"."""
    return f"{count:,} {thing if count == 1 else things or thing + 's'}"


def _rich_table(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, header_style=_STYLES["heading"])
    for number, heading in enumerate(headings):
        numeric = all(_NUMBER.fullmatch(row[number]) for row in rows)
        table.add_column(heading, justify="right" if numeric else "left", overflow="fold")
    for row in rows:
        table.add_row(*row)
    return table


def _wrapped(text: str, width: int, first: str, others: str) -> Iterator[str]:
    """Lines of at most ``width`` cells, broken at spaces only, so that a long path can be copied whole."""
    from rich.cells import cell_len

    line, filled = first, False
    for word in re.findall(r"\s*\S+", text):
        if filled and cell_len(line) + cell_len(word) > width:
            yield line
            line, word = others, word.lstrip()
        line, filled = line + word, True
    yield line


OUT = Speech("stdout")
ERR = Speech("stderr")
