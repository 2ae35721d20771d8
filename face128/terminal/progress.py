"""A bar on stderr that counts results, with rate and time left; without a terminal, a line for each tenth of a job."""

from __future__ import annotations

import sys
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING

from face128.terminal.speech import ERR
from face128.terminal.visible import visible

if TYPE_CHECKING:
    from rich.live import Live
    from rich.table import Table

REFRESHES_PER_SECOND = 8
MIN_LINE_INTERVAL_S = 5.0  # between lines where there is no terminal: a short job is silent
FIRST_BURST_S = 0.1  # results that arrive together with the first took the start of the processes too
MIN_RATE_PERIOD_S = 0.5
MIN_BAR_WIDTH, MAX_BAR_WIDTH = 6, 40
BAR_STYLE = "blue"


class Progress:
    """One step of a job, as a context manager; ``total`` None if it cannot be counted. Thread-safe.

    Call ``advance`` when a result is there, not when its work is handed over.
    """

    def __init__(self, step: str, total: int | None = None) -> None:
        self.step, self.total = visible(step), total
        self.done = 0
        self._from_before = 0
        self._lock = threading.Lock()
        self._started_s = self._last_line_s = time.monotonic()
        self._first_s: float | None = None
        self._first_burst = 0
        self._live: Live | None = None

    def __enter__(self) -> Progress:
        self._started_s = self._last_line_s = time.monotonic()
        if ERR.is_terminal:
            from rich.live import Live

            self._live = Live(
                console=ERR.console,
                get_renderable=self._bar,
                refresh_per_second=REFRESHES_PER_SECOND,
                redirect_stdout=sys.stdout.isatty(),  # what goes into a pipe stays there
            )
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()  # shows the last state, which stays, and the cursor

    def advance(self, count: int = 1) -> None:
        """Count results of this run."""
        now = time.monotonic()
        with self._lock:
            self.done += count
            if self._first_s is None:
                self._first_s = now
            if now - self._first_s <= FIRST_BURST_S:
                self._first_burst += count
        self._say_tenth(now, count)

    def found_done(self, count: int = 1) -> None:
        """Count what an earlier run has done: it is part of the total, not of the rate."""
        with self._lock:
            self.done += count
            self._from_before += count

    def rate(self) -> float | None:
        """Results a second of this run; None while there are none."""
        now = time.monotonic()
        with self._lock:
            own = self.done - self._from_before
            if self._first_s is None:
                return None
            if own > self._first_burst and now - self._first_s >= MIN_RATE_PERIOD_S:
                return (own - self._first_burst) / (now - self._first_s)
            return own / max(now - self._started_s, 1e-3)

    def seconds_left(self) -> float | None:
        """None while it is unknown."""
        rate = self.rate()
        return None if self.total is None or not rate else max(self.total - self.done, 0) / rate

    def _bar(self) -> Table:
        from rich.cells import cell_len
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        texts = [self.step, *self._figures()]
        width = ERR.console.width - sum(cell_len(text) + 2 for text in texts) - 1
        grid = Table.grid(padding=(0, 2, 0, 0))
        cells: list[Text | ProgressBar] = [Text(text, no_wrap=True, overflow="ellipsis") for text in texts]
        if width >= MIN_BAR_WIDTH and self.total is not None:
            bar = ProgressBar(
                max(self.total, 1),
                self.done,
                min(width, MAX_BAR_WIDTH),
                complete_style=BAR_STYLE,
                finished_style=BAR_STYLE,
            )
            cells.insert(1, bar)
        grid.add_row(*cells)
        return grid

    def _figures(self) -> list[str]:
        if self.total is None:
            return [f"{self.done:,}" if self.done else "", format_duration(time.monotonic() - self._started_s)]
        count = f"{self.done:,}/{self.total:,}"
        rate, left = self.rate(), self.seconds_left()
        if self.done >= self.total:
            return [count, f"in {format_duration(time.monotonic() - self._started_s)}"]
        if rate is None or left is None:
            return [count, "starting"]
        return [count, format_rate(rate), f"{format_duration(left)} left"]

    def _say_tenth(self, now: float, count: int) -> None:
        if self._live or not self.total or now - self._last_line_s < MIN_LINE_INTERVAL_S:
            return
        if 10 * self.done // self.total > 10 * (self.done - count) // self.total:
            self._last_line_s = now
            figures = self._figures()
            share = f"{100 * self.done // self.total} %"
            ERR.say(f"{self.step}: {', '.join([figures[0], share, *figures[1:]])}")


def format_duration(seconds: float) -> str:
    """As "3 s", "2 min 10 s", "1 h 5 min"."""
    whole = max(0, round(seconds))
    minutes, rest = divmod(whole, 60)
    hours, minutes_rest = divmod(minutes, 60)
    if hours:
        return f"{hours:,} h {minutes_rest} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def format_rate(per_second: float) -> str:
    """As "104/s", "8.5/s"; below one a second, "12/min"."""
    if per_second < 1:
        return f"{60 * per_second:.0f}/min"
    return f"{per_second:.1f}/s" if per_second < 10 else f"{per_second:.0f}/s"
