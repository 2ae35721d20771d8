"""The first lines of a report, in words: what to do first."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from face128.jobs.audit.audit import Audit
from face128.jobs.audit.findings import KINDS, Finding, commands
from face128.jobs.audit.stranger_risk import StrangerRisk
from face128.jobs.calibrate.bootstrap import MIN_ACCEPTED_PEOPLE
from face128.jobs.calibrate.calibrate import Calibration, WorstPair
from face128.jobs.calibrate.comparison import COMPARED_FARS, compare
from face128.jobs.calibrate.evaluate import Evaluation
from face128.jobs.calibrate.photo_pairs import short_name
from face128.jobs.report.risk_tables import format_threshold
from face128.jobs.wording import THRESHOLD, counted, percent, rate, some_of

WANTED_SHARE = 0.01
"""Of strangers: the share that the recommended settings let in."""
WANTED_FAR = 0.001


@dataclass(frozen=True)
class Step:
    what: str
    commands: list[str] = field(default_factory=list)
    """Each alone."""


@dataclass(frozen=True)
class Verdict:
    sentence: str
    steps: list[Step]
    """In order."""

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def member_label(audit: Audit, finding: Finding) -> str:
    """The members of a finding, by number and name."""
    named = [(reg_no, audit.members.name_of(reg_no)) for reg_no in finding.members if reg_no is not None]
    labels = [number_and_name(reg_no, name) for reg_no, name in named]
    return some_of(labels, 4) if len(labels) != 2 else " and ".join(labels)


def finding_heading(kind: str, count: int) -> str:
    """What stands above the findings of one kind."""
    title = KINDS[kind].title
    note = "" if KINDS[kind].needs_person else ", for your information"
    return f"{title[0].upper()}{title[1:]} ({count:,}{note})"


def number_and_name(reg_no: object, name: str | None) -> str:
    return f"{reg_no} ({name})" if name else str(reg_no)


def audit_verdict(audit: Audit) -> Verdict:
    needed = [finding for finding in audit.findings if finding.needs_person]
    whole = f"{counted(audit.member_count, 'member')}, {counted(audit.descriptor_count, 'descriptor')}"
    found = [kind for kind in KINDS if any(finding.kind == kind for finding in audit.findings)]
    steps = [_step(audit, kind) for kind in found if KINDS[kind].needs_person]
    if audit.spoiling:
        pairs = counted(len(audit.spoiling), "pair of numbers looks", "pairs of numbers look")
        sentence = f"{whole}. {pairs} like one person: mend this first. Until then the estimates below are too high."
    elif needed:
        sentence = f"{whole}. {counted(len(needed), 'thing')} to mend; the estimates below hold for the others."
    else:
        sentence = f"{whole}. Nothing has to be mended."
    if not audit.spoiling:
        steps += [step for risk in audit.stranger_risks[:1] for step in stranger_risk_steps(risk)]
    return Verdict(sentence, steps + [_step(audit, kind) for kind in found if not KINDS[kind].needs_person])


def _step(audit: Audit, kind: str) -> Step:
    findings = [finding for finding in audit.findings if finding.kind == kind]
    who = some_of([label for finding in findings if (label := member_label(audit, finding))])
    title = KINDS[kind].title
    count = f" ({len(findings):,})" if len(findings) > 1 else ""
    about = f"{count}: {who}" if who else f" ({counted(len(findings), 'time')})"
    return Step(f"{title[0].upper()}{title[1:]}{about}. {KINDS[kind].advice}", commands(kind, audit.source))


def stranger_risk_steps(risk: StrangerRisk) -> list[Step]:
    """What the members say about the threshold, and what to set."""
    estimate, advice = risk.expected_fpir[risk.threshold], risk.recommendations[WANTED_SHARE]
    now = (
        f"At the threshold {risk.threshold:g}, {THRESHOLD}, {rate(estimate.share, estimate)} of strangers who resemble "
        f"the {risk.member_count:,} members are let in as one of them."
    )
    if advice.alpha is None:
        needed = min(advice.alpha_needs, advice.threshold_needs)
        return [Step(f"{now} To say what fits these members better takes {needed:,} of them.")]
    limit = ""
    if advice.threshold is not None:
        limit = f"; by a fixed threshold it is {format_threshold(advice)}"
    what = (
        f"{now} The cohort rule, which goes by how near the members are to each other, lets in about "
        f"{percent(WANTED_SHARE)} and recognises more of the members{limit}."
    )
    return [Step(what, [f"FACE128_DECISION=cohort FACE128_ALPHA={advice.alpha:g} face128 serve"])]


def gallery_verdict(risks: Sequence[StrangerRisk]) -> Verdict:
    """Of the members alone, without photos."""
    sentence = f"Estimates from {counted(risks[0].member_count, 'member')}, without photos."
    return Verdict(sentence, [step for risk in risks[:1] for step in stranger_risk_steps(risk)])


def calibration_verdict(calibrations: Sequence[Calibration], again: str) -> Verdict:
    """Of one calibration for each model; the first is the one that decides today. ``again`` is the command itself."""
    first = calibrations[0]
    steps = []
    if suspects := suspected_folders(calibrations):
        named = some_of([f"{short_name(a)} and {short_name(b)}" for a, b, _ in suspects])
        pairs = counted(len(suspects), "pair of folders looks", "pairs of folders look")
        sentence = f"{pairs} like one person: look at them first. Until then the rates of strangers are too high."
        steps.append(Step(f"Look at {named}. One person: put the photos into one folder. Then measure again.", [again]))
    else:
        sentence = _rates(first)
    if len(calibrations) > 1 and not suspects:
        steps.append(_comparison(calibrations))
    people = first.pairs.person_count
    if first.failed:
        names = some_of([short_name(photo) for photo in first.failed])
        steps.append(
            Step(f"{counted(len(first.failed), 'photo was', 'photos were')} left out: {names}. See why below.")
        )
    threshold = first.threshold_for_far[WANTED_FAR]
    if suspects:
        return Verdict(sentence, steps)
    if threshold is None:
        steps.append(
            Step(
                f"{people:,} people are too few to name a threshold at which {percent(WANTED_FAR)} of pairs of two "
                f"people are accepted: these must include {MIN_ACCEPTED_PEOPLE} people. Add people, or let the members "
                "themselves say.",
                ["face128 calibrate --gallery enrolled.json"],
            )
        )
    else:
        frr = first.at(threshold)[1]
        steps.append(
            Step(
                f"For {percent(WANTED_FAR)} of pairs of strangers the threshold is {threshold:.3f}; then "
                f'{rate(frr.value, frr)} of one person\'s are refused. /match takes it as "threshold": {threshold:.3f}.'
            )
        )
    return Verdict(sentence, steps)


def _comparison(calibrations: Sequence[Calibration]) -> Step:
    """What a switch to the best of these models would gain."""
    for far in reversed(COMPARED_FARS):
        rates = {one.card.name: one.frr_at_far[far] for one in compare(calibrations)}
        known = {name: frr for name, frr in rates.items() if frr is not None}
        if len(known) == len(rates):
            break
    else:
        return Step("There are too few pairs to compare the models: add people.")
    told = ", ".join(f"{name} {rate(frr.value, frr)}" for name, frr in known.items())
    best = min(known, key=lambda name: (known[name].value, known[name].high))
    first = next(iter(known))
    gain = f"Where {percent(far)} of pairs of two people are taken for one, one person is refused in: {told}."
    if known[best].value >= known[first].value:
        return Step(f"{gain} No other decides better than {first} for these people.")
    return Step(
        f"{gain} {best} decides best for these people. Encode all members with both networks, then switch.",
        [
            "face128 reencode PHOTOS --engine dlib,retail --out enrolled.json",
            f"FACE128_ENGINES=dlib,retail FACE128_DECISION_MODELS={'dlib+retail' if '+' in best else 'retail'} "
            "face128 serve",
        ],
    )


def suspected_folders(calibrations: Sequence[Calibration]) -> list[WorstPair]:
    """Of all models, each pair of folders once; the models that know more come last in ``calibrations``."""
    found: dict[frozenset[Path], tuple[Path, Path, float]] = {}
    for calibration in reversed(calibrations):
        for first, second, distance in calibration.suspects:
            found.setdefault(frozenset((first.parent, second.parent)), (first, second, distance))
    return list(found.values())


def _rates(calibration: Calibration) -> str:
    threshold = calibration.card.threshold
    far, frr = calibration.at(threshold)
    return (
        f"At the threshold {threshold:g}, {THRESHOLD}, strangers are taken for one person in {rate(far.value, far)} of "
        f"{counted(calibration.impostor_pairs, 'pair')}, and one person is refused in {rate(frr.value, frr)} of "
        f"{counted(calibration.genuine_pairs, 'pair')}."
    )


def evaluation_verdict(evaluation: Evaluation) -> Verdict:
    accuracy, judged = evaluation.accuracy, evaluation.genuine_pairs + evaluation.impostor_pairs
    sentence = (
        f"{evaluation.card.name} judges {rate(accuracy.value, accuracy)} of {counted(judged, 'pair')} rightly, at the "
        f"threshold that fits them best, {evaluation.best_threshold:.3f}."
    )
    steps = []
    if evaluation.left_out:
        names = some_of([short_name(photo) for photo in evaluation.failed])
        steps.append(
            Step(
                f"{counted(evaluation.left_out, 'pair is', 'pairs are')} left out, because "
                f"{counted(len(evaluation.failed), 'photo has', 'photos have')} no descriptor: {names}. See why below."
            )
        )
    return Verdict(sentence, steps)
