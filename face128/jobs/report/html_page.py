"""Self-contained HTML pages of audits, calibrations and evaluations: light or dark, for any screen, and for paper."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from importlib.resources import files
from string import Template

from face128.jobs.audit.audit import Audit
from face128.jobs.audit.findings import KINDS, commands
from face128.jobs.audit.stranger_risk import StrangerRisk
from face128.jobs.calibrate.calibrate import Calibration
from face128.jobs.calibrate.comparison import compare
from face128.jobs.calibrate.evaluate import Evaluation
from face128.jobs.report import risk_tables
from face128.jobs.report.html_parts import codes, figure, paragraph, photo_pairs, table, text
from face128.jobs.report.plots import PLOTS, plot_det, plot_distances, plot_nearest_others
from face128.jobs.report.verdict import Verdict, evaluation_verdict, finding_heading, member_label, suspected_folders
from face128.jobs.wording import COMPARISON, GROWTH, HUBS, INTERVAL, TERMS, counted
from face128.photos.photo import Limits

MAX_LISTED = 100  # findings of one kind, photos left out: a page that a browser shows at once
CAPTIONS = {
    "distances": "How far apart photos are, of one person (filled) and of two (line). Left of the dots is a match.",
    "rates": "Both errors by threshold. The bands hold the true rate in 95 of 100 such samples of people.",
    "det": "Both errors against each other: a curve further to the lower left is better for these people. In the strip "
    '"none" no such pair was counted; the bar says what it may be at most.',
    "growth": "Each further member is one more face to resemble. Filled marks are counted, others extrapolated.",
    "crowd": "How near each member's nearest other is: so near a stranger comes. Left of the dotted line is a match.",
}


def render_audit(audit: Audit, verdict: Verdict) -> bytes:
    """Raises as plots.draw does."""
    sections = [_verdict(verdict, audit.needs_person)]
    for kind, known in KINDS.items():
        findings = [finding for finding in audit.findings if finding.kind == kind]
        if findings:
            heading = finding_heading(kind, len(findings))
            rows = [[member_label(audit, finding), finding.detail] for finding in findings[:MAX_LISTED]]
            if len(findings) > MAX_LISTED:
                rows.append([f"and {len(findings) - MAX_LISTED:,} more", "face128 audit --json lists them"])
            advice = paragraph(known.advice) + codes(commands(kind, audit.source))
            sections.append(f"<h2>{text(heading)}</h2>{advice}{table([['who', 'found'], *rows])}")
    if audit.qualities.verdicts:
        sections.append(f"<h2>Quality of the photos</h2>{paragraph(audit.qualities.sentence())}")
    return _page(f"What is wrong with {audit.source.name}", [*sections, *_stranger_risks(audit.stranger_risks)])


def render_calibration(
    calibrations: Sequence[Calibration], risks: Sequence[StrangerRisk], verdict: Verdict, limits: Limits
) -> bytes:
    """Including the plots, and thumbnails of the pairs to look at. Raises as plots.draw does."""
    suspects = suspected_folders(calibrations)
    sections = [_verdict(verdict, bool(suspects))]
    if suspects:
        question = paragraph("Two folders that look like one person. They spoil the rates below.", "about")
        pairs = photo_pairs(suspects[:MAX_LISTED], limits)
        sections.append(f"<h2>Look at these first: is it one person?</h2>{question}{pairs}")
    if calibrations and (failed := calibrations[0].failed):
        left_out = table(risk_tables.left_out_table(failed, MAX_LISTED))
        sections.append(f"<h2>Photos that were left out ({len(failed):,})</h2>{left_out}")
    if calibrations:
        terms = f"{TERMS['FAR']} {TERMS['FRR']}"
        sections.append(f"<h2>Measured on your photos</h2>{paragraph(terms, 'about')}")
    if len(calibrations) > 1:
        compared = table(risk_tables.comparison_table(compare(calibrations)))
        sections.append(
            f"<h3>Either network, and both together, on the same photos</h3>{paragraph(COMPARISON)}{compared}"
        )
    for calibration in calibrations:
        sections.append(_calibration(calibration))
    if calibrations:
        sections += [f'<div class="plots">{figure(plot_det, calibrations, CAPTIONS["det"])}</div>']
        for title, question, worst in (
            ("The most similar photos of two people", "Are they one person, or related?", calibrations[0].most_like),
            (
                "The least similar photos of one person",
                "Is one of the photos of someone else, or too bad to enrol?",
                calibrations[0].least_like,
            ),
        ):
            sections.append(f"<h2>{title}</h2>{paragraph(question, 'about')}{photo_pairs(worst, limits)}")
    return _page("Error rates by threshold", [*sections, *_stranger_risks(risks)])


def render_evaluation(evaluations: Sequence[Evaluation]) -> bytes:
    """Of each model that was measured on the pairs. Raises as plots.draw does."""
    sections = []
    for place, one in enumerate(evaluations):
        sections += [_verdict(evaluation_verdict(one), False), f"<h2>{text(one.card.name)}</h2>"]
        sections.append(paragraph(f"{one.card.pipeline}. {one.summary}", "about"))
        if place == 0:
            sections.append(paragraph(f"{TERMS['FAR']} {TERMS['FRR']} {INTERVAL}", "about"))
        sections.append(table(risk_tables.evaluation_table(one)))
        sections.append(f'<div class="plots">{figure(plot_distances, one, CAPTIONS["distances"])}</div>')
    if failed := evaluations[0].failed:
        left_out = table(risk_tables.left_out_table(failed, MAX_LISTED))
        sections.append(f"<h2>Photos that were left out ({len(failed):,})</h2>{left_out}")
    return _page("How well labelled pairs are told apart", sections)


def _page(title: str, sections: Sequence[str]) -> bytes:
    template = Template(files("face128.jobs.report").joinpath("page.html").read_text(encoding="utf-8"))
    return template.substitute(title=text(title), body="\n".join(sections)).encode()


def _verdict(verdict: Verdict, must_act: bool) -> str:
    steps = [f"<li>{text(step.what)}{codes(step.commands)}</li>" for step in verdict.steps]
    listed = f"<ol>{''.join(steps)}</ol>" if steps else ""
    return f'<section class="verdict{" first" * must_act}"><p>{text(verdict.sentence)}</p>{listed}</section>'


def _calibration(calibration: Calibration) -> str:
    people, photos = counted(calibration.pairs.person_count, "person", "people"), len(calibration.pairs.photos)
    about = (
        f"{calibration.card.pipeline}. {counted(photos, 'photo')} of {people}, {len(calibration.failed):,} left out: "
        f"{counted(calibration.genuine_pairs, 'pair')} of one person, {calibration.impostor_pairs:,} of two. "
        f"{INTERVAL}"
    )
    plots = "".join(figure(plot, calibration, CAPTIONS[name]) for name, plot in PLOTS.items())
    return (
        f"<h3>{text(calibration.card.name)}</h3>{paragraph(about, 'about')}"
        f"{table(risk_tables.rate_table(calibration))}{table(risk_tables.wanted_far_table(calibration))}"
        f"{paragraph(GROWTH)}"
        f'{table(risk_tables.gallery_size_table(calibration))}<div class="plots">{plots}</div>'
    )


def _stranger_risks(risks: Sequence[StrangerRisk]) -> Iterator[str]:
    for place, risk in enumerate(risks):
        yield f"<h2>Estimates from {risk.member_count:,} members, by {text(risk.card.name)}</h2>"
        if place == 0:
            yield paragraph(
                "Each member in turn plays the stranger who meets all others; so the estimates hold for strangers who "
                f"resemble the members. {TERMS['FPIR']} {INTERVAL}",
                "about",
            )
        yield table(risk_tables.fpir_table(risk))
        if place == 0:
            yield paragraph(TERMS["alpha"], "about")
        yield table(risk_tables.recommendation_table(risk))
        yield f'<div class="plots">{figure(plot_nearest_others, risk, CAPTIONS["crowd"])}</div>'
        if risk.hubs:
            yield paragraph(HUBS)
            yield table(risk_tables.hub_table(risk))
