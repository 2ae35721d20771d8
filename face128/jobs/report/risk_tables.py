"""The tables of calibrations, evaluations and stranger risks; printed, and on the pages."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

from face128.jobs.audit.stranger_risk import Recommendation, StrangerRisk
from face128.jobs.calibrate.calibrate import GALLERY_SIZES, Calibration
from face128.jobs.calibrate.comparison import COMPARED_FARS, ModelResult
from face128.jobs.calibrate.evaluate import Evaluation
from face128.jobs.calibrate.photo_pairs import short_name
from face128.jobs.reencode.advice import ADVICE
from face128.jobs.wording import percent, rate

RATE_HEADINGS = ["threshold", "two people taken for one (FAR)", "one person refused (FRR)"]
Table = list[list[str]]
"""The headings, then the rows."""


def rate_table(calibration: Calibration) -> Table:
    rates = [(t, *calibration.at(t)) for t in calibration.gallery_size_risk]
    return [RATE_HEADINGS, *([f"{t:g}", rate(far.value, far), rate(frr.value, frr)] for t, far, frr in rates)]


def comparison_table(results: Sequence[ModelResult]) -> Table:
    """A column for each model."""
    rows = [
        ["threshold", *(f"{one.card.threshold:g}" for one in results)],
        [RATE_HEADINGS[1], *(rate(one.far.value, one.far) for one in results)],
        [RATE_HEADINGS[2], *(rate(one.frr.value, one.frr) for one in results)],
    ]
    for far in COMPARED_FARS:
        refused = [one.frr_at_far[far] for one in results]
        cells = ["too few pairs" if frr is None else rate(frr.value, frr) for frr in refused]
        rows.append([f"refused at a FAR of {percent(far)}", *cells])
    return [["measured", *(one.card.name for one in results)], *rows]


def evaluation_table(evaluation: Evaluation) -> Table:
    def cell(share: float, text: str, pairs: int) -> str:
        return f"{round(share * pairs):,} of {pairs:,}: {text}"

    rows = [
        [
            f"{threshold:g}",
            cell(far.value, rate(far.value, far), evaluation.impostor_pairs),
            cell(frr.value, rate(frr.value, frr), evaluation.genuine_pairs),
        ]
        for threshold, (far, frr) in evaluation.rates.items()
    ]
    return [RATE_HEADINGS, *rows]


def wanted_far_table(calibration: Calibration) -> Table:
    rows = [["FAR wanted", "threshold", "one person refused (FRR)"]]
    for far, threshold in calibration.threshold_for_far.items():
        if threshold is None:
            rows.append([percent(far), "not enough people to say", ""])
        else:
            frr = calibration.at(threshold)[1]
            rows.append([percent(far), f"{threshold:.3f}", rate(frr.value, frr)])
    return rows


def gallery_size_table(calibration: Calibration) -> Table:
    risks = calibration.gallery_size_risk
    rows = [
        [f"{size:,}" + " *" * (size > calibration.max_counted_size)]
        + [rate(by_size[size].value, by_size[size]) for by_size in risks.values()]
        for size in GALLERY_SIZES
    ]
    return [["members enrolled", *(f"at {threshold:g}" for threshold in risks)], *rows]


def left_out_table(failed: Mapping[Path, str], most: int) -> Table:
    """The photos without a descriptor; at most so many."""
    rows = [[short_name(photo), code, ADVICE.get(code, "")] for photo, code in list(failed.items())[:most]]
    if len(failed) > most:
        rows.append([f"and {len(failed) - most:,} more", "", "--json lists them"])
    return [["photo", "left out because", "what to do"], *rows]


def fpir_table(risk: StrangerRisk) -> Table:
    rows = [[f"{t:g}", rate(fpir.share, fpir)] for t, fpir in risk.expected_fpir.items()]
    return [["threshold", "strangers let in as some member (FPIR)"], *rows]


def recommendation_table(risk: StrangerRisk) -> Table:
    rows = [[percent(share), format_threshold(r), format_alpha(r)] for share, r in risk.recommendations.items()]
    return [["FPIR wanted", "threshold", "or the cohort rule's alpha"], *rows]


def hub_table(risk: StrangerRisk) -> Table:
    rows = [[str(hub.member), hub.name or "", f"{hub.nearest_to:g}", f"{hub.within:g}"] for hub in risk.hubs]
    return [["number", "name", "most alike to so many", f"of them within {risk.threshold:g}"], *rows]


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
