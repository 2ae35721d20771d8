"""Is the trail complete and unchanged? Recomputes every hash, and the seal over all of them."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import sqlalchemy as sa

from face128.gallery.trail.chain import HEAD
from face128.gallery.trail.entry import Entry, fingerprint, sealed
from face128.gallery.trail.reading import keys_of, walk

MAX_LISTED_FAULTS = 20
ENTRIES_AT_ONCE = 1_000  # of which the progress is told
_HEAD = re.compile(r"([1-9][0-9]{0,17}):([0-9a-f]{64})")


@dataclass(frozen=True)
class Head:
    """Where a trail ended: kept elsewhere, it shows later that nothing up to there was rewritten."""

    seq: int
    hash: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.hash}"

    @classmethod
    def parse(cls, text: str) -> Head:
        """Raises ValueError."""
        if not (parts := _HEAD.fullmatch(text.strip().lower())):
            raise ValueError("A head is a number, a colon and a hash, as face128 trail verify prints it.")
        return cls(int(parts[1]), parts[2])


@dataclass
class Checked:
    entries: int = 0
    first_at: str = ""
    last_at: str = ""
    head: Head | None = None
    keyed_from: int | None = None
    """The first entry whose hash needs the gallery's key."""
    faults: list[str] = field(default_factory=list)
    """The first of them, as sentences."""
    fault_count: int = 0

    def add(self, sentence: str) -> None:
        self.fault_count += 1
        if len(self.faults) < MAX_LISTED_FAULTS:
            self.faults.append(sentence)


def check(
    connection: sa.Connection, kept: Head | None = None, advance: Callable[[int], object] = lambda _: None
) -> Checked:
    """Check the trail as one transaction sees it. ``kept`` is a head that was kept elsewhere.

    ``advance`` is told of each block of entries that is done.
    """
    found = Checked()
    key = keys_of(connection).chain
    own = fingerprint(key)
    before: str | None = ""
    """The hash of the entry before; None where that is missing."""
    seal, last = "", 0
    for entry in walk(connection):
        found.entries += 1
        found.first_at, found.last_at = found.first_at or entry.at, entry.at
        if entry.seq > last + 1:
            found.add(_missing(last + 1, entry.seq - 1))
            before = None
        entry_key = key if entry.hash_key else None
        if entry.hash_key not in ("", own):
            found.add(f"Entry {entry.seq} was made with another key than the gallery's.")
        else:
            if entry.hash_key and found.keyed_from is None:
                found.keyed_from = entry.seq
            if not entry.hash_key and found.keyed_from is not None:
                found.add(f"Entry {entry.seq} was made without the key, after others with it.")
            if before is not None and entry != _again(entry, before, entry_key):
                found.add(f"Entry {entry.seq} was changed, or is not in its place.")
        seal = sealed(seal, entry.hash, entry_key)
        if kept is not None and kept.seq == entry.seq and kept.hash != entry.hash:
            found.add(f"Entry {entry.seq} is not the one of the head that was kept: the trail was rewritten.")
        before, last = entry.hash, entry.seq
        found.head = Head(entry.seq, entry.hash)
        if found.entries % ENTRIES_AT_ONCE == 0:
            advance(ENTRIES_AT_ONCE)
    advance(found.entries % ENTRIES_AT_ONCE)
    _check_end(connection, found, last, seal)
    if kept is not None and kept.seq > last:
        found.add(_missing(last + 1, kept.seq) + " The head that was kept has them.")
    return found


def _again(entry: Entry, before: str, key: bytes | None) -> Entry:
    return replace(entry, hash="").chained(before, key)


def _check_end(connection: sa.Connection, found: Checked, last: int, seal: str) -> None:
    """Compare with what ``state`` keeps of the end."""
    end = connection.execute(sa.select(*HEAD)).one()
    if not last and end.trail_key:
        found.add("The trail was switched on once, and has no entry.")
    elif last < end.trail_seq:
        found.add(_missing(last + 1, end.trail_seq))
    elif last > end.trail_seq:
        found.add(f"The entries after {end.trail_seq} were not written by face128.")
    elif end.trail_on and end.keystore_id is not None and found.keyed_from is None:
        found.add("The trail was made without the gallery's key.")
    elif not found.faults and seal != end.trail_seal:
        found.add("The seal over all entries is wrong: the last ones were removed, or all were written anew.")


def _missing(first: int, last: int) -> str:
    return f"Entry {first} is missing." if first == last else f"Entries {first} to {last} are missing."
