"""What the commands for many photos print."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING

from rich.console import Console
from rich.markup import escape
from rich.table import Table

if TYPE_CHECKING:
    from face128.jobs.audit.audit import Audit
    from face128.jobs.audit.stranger_risk import StrangerRisk
    from face128.jobs.calibrate.calibrate import Calibration
    from face128.jobs.calibrate.evaluate import Evaluation
    from face128.jobs.reencode.reencode import Reencoding

MAX_LISTED_FINDINGS = 20  # of one kind; --json has all


def print_reencoding(result: Reencoding) -> None:
    console = Console(stderr=True)
    described = sum(bool(member.descriptors) for member in result.members)
    console.print(f"{result.photo_count} photos, {result.encoded_now} encoded now, {len(result.failures)} failed")
    console.print(f"{described} of {len(result.members)} members have a descriptor")
    if result.enrolled_count:
        console.print(f"{result.enrolled_count} members are enrolled in the service")
    if result.failures:
        table = Table("photos", "failed with", "what to do")
        advice = {failure.code: failure.advice for failure in result.failures}
        for code, count in Counter(failure.code for failure in result.failures).most_common():
            table.add_row(str(count), code, advice[code])
        console.print(table)


def print_audit(result: Audit) -> None:
    from face128.jobs.audit.findings import ADVICE

    console = Console()
    console.print(f"{result.entry_count} members, {result.descriptor_count} descriptors")
    counts = Counter(finding.kind for finding in result.findings)
    if not counts:
        console.print("Nothing is wrong with them.")
    for kind, count in counts.items():
        findings = [finding for finding in result.findings if finding.kind == kind]
        title = f"{kind}: {count}" if findings[0].needs_person else f"{kind}: {count}, for your information"
        table = Table("member", "found", title=title, title_justify="left", caption=ADVICE[kind])
        for finding in findings[:MAX_LISTED_FINDINGS]:
            names = ", ".join(map(str, finding.members[:4])) + (", …" if len(finding.members) > 4 else "")
            table.add_row(escape(names), escape(finding.detail))
        if count > MAX_LISTED_FINDINGS:
            table.add_row("…", f"and {count - MAX_LISTED_FINDINGS} more: --json lists them")
        console.print(table)
    for risk in result.stranger_risks:
        print_stranger_risk(risk)


def print_stranger_risk(risk: StrangerRisk) -> None:
    from face128.jobs.report.html_page import format_alpha, format_threshold, percent

    console = Console()
    title = f"{risk.member_count:,} members of {risk.card.name}, as an estimate for strangers who resemble them:"
    console.print(f"\n{title}", highlight=False)
    table = Table("threshold", "strangers accepted as some member (FPIR)")
    for threshold, estimate in risk.expected_fpir.items():
        interval = f"({percent(estimate.low)} to {percent(estimate.high)})"
        table.add_row(f"{threshold:.2f}", f"{percent(estimate.share)} {interval}")
    console.print(table)
    table = Table("FPIR wanted", "threshold", "or the cohort rule's alpha")
    for wanted, advice in risk.recommendations.items():
        table.add_row(percent(wanted), format_threshold(advice), format_alpha(advice))
    console.print(table)
    if risk.hubs:
        title = "Members who are the nearest to most others: a face like many, or a bad photo"
        table = Table("member", "nearest to", f"of them within {risk.threshold}", title=title, title_justify="left")
        for hub in risk.hubs:
            table.add_row(escape(str(hub.member)), f"{hub.nearest_to:g}", f"{hub.within:g}")
        console.print(table)


def print_calibration(result: Calibration) -> None:
    from face128.jobs.calibrate.calibrate import GALLERY_SIZES
    from face128.jobs.report.html_page import format_gallery_size_risk, percent

    console = Console()
    pairs = result.pairs
    console.print(f"{pairs.person_count} people, {len(pairs.photos)} photos, {len(result.failed)} left out")
    table = Table("threshold", "strangers accepted (FAR)", "same person refused (FRR)")
    for threshold in result.gallery_size_risk:
        rates = result.at(threshold)
        cells = (f"{percent(rate.value)} ({percent(rate.low)} to {percent(rate.high)})" for rate in rates)
        table.add_row(f"{threshold:.2f}", *cells)
    console.print(table)
    table = Table("FAR wanted", "threshold")
    for far, limit in result.threshold_for_far.items():
        table.add_row(percent(far), "not enough people to say" if limit is None else f"{limit:.3f}")
    console.print(table)
    thresholds = result.gallery_size_risk
    table = Table("enrolled", *(f"at {t}" for t in thresholds), title="Strangers accepted as some member")
    for size in GALLERY_SIZES:
        table.add_row(f"{size:,}", *(format_gallery_size_risk(result, t, size) for t in thresholds))
    console.print(table)


def print_evaluation(result: Evaluation) -> None:
    figures = result.to_json()
    console = Console()
    console.print(f"{figures['model']}, {figures['pipeline']}", highlight=False)
    console.print(f"{result.photo_count} photos, {len(result.undetected)} undetected, {len(result.failed)} failed")
    console.print(f"{result.pair_count} pairs, {result.left_out} of them left out because a photo has no descriptor")
    console.print(f"accuracy {figures['accuracy']:.2%} at the best threshold, {figures['best_threshold']:.3f}")
    table = Table("threshold", "strangers accepted (FAR)", "same person refused (FRR)")
    for rate in figures["rates"]:
        table.add_row(f"{rate['threshold']:.2f}", f"{rate['far']:.2%}", f"{rate['frr']:.2%}")
    console.print(table)
