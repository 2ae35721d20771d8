"""The members that --out has before a re-encoding, so that a wrong folder does not destroy them."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

from face128.errors import BadRequest
from face128.jobs.reencode.output_formats import FIRST_BYTES

MAX_LOST_SHARE = 0.2  # of the members; who loses more has probably named a wrong folder
MIN_LOST = 2

_SQL_COUNT = re.compile(rb": (\d+) descriptors of ")


@dataclass(frozen=True)
class EarlierList:
    path: Path
    count: int = 0
    """Members with a descriptor."""
    names: frozenset[str] | None = None
    """Their regNos, as text; None where the file does not say."""

    @classmethod
    def read(cls, path: Path) -> EarlierList:
        """Of a file that any run has written; of another, as of none, nothing is known."""
        if not path.is_file():
            return cls(path)
        try:
            with path.open("rb") as file:
                head = file.readline(2**16)
            if head.startswith(FIRST_BYTES["sql"]):
                count = _SQL_COUNT.search(head)
                return cls(path, int(count[1]) if count else 0)
            names = frozenset(_csv_names(path) if head.startswith(FIRST_BYTES["csv"]) else _json_names(path))
        except (OSError, ValueError, RecursionError, csv.Error):
            return cls(path)
        return cls(path, len(names), names)

    def refuse_loss(self, names: Collection[str], source: str) -> None:
        """Raise BadRequest if the list would keep far fewer members than it has. ``names``: as text."""
        kept = len(self.names.intersection(names)) if self.names is not None else min(self.count, len(set(names)))
        lost = self.count - kept
        if lost >= MIN_LOST and lost > MAX_LOST_SHARE * self.count:
            raise BadRequest(
                f"Of the {self.count} members in {self.path}, {source} would leave {kept}: is it the right one? "
                f"{self.path} stays as it was. Add --force to replace it all the same."
            )


def _json_names(path: Path) -> Iterator[str]:
    is_ours = False
    with path.open(encoding="utf-8") as file:
        for line in file:
            if line.startswith('{"regNo": '):
                is_ours = True
                yield from _name(json.loads(line.rstrip(",\n")))
    if not is_ours:  # somebody has laid the file out anew
        document = json.loads(path.read_text(encoding="utf-8"))
        members = document.get("enrolled") if isinstance(document, dict) else document
        yield from chain.from_iterable(map(_name, members if isinstance(members, list) else []))


def _name(member: Any) -> Iterator[str]:
    """The regNo of a member who has a descriptor."""
    if isinstance(member, dict) and "regNo" in member and (member.get("descriptor") or member.get("descriptors")):
        yield str(member["regNo"])


def _csv_names(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8", newline="") as file:
        yield from (row["regNo"] for row in csv.DictReader(file) if row.get("descriptor"))
