"""What the commands for many photos print on a terminal."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from face128.jobs.audit.audit import Audit
    from face128.jobs.audit.stranger_risk import Crowd
    from face128.jobs.calibrate.calibrate import Calibration
    from face128.jobs.calibrate.evaluate import Evaluation
    from face128.jobs.reencode.reencode import Reencoding

LISTED = 20  # findings of one kind on the terminal; --json has all


def print_reencoding(result: Reencoding) -> None:
    console = Console(stderr=True)
    enrolled = sum(bool(member.descriptors) for member in result.members)
    console.print(f"{result.photos} photos, {result.encoded_now} encoded now, {len(result.failures)} failed")
    console.print(f"{enrolled} of {len(result.members)} members have a descriptor")
    if result.posted:
        console.print(f"{result.posted} members are enrolled in the service")
    if result.failures:
        table = Table("photos", "failed with", "what to do")
        advice = {failure.code: failure.advice for failure in result.failures}
        for code, count in Counter(failure.code for failure in result.failures).most_common():
            table.add_row(str(count), code, advice[code])
        console.print(table)


def print_audit(result: Audit) -> None:
    from face128.jobs.audit.findings import ADVICE

    console = Console()
    console.print(f"{result.members} members, {result.descriptors} descriptors")
    counts = Counter(finding.kind for finding in result.findings)
    if not counts:
        console.print("Nothing is wrong with them.")
    for kind, count in counts.items():
        found = [finding for finding in result.findings if finding.kind == kind]
        title = f"{kind}: {count}" if found[0].needs_person else f"{kind}: {count}, for your information"
        table = Table("member", "found", title=title, title_justify="left", caption=ADVICE[kind])
        for finding in found[:LISTED]:
            names = ", ".join(map(str, finding.members[:4])) + (", …" if len(finding.members) > 4 else "")
            table.add_row(escape(names), escape(finding.detail))
        if count > LISTED:
            table.add_row("…", f"and {count - LISTED} more: --json lists them")
        console.print(table)
    for crowd in result.crowds:
        print_crowd(crowd)


def print_crowd(crowd: Crowd) -> None:
    from face128.jobs.report.html_page import alpha_to_set, percent, to_set

    console = Console()
    console.print(
        f"\nWhat {crowd.members:,} members of {crowd.card.name} say of strangers who resemble them:", highlight=False
    )
    table = Table("threshold", "strangers let in as somebody (FPIR)")
    for threshold, found in crowd.expected.items():
        share = f"{percent(found.share)} ({percent(found.low)} to {percent(found.high)})"
        table.add_row(f"{threshold:.2f}", share)
    console.print(table)
    table = Table("FPIR wanted", "threshold", "or the cohort rule's alpha")
    for wanted, promise in crowd.promises.items():
        table.add_row(percent(wanted), to_set(promise), alpha_to_set(promise))
    console.print(table)
    if crowd.doorways:
        title = "Members who are the nearest to most others: a face like many, or a bad photo"
        table = Table("member", "nearest to", f"of them within {crowd.threshold}", title=title, title_justify="left")
        for one in crowd.doorways:
            table.add_row(escape(str(one.member)), f"{one.nearest_to:g}", f"{one.within:g}")
        console.print(table)


def print_calibration(result: Calibration) -> None:
    from face128.jobs.calibrate.calibrate import ENROLLED
    from face128.jobs.report.html_page import percent, strangers

    console = Console()
    sample = result.sample
    console.print(f"{sample.person_count} people, {len(sample.photos)} photos, {len(result.failed)} left out")
    table = Table("threshold", "strangers accepted (FAR)", "same person refused (FRR)")
    for threshold in result.growth:
        far, frr = result.at(threshold)
        cells = (f"{percent(r.value)} ({percent(r.low)} to {percent(r.high)})" for r in (far, frr))
        table.add_row(f"{threshold:.2f}", *cells)
    console.print(table)
    table = Table("FAR wanted", "threshold")
    for wanted, found in result.wanted.items():
        table.add_row(percent(wanted), "not enough people to say" if found is None else f"{found:.3f}")
    console.print(table)
    table = Table("enrolled", *(f"at {t}" for t in result.growth), title="Strangers let in as somebody")
    for enrolled in ENROLLED:
        table.add_row(f"{enrolled:,}", *(strangers(result, t, enrolled) for t in result.growth))
    console.print(table)


def print_evaluation(result: Evaluation) -> None:
    figures = result.figures()
    console = Console()
    console.print(f"{figures['model']}, {figures['pipeline']}", highlight=False)
    console.print(f"{result.photos} photos, {len(result.undetected)} undetected, {len(result.failed)} failed")
    console.print(f"{result.pairs} pairs, {result.left_out} of them left out for want of a descriptor")
    console.print(f"accuracy {figures['accuracy']:.2%} at the best threshold, {figures['best_threshold']:.3f}")
    table = Table("threshold", "strangers accepted (FAR)", "same person refused (FRR)")
    for rate in figures["rates"]:
        table.add_row(f"{rate['threshold']:.2f}", f"{rate['far']:.2%}", f"{rate['frr']:.2%}")
    console.print(table)
