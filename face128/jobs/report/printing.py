"""What audit, calibrate and evaluate print: the verdict, then defects, then estimates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from face128.jobs.audit.audit import Audit
from face128.jobs.audit.findings import KINDS
from face128.jobs.audit.stranger_risk import StrangerRisk
from face128.jobs.calibrate.calibrate import Calibration
from face128.jobs.calibrate.comparison import compare
from face128.jobs.calibrate.evaluate import Evaluation
from face128.jobs.calibrate.photo_pairs import short_name
from face128.jobs.report import risk_tables
from face128.jobs.report.photo_qualities import print_qualities
from face128.jobs.report.risk_tables import Table
from face128.jobs.report.verdict import Verdict, finding_heading, member_label, suspected_folders
from face128.jobs.wording import COMPARISON, GROWTH, HUBS, INTERVAL, TERMS, counted
from face128.terminal.speech import OUT

MAX_LISTED = 20  # findings of one kind, photos left out; --json has all


def print_verdict(verdict: Verdict) -> None:
    OUT.say(verdict.sentence, style="heading")
    for number, step in enumerate(verdict.steps, start=1):
        OUT.say(f"{number}. {step.what}", hanging=3)
        for command in step.commands:
            OUT.command(command)


def print_audit(audit: Audit, verdict: Verdict) -> None:
    print_verdict(verdict)
    for kind in KINDS:
        findings = [finding for finding in audit.findings if finding.kind == kind]
        if not findings:
            continue
        OUT.heading(finding_heading(kind, len(findings)))
        rows = [[member_label(audit, finding), finding.detail] for finding in findings[:MAX_LISTED]]
        if len(findings) > MAX_LISTED:
            rows.append([f"and {len(findings) - MAX_LISTED:,} more", "--json lists them"])
        OUT.table(["who", "found"], rows)
    OUT.say()
    print_qualities(OUT, audit.qualities)
    print_stranger_risks(audit.stranger_risks)


def print_stranger_risks(risks: Sequence[StrangerRisk]) -> None:
    for place, risk in enumerate(risks):
        OUT.heading(f"Estimates from {risk.member_count:,} members, by {risk.card.name}")
        if place == 0:
            OUT.say(
                "Each member in turn plays the stranger who meets all others; so the estimates hold for strangers who "
                f"resemble the members. {TERMS['FPIR']} {INTERVAL}"
            )
        _print_table(risk_tables.fpir_table(risk))
        if place == 0:
            OUT.say(TERMS["alpha"])
        _print_table(risk_tables.recommendation_table(risk))
        if risk.hubs:
            OUT.say(HUBS)
            _print_table(risk_tables.hub_table(risk))


def print_calibrations(calibrations: Sequence[Calibration], verdict: Verdict) -> None:
    print_verdict(verdict)
    if suspects := suspected_folders(calibrations):
        OUT.heading("Folders that look like one person")
        rows = [[short_name(a), short_name(b), f"{apart:.3f}"] for a, b, apart in suspects[:MAX_LISTED]]
        if len(suspects) > MAX_LISTED:
            rows.append([f"and {len(suspects) - MAX_LISTED:,} more", "--json lists them", ""])
        OUT.table(["photo", "and photo", "distance"], rows)
    if len(calibrations) > 1:
        OUT.heading("Either network, and both together, on the same photos")
        OUT.say(COMPARISON)
        _print_table(risk_tables.comparison_table(compare(calibrations)))
    for place, one in enumerate(calibrations):
        people, photos = counted(one.pairs.person_count, "person", "people"), counted(len(one.pairs.photos), "photo")
        OUT.heading(f"{one.card.name}: {people}, {photos}, {len(one.failed):,} left out")
        if place == 0:
            _print_left_out(one.failed)
            OUT.say(f"{TERMS['FAR']} {TERMS['FRR']} {INTERVAL}")
        _print_table(risk_tables.rate_table(one))
        _print_table(risk_tables.wanted_far_table(one))
        OUT.say(GROWTH)
        _print_table(risk_tables.gallery_size_table(one))


def print_evaluation(evaluation: Evaluation, verdict: Verdict, *, is_first: bool = True) -> None:
    print_verdict(verdict)
    OUT.heading(f"{evaluation.card.name}, {evaluation.card.pipeline}")
    OUT.say(evaluation.summary)
    if is_first:
        _print_left_out(evaluation.failed)
        OUT.say(f"{TERMS['FAR']} {TERMS['FRR']} {INTERVAL}")
    _print_table(risk_tables.evaluation_table(evaluation))


def _print_left_out(failed: Mapping[Path, str]) -> None:
    if failed:
        _print_table(risk_tables.left_out_table(failed, MAX_LISTED))


def _print_table(table: Table) -> None:
    OUT.table(table[0], table[1:])
    OUT.say()
