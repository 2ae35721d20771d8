"""Which photos are new or changed since the journal saw them, found without an engine and in parallel."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from face128.errors import Face128Error, TooLarge
from face128.jobs.execution.photo_task import PhotoResult, read_or_error
from face128.jobs.reencode.journal import Entries
from face128.photos.photo import Limits, open_photo
from face128.terminal.progress import Progress

READERS = 4  # threads: they wait for the disk or the network, and hashing leaves the interpreter to the others
CHUNK_PHOTOS = 64


def find_waiting(
    sources: Mapping[str, str], entries: Sequence[Entries], limits: Limits, *, reads_here: bool
) -> dict[str, str]:
    """The photos that some engine has yet to do, with their sources; those at URLs are among them: a worker looks.

    ``reads_here``: what cannot be read here, the workers cannot read either.
    """
    known = [
        (source, [of_engine[photo] for of_engine in entries])
        for photo, source in sources.items()
        if "://" not in source and all(photo in of_engine for of_engine in entries)
    ]
    done: set[str] = set()
    if known:
        is_done = partial(_is_done, limits, reads_here)
        with ThreadPoolExecutor(READERS) as readers, Progress("Looking for changed photos", len(known)) as bar:
            for start in range(0, len(known), CHUNK_PHOTOS):  # Ctrl-C need not wait for all
                chunk = known[start : start + CHUNK_PHOTOS]
                for (_, results), unchanged in zip(chunk, readers.map(is_done, chunk), strict=True):
                    done |= {results[0].photo} if unchanged else set()
                bar.advance(len(chunk))
    return {photo: source for photo, source in sources.items() if photo not in done}


def _is_done(limits: Limits, reads_here: bool, known: tuple[str, list[PhotoResult]]) -> bool:
    """Whether every engine would say of the photo what it has said in ``results``."""
    source, results = known
    data = read_or_error(source)
    codes = {result.code for result in results}
    if isinstance(data, Face128Error):
        return reads_here and codes == {data.code}
    sha256 = hashlib.sha256(data).hexdigest()
    return {result.sha256 for result in results} == {sha256} and not (TooLarge.code in codes and _fits(data, limits))


def _fits(data: bytes, limits: Limits) -> bool:
    """Whether a photo that was too large is within the limits of today."""
    try:
        open_photo(data, limits)
    except TooLarge:
        return False
    except Face128Error:
        pass
    return True
