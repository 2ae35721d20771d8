"""What reencode prints at its end: the counts, who must be photographed again, what was written, what comes next."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from face128.jobs.reencode.advice import AGAIN
from face128.jobs.reencode.listing import RejectedEntry
from face128.jobs.reencode.reencode import Reencoding
from face128.jobs.reencode.result_files import ResultFiles
from face128.jobs.reencode.results import PhotoFailure
from face128.jobs.report.photo_qualities import print_qualities
from face128.jobs.wording import some_of
from face128.terminal.speech import ERR, plural

MAX_LISTED = 10  # members or files; the files have all


def print_reencoding(result: Reencoding, files: ResultFiles) -> None:
    print_counts(result)
    _print_adjusted(result)
    print_qualities(ERR, result.qualities)
    _print_again(result, files)
    _print_written(result, files)
    _print_next(result, files.enrolled)


def print_counts(result: Reencoding) -> None:
    counts = result.counts
    described = sum(bool(member.descriptors) for member in result.members)
    ERR.say(f"{described:,} of {plural(len(result.members), 'member')} have a descriptor", style="heading")
    ERR.say(
        f"{plural(counts.photos, 'photo')}: {counts.described_now:,} encoded now, {counts.failed:,} failed, "
        f"{counts.from_before:,} from before, {counts.misnamed:,} misnamed"
    )
    print_left_out(result.left_out)
    print_misnamed([failure for failure in result.failures if failure.regNo is None])
    if counts.failed:
        encoded = [failure for failure in result.failures if failure not in result.refused]
        ERR.say(f"Failed: {_reasons([failure for failure in encoded if failure.regNo is not None])}")
    if result.enrolled_count is not None:
        ERR.say(f"{plural(result.enrolled_count, 'member is', 'members are')} enrolled in the service")
    for column, count in result.written_counts.items():
        ERR.say(f"{plural(count, 'member has', 'members have')} their descriptor in {column}")
    if result.refused:
        ERR.say(f"Refused: {_reasons(result.refused)}")


def print_left_out(left_out: list[str]) -> None:
    if left_out:
        files = plural(len(left_out), "other file is no photo and was", "other files are no photos and were")
        ERR.say(f"{files} left out: {some_of(left_out)}")


def print_misnamed(entries: Sequence[PhotoFailure | RejectedEntry]) -> None:
    if entries:
        places = some_of([entry.photo for entry in entries if entry.photo])
        ERR.say(f"{len(entries):,} misnamed{': ' if places else ''}{places}. {entries[0].error}")


def _reasons(failures: Sequence[PhotoFailure]) -> str:
    """Each reason and how often, the most frequent first."""
    codes = Counter(failure.code for failure in failures)
    names = {code: AGAIN[code][0] if code in AGAIN else code.replace("_", " ") for code in codes}
    return ", ".join(f"{names[code]} ({count})" for code, count in codes.most_common())


def _print_adjusted(result: Reencoding) -> None:
    all_facts = (facts for member in result.members for facts in member.photo_facts)
    if adjusted := [facts["adjusted"] for facts in all_facts if "adjusted" in facts]:
        kinds = Counter(kind.replace("_", " ") for each in adjusted for kind in each)
        what = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        photos = plural(len(adjusted), "photo was", "photos were")
        ERR.say(f"{photos} adjusted before it was encoded ({what})")


def _print_again(result: Reencoding, files: ResultFiles) -> None:
    rows = [*result.without, *result.only_poor]
    if not rows:
        return
    ERR.heading("Photograph again")
    if result.without:
        ERR.say(f"{plural(len(result.without), 'member')} cannot be recognised: no photo of theirs has a descriptor.")
    if result.only_poor:
        ERR.say(f"{plural(len(result.only_poor), 'member')} may be recognised badly: their photos are poor.")
    ERR.table(["number", "name", "reason"], [row[:3] for row in rows[:MAX_LISTED]])
    if len(rows) > MAX_LISTED:
        ERR.say(f"{len(rows) - MAX_LISTED:,} more, and what to do about each, are in {files.again}")
    else:
        ERR.say(f"What to do about each is in {files.again}")


def _print_written(result: Reencoding, files: ResultFiles) -> None:
    described = sum(bool(member.descriptors) for member in result.members)
    written = {files.enrolled: f"{plural(described, 'member')} with descriptors"}
    if files.before.exists():
        written[files.before] = "the list before its last change"
    if again := len(result.without) + len(result.only_poor):
        written[files.again] = f"{plural(again, 'member')} to photograph again"
    if result.failures:
        written[files.failed] = (
            f"{plural(len(result.failures), 'photo that failed or was', 'photos that failed or were')} refused, "
            "with the reason"
        )
    if result.qualities.poor:
        written[files.poor] = f"{plural(len(result.qualities.poor), 'photo')} of poor quality"
    written[files.journal] = "what is done: keep it, and the next run encodes only what is new"
    ERR.heading("Written")
    for path, what in written.items():
        ERR.say(f"{path}: {what}", hanging=2)


def _print_next(result: Reencoding, out: Path) -> None:
    ERR.heading("Next")
    if result.failures or result.only_poor:
        ERR.say("Put the new photos into the place of the old ones, and run the same command again.")
    if out.suffix in (".json", ".jsonl", ".csv"):
        ERR.say("See whether two members look like one person, and which threshold is right:")
        ERR.say(shlex.join(["face128", "audit", str(out)]), indent=2, hanging=2)
