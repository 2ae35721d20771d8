"""What the commands print; the tables of calibrations and stranger risks are on the HTML page too."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table as ConsoleTable

from face128.encoding.quality import ADVICE as QUALITY_ADVICE
from face128.jobs.audit.audit import Audit
from face128.jobs.audit.lenient_reader import ADVICE
from face128.jobs.audit.stranger_risk import Recommendation, StrangerRisk
from face128.jobs.calibrate.bootstrap import RateEstimate
from face128.jobs.calibrate.calibrate import GALLERY_SIZES, Calibration
from face128.jobs.photo_quality import PhotoQualities
from face128.jobs.reencode.reencode import Reencoding
from face128.matching.stranger_estimates import Estimate

MAX_LISTED_FINDINGS = 20  # of one kind; --json has all
RATE_HEADINGS = ["threshold", "strangers accepted (FAR)", "same person refused (FRR)"]
Table = list[list[str]]
"""The headings, then the rows."""


def print_reencoding(result: Reencoding) -> None:
    console = Console(stderr=True)
    described = sum(bool(member.descriptors) for member in result.members)
    console.print(f"{result.photo_count} photos, {result.encoded_now} encoded now, {len(result.failures)} failed")
    console.print(f"{described} of {len(result.members)} members have a descriptor")
    if result.enrolled_count:
        console.print(f"{result.enrolled_count} members are enrolled in the service")
    if result.written_count:
        console.print(f"{result.written_count} members have their descriptor in the table")
    if result.failures:
        counts = Counter((failure.code, failure.advice) for failure in result.failures).most_common()
        rows = [[str(count), code, advice] for (code, advice), count in counts]
        _print_table(console, [["photos", "failed with", "what to do"], *rows])
    if adjusted := [
        facts["adjusted"] for member in result.members for facts in member.photo_facts if "adjusted" in facts
    ]:
        kinds = Counter(kind.replace("_", " ") for each in adjusted for kind in each)
        what = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common())
        console.print(f"{len(adjusted)} photos were adjusted first ({what}): see adjusted in the journal and the list")
    print_qualities(console, result.qualities)
    if result.qualities.poor:
        console.print("The photos of poor quality are in the file that ends in .poor.csv, with what to do.")


def print_qualities(console: Console, qualities: PhotoQualities) -> None:
    """How many photos are good, fair and poor, and why; nothing if it is not known."""
    if qualities.verdicts:
        console.print(qualities.sentence())
    if qualities.reasons:
        rows = [[str(count), reason, QUALITY_ADVICE[reason]] for reason, count in qualities.reasons.most_common()]
        _print_table(console, [["photos", "are", "what to do"], *rows])


def print_audit(result: Audit) -> None:
    console = Console()
    console.print(f"{result.entry_count} members, {result.descriptor_count} descriptors")
    counts = Counter(finding.kind for finding in result.findings)
    if not counts:
        console.print("Nothing is wrong with them.")
    for kind, count in counts.items():
        findings = [finding for finding in result.findings if finding.kind == kind]
        title = f"{kind}: {count}" if findings[0].needs_person else f"{kind}: {count}, for your information"
        rows = [["member", "found"]]
        for finding in findings[:MAX_LISTED_FINDINGS]:
            names = ", ".join(map(str, finding.members[:4])) + (", …" if len(finding.members) > 4 else "")
            rows.append([names, finding.detail])
        if count > MAX_LISTED_FINDINGS:
            rows.append(["…", f"and {count - MAX_LISTED_FINDINGS} more: --json lists them"])
        _print_table(console, rows, title=title, title_justify="left", caption=ADVICE[kind])
    print_qualities(console, result.qualities)
    for risk in result.stranger_risks:
        print_stranger_risk(risk)


def print_stranger_risk(risk: StrangerRisk) -> None:
    title = f"{risk.member_count:,} members of {risk.card.name}, as an estimate for strangers who resemble them:"
    Console().print(f"\n{title}", highlight=False)
    _print_table(Console(), fpir_table(risk))
    _print_table(Console(), recommendation_table(risk))
    if risk.hubs:
        title = "Members who are the nearest to most others: a face like many, or a bad photo"
        _print_table(Console(), hub_table(risk), title=title, title_justify="left")


def print_calibration(result: Calibration) -> None:
    people, photos = result.pairs.person_count, len(result.pairs.photos)
    Console().print(f"{people} people, {photos} photos, {len(result.failed)} left out")
    _print_table(Console(), rate_table(result))
    _print_table(Console(), wanted_far_table(result))
    _print_table(Console(), gallery_size_table(result), title="Strangers accepted as some member")


def print_evaluation(result: dict[str, Any]) -> None:
    console = Console()
    undetected, failed = result["undetected"]["count"], len(result["failed"])
    console.print(f"{result['model']}, {result['pipeline']}", highlight=False)
    console.print(f"{result['photos']} photos, {undetected} undetected, {failed} failed")
    console.print(f"{result['pairs']} pairs, {result['left_out']} of them left out because a photo has no descriptor")
    console.print(f"accuracy {result['accuracy']:.2%} at the best threshold, {result['best_threshold']:.3f}")
    rows = [[f"{rate['threshold']:.2f}", f"{rate['far']:.2%}", f"{rate['frr']:.2%}"] for rate in result["rates"]]
    _print_table(console, [RATE_HEADINGS, *rows])


def _print_table(console: Console, rows: Table, **options: Any) -> None:
    table = ConsoleTable(*rows[0], **options)
    for row in rows[1:]:
        table.add_row(*map(escape, row))
    console.print(table)


def percent(share: float) -> str:
    """A share as 12 %, 1.2 % or 0.012 %; 0 % only for exactly 0."""
    return f"{100 * share:.0f} %" if share in (0, 1) or share >= 0.1 else f"{100 * share:.2g} %"


def format_interval(interval: RateEstimate | Estimate) -> str:
    return f"({percent(interval.low)} to {percent(interval.high)})"


def rate_table(calibration: Calibration) -> Table:
    return [RATE_HEADINGS, *([f"{t:.2f}", *map(_rate, calibration.at(t))] for t in calibration.gallery_size_risk)]


def wanted_far_table(calibration: Calibration) -> Table:
    rows = [["FAR wanted", "threshold", "same person refused"]]
    for far, threshold in calibration.threshold_for_far.items():
        if threshold is None:
            rows.append([percent(far), "not enough people to say", ""])
        else:
            rows.append([percent(far), f"{threshold:.3f}", _rate(calibration.at(threshold)[1])])
    return rows


def gallery_size_table(calibration: Calibration) -> Table:
    thresholds = calibration.gallery_size_risk
    rows = [[f"{size:,}", *(_gallery_size_risk(calibration, t, size) for t in thresholds)] for size in GALLERY_SIZES]
    return [["members enrolled", *(f"at {t}" for t in thresholds)], *rows]


def fpir_table(risk: StrangerRisk) -> Table:
    rows = [[f"{t:.2f}", f"{percent(fpir.share)} {format_interval(fpir)}"] for t, fpir in risk.expected_fpir.items()]
    return [["threshold", "strangers accepted as some member (FPIR)"], *rows]


def recommendation_table(risk: StrangerRisk) -> Table:
    rows = [[percent(share), format_threshold(r), format_alpha(r)] for share, r in risk.recommendations.items()]
    return [["FPIR wanted", "threshold", "or the cohort rule's alpha"], *rows]


def hub_table(risk: StrangerRisk) -> Table:
    rows = [[str(hub.member), f"{hub.nearest_to:g}", f"{hub.within:g}"] for hub in risk.hubs]
    return [["member", "nearest to", f"of them within {risk.threshold}"], *rows]


def format_threshold(advice: Recommendation) -> str:
    """The recommended threshold, or how many members it takes."""
    if advice.threshold is None:
        return f"not enough members to say: it takes {advice.threshold_needs:,}"
    # Rounded down: it is the greatest threshold that keeps the wanted share.
    return f"{math.floor(1e4 * advice.threshold) / 1e4:.4f}"


def format_alpha(advice: Recommendation) -> str:
    """The recommended alpha, or how many members it takes."""
    if advice.alpha is None:
        return f"not enough members to say: it takes {advice.alpha_needs:,}"
    return f"{advice.alpha:g} ({'an estimate' if advice.at_most is None else f'{percent(advice.at_most)} at most'})"


def _rate(rate: RateEstimate) -> str:
    return f"{percent(rate.value)} {format_interval(rate)}"


def _gallery_size_risk(calibration: Calibration, threshold: float, size: int) -> str:
    """The share of strangers accepted as one of ``size`` members; "about" if it is extrapolated."""
    share = calibration.gallery_size_risk[threshold][size]
    if size > calibration.max_counted_size:
        return f"about {percent(share)}"
    return percent(share) if share else f"none of {calibration.pairs.person_count:,}"
