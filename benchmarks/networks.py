"""dlib's network, retail and both together on lfw-view1: the pairs, and members among strangers by the service's rules.

    python -m benchmarks.networks [--seeds 20] [--descriptors FILE.npz]

Each photo is looked at once, by both networks; the pairs are those of domain/fusion.py. Faces are detected as with
FACE128_DETECTION=exact; of several faces the one nearest to the middle counts, as in LFW's protocol. Needs
FACE128_RETAIL_MODEL. ``--descriptors`` stores the descriptors for the next run.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
import numpy.typing as npt

from benchmarks.harness import LFW
from benchmarks.open_set import Draw, draw, print_table
from benchmarks.passes import tar_at_far
from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, RETAIL, ModelCard
from face128.jobs.audit.close_pairs import close_pairs
from face128.jobs.audit.one_person import suspected_pairs
from face128.jobs.calibrate.described_photos import DescribedPhotos, describe, pairs_of
from face128.jobs.calibrate.evaluate import best_threshold, error_rates
from face128.jobs.calibrate.photo_pairs import pair_photos, read_pairs
from face128.jobs.execution.local_backend import LocalBackend
from face128.jobs.execution.recipe import Recipe
from face128.matching.cohort_score import descriptor_lengths
from face128.matching.conformal import Cohort
from face128.matching.fast_distances import approximate_distances
from face128.matching.tails import serving_tail
from face128.settings import load_settings

SIZES = (40, 200, 750)
TARGET_FPIRS = (0.01, 0.001)
ALPHAS = {40: 0.02, 200: 0.01, 750: 0.01}
FARS = (0.001, 0.0001)
FOLDS = 10


def print_pairs(described: DescribedPhotos) -> None:
    """The accuracy at the threshold that fits the other folds best, and what a threshold does on all pairs."""
    card = described.card
    listed = pair_photos(described.vectors, card.metric, read_pairs(LFW.parent / "pairs.txt", LFW))
    distances, genuine = listed.distances.astype(np.float64), listed.genuine
    folds = np.random.default_rng(0).permutation(len(genuine)) % FOLDS
    shares = []
    for fold in range(FOLDS):
        rest, own = folds != fold, folds == fold
        threshold, _ = best_threshold(distances[rest & genuine], distances[rest & ~genuine])
        shares.append(float(np.mean((distances[own] <= threshold) == genuine[own])))
    threshold, best = best_threshold(distances[genuine], distances[~genuine])
    print(f"\n{card.name}: {card.licence}")
    print(
        f"  {len(genuine)} pairs of pairs.txt: accuracy {np.mean(shares):.2%} in {FOLDS} folds, {best:.2%} at "
        f"{threshold:.3f}"
    )
    every = pair_photos(described.vectors, card.metric)
    same, other = (every.distances[every.genuine == kind].astype(np.float64) for kind in (True, False))
    print(f"  all pairs, {len(same):,} of one person and {len(other):,} of two:")
    for far in FARS:
        print(f"    TAR at FAR {far:.2%}: {tar_at_far(same, other, far):.1%}")
    for fixed in (card.threshold, card.cohort_cap):
        rates = error_rates(same, other, fixed)
        print(f"    at {fixed:g}: FAR {rates['far']:.4%}, FRR {rates['frr']:.1%}")


def rates(vectors: npt.NDArray[np.float64], card: ModelCard, drawn: Draw, alpha: float) -> dict[str, list[float]]:
    """FPIR and share identified: by the threshold, by the cohort rule, and by the distance cut at an actual FPIR."""
    gallery, photos, strangers = (vectors[rows] for rows in (drawn.gallery, drawn.photos, drawn.strangers))
    apart = [np.array([approximate_distances(gallery, p, card.metric) for p in each]) for each in (photos, strangers)]
    correct = apart[0].argmin(1) == drawn.photo_members
    nearest, of_strangers = (each.min(1) for each in apart)
    found = {f"threshold {card.threshold:g}": (nearest <= card.threshold, of_strangers <= card.threshold)}
    cohort = Cohort.of(gallery, np.arange(len(gallery)), card.metric)
    risks = [
        np.array(
            [_risk(cohort, alpha, *each) for each in zip(of, descriptor_lengths(probes, card.metric), strict=True)]
        )
        for probes, of in zip((photos, strangers), apart, strict=True)
    ]
    within = nearest <= card.cohort_cap, of_strangers <= card.cohort_cap
    found[f"cohort rule, alpha {alpha:.0%}"] = ((risks[0] <= alpha) & within[0], (risks[1] <= alpha) & within[1])
    for fpir in TARGET_FPIRS:
        cut = np.quantile(of_strangers, fpir, method="lower")
        found[f"distance, cut at FPIR {fpir:.1%}"] = (nearest <= cut, of_strangers <= cut)
    return {name: [float(theirs.mean()), float((own & correct).mean())] for name, (own, theirs) in found.items()}


def _risk(cohort: Cohort, alpha: float, distances: npt.NDArray[np.float64], length: float) -> float:
    tail = serving_tail(Rule("cohort", alpha), cohort.member_count)
    score = cohort.score(np.arange(cohort.member_count), distances, float(length), tail)
    return 1.0 if score is None else score.stranger_risk


def enrolled_twice(described: DescribedPhotos, members: int, seed: int) -> dict[str, list[float]]:
    """Of people with two photos under two numbers, the shares that the threshold and an audit's suspicion find; and
    the number of pairs of two people that each names in the list.
    """
    random, card = np.random.default_rng(seed), described.card
    names = np.array([photo.parent.name for photo in described.vectors])
    people = [random.permutation(np.flatnonzero(names == name)) for name in random.permutation(np.unique(names))]
    twice = [rows[:2] for rows in people if len(rows) > 1][: max(1, members // 25)]
    chosen = {int(rows[0]) for rows in twice}
    once = [rows[:1] for rows in people if int(rows[0]) not in chosen][: members - 2 * len(twice)]
    rows = np.concatenate([*twice, *once])
    vectors = np.array([*described.vectors.values()], np.float64)[rows]
    near = {(a, b) for a, b, _ in close_pairs(vectors, np.arange(len(rows)), card.metric, card.threshold)}
    suspected = suspected_pairs(vectors, np.arange(len(rows)), card.metric, card.cohort_cap)
    found = {}
    for name, pairs in (("threshold", near), ("suspected", {(each.first, each.second) for each in suspected})):
        right = {(a, b) for a, b in pairs if names[rows[a]] == names[rows[b]]}
        found[name] = [float(len(pairs - right)), len(right) / len(twice)]
    return found


def load(path: Path | None) -> list[DescribedPhotos]:
    if path and path.exists():
        kept = np.load(path)
        photos = [LFW / name for name in kept["photos"].tolist()]
        found = [DescribedPhotos(card, dict(zip(photos, kept[card.name], strict=True)), {}) for card in (DLIB, RETAIL)]
    else:
        settings = load_settings(detection="exact")
        backend = LocalBackend(settings.threads, settings.photo_seconds)
        recipe = Recipe.from_settings(settings, "dlib,retail", "central")
        found = describe(sorted(LFW.rglob("*.jpg")), recipe, backend)[:2]
        if path:
            names = [str(photo.relative_to(LFW)) for photo in found[0].vectors]
            np.savez(path, photos=names, **{each.card.name: np.array([*each.vectors.values()]) for each in found})
    pairs = pairs_of(*found)
    assert pairs
    return [*found, pairs]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=20, help="galleries of each size (default 20)")
    parser.add_argument(
        "--descriptors", type=Path, help="read the descriptors from this file; write it if it is missing"
    )
    options = parser.parse_args()
    if not LFW.exists():
        raise SystemExit("Skipped: ../shared/data/lfw-view1 is missing.")
    models = load(options.descriptors)
    for described in models:
        print_pairs(described)
    for described in models:
        for members in (40, 200):
            print(f"\n{members} members, 4 % of them twice, {described.card.name}")
            lists = [enrolled_twice(described, members, seed) for seed in range(options.seeds)]
            print_table(lists, ["false (x 100)", "found"])
    names = np.array([photo.parent.name for photo in models[0].vectors])
    for members in SIZES:
        drawn = [draw(names, members, seed) for seed in range(options.seeds)]
        for described in models:
            vectors = np.array([*described.vectors.values()], np.float64)
            print(f"\n{members} members, {described.card.name}")
            columns = ["FPIR", "identified"]
            print_table([rates(vectors, described.card, each, ALPHAS[members]) for each in drawn], columns)


if __name__ == "__main__":
    main()
