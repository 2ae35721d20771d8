"""What /match answers where descriptors of several models are at hand, by loops over plain numbers.

Written from docs/decision.md alone. ``answer`` takes the decoded body of a request; a gallery's people can be written
as such members. Of the package only the base64 and JSON forms are missing here: descriptors are lists of numbers.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

Numbers = list[float]
Row = tuple[int, Any, str, Numbers]
"""The place in the list, the regNo, the name of the model or pair, and the numbers."""

DLIB, FACEAPI, RETAIL = "dlib-resnet-v1", "faceapi-resnet-v1", "retail-0095"
PAIR = f"{DLIB}+{RETAIL}"
FAMILIES = ((DLIB, FACEAPI), (RETAIL,))
"""Models whose descriptors can be compared."""
THRESHOLD = {DLIB: 0.38, FACEAPI: 0.38, RETAIL: 0.65, "pair": 0.66}
CAP = {DLIB: 0.6, FACEAPI: 0.6, RETAIL: 0.73, "pair": 0.855}
RETAIL_WEIGHT = 0.6
NUMBERS = {DLIB: 128, FACEAPI: 128, RETAIL: 256}


def limit(table: dict[str, float], space: str) -> float:
    return table["pair" if "+" in space else space]


def length(a: Numbers) -> float:
    total = 0.0
    for x in a:
        total += x * x
    return math.sqrt(total)


def unit(a: Numbers) -> Numbers:
    scale = length(a)
    return [x / scale for x in a]


def pair(dlib: Numbers, retail: Numbers) -> Numbers:
    return unit(dlib) + [RETAIL_WEIGHT * x for x in unit(retail)]


def distance(space: str, a: Numbers, b: Numbers) -> float:
    if space == RETAIL:
        total = 0.0
        for x, y in zip(a, b, strict=True):
            total += x * y
        return 1 - total / (length(a) * length(b))
    total = 0.0
    for x, y in zip(a, b, strict=True):
        total += (x - y) * (x - y)
    return math.sqrt(total)


def mean(photos: list[Numbers]) -> Numbers:
    sums = [0.0] * len(photos[0])
    for photo in photos:
        sums = [total + x for total, x in zip(sums, photo, strict=True)]
    return [total / len(photos) for total in sums]


def photos_of(one: dict[str, Any], default: str) -> dict[str, dict[int, Numbers]]:
    """A member's or a probe's descriptors by model, and by the place of the photo: -1 for one that pairs with none."""
    found: dict[str, dict[int, Numbers]] = {}
    model = one.get("model") or default
    single, several = one.get("descriptor"), one.get("descriptors")
    if isinstance(several, dict):
        lists = {}
        for name, value in several.items():
            if value:
                lists[name] = [value] if isinstance(value[0], float) else value
        if single:
            first = (lists.get(model) or [None])[0]
            if model not in lists:
                found[model] = {0: single}
            elif first != single:
                found[model] = {-1: single}
        for name, values in lists.items():
            places = found.setdefault(name, {})
            places.update({place: value for place, value in enumerate(values) if value})
    else:
        values = ([single] if single else []) + (several or [])
        found[model] = {-1 - place: value for place, value in enumerate(values)}
    return {name: places for name, places in found.items() if places}


def probe_of(body: dict[str, Any]) -> dict[str, Numbers]:
    """The probe's descriptor by each model; its own model is the first."""
    own = body.get("model") or DLIB
    found = {}
    for name, places in photos_of(body, DLIB).items():
        photos = list(places.values())
        found[name] = photos[0] if len(photos) == 1 else mean(list(map(unit, photos)) if name == RETAIL else photos)
    return {name: found[name] for name in sorted(found, key=lambda name: name != own)}


def spaces_of(models: list[str], order: str) -> list[str]:
    dlib = [name for name in models if name in FAMILIES[0]]
    retail = [name for name in models if name in FAMILIES[1]]
    if order == "dlib":
        return dlib + retail
    pairs = [f"{one}+{other}" for one in dlib for other in retail] if order == "dlib+retail" else []
    return pairs + retail + dlib


def rows_in(space: str, body: dict[str, Any]) -> list[Row]:
    """All descriptors of the members that can be compared in a space."""
    rows: list[Row] = []
    for place, member in enumerate(body["enrolled"]):
        photos = photos_of(member, body.get("model") or DLIB)
        if "+" in space:
            for one in FAMILIES[0]:
                for photo in sorted(photos.get(one, {})):
                    if photo >= 0 and photo in photos.get(RETAIL, {}):
                        fused = pair(photos[one][photo], photos[RETAIL][photo])
                        rows.append((place, member["regNo"], f"{one}+{RETAIL}", fused))
        else:
            (family,) = (family for family in FAMILIES if space in family)
            for one in family:
                rows += [(place, member["regNo"], one, numbers) for numbers in photos.get(one, {}).values()]
    return with_templates(space, rows) if body.get("template") == "mean" else rows


def with_templates(space: str, rows: list[Row]) -> list[Row]:
    people: dict[tuple[Any, str], list[Row]] = {}
    for row in rows:
        people.setdefault((row[1], row[2]), []).append(row)
    found = []
    for own in people.values():
        photos = [row[3] for row in own]
        counts = [sum(distance(space, a, b) <= limit(CAP, space) for b in photos) for a in photos]
        centre = photos[counts.index(max(counts))]
        near = [photo for photo in photos if distance(space, photo, centre) <= limit(CAP, space)]
        near = near if 2 * len(near) > len(photos) else photos
        found.append((*own[0][:3], mean(near) if len(near) > 1 else near[0]))
    return found


def decided_rows(body: dict[str, Any], order: str) -> dict[str, tuple[Numbers, list[Row], set[Any]]]:
    """By space, the preferred first: the probe there, all rows, and the regNos of those who are decided there."""
    probe = probe_of(body)
    decided: set[Any] = set()
    found = {}
    for space in spaces_of(list(probe), order):
        rows = rows_in(space, body)
        here = {reg_no for _, reg_no, _, _ in rows} - decided
        decided |= here
        if here:
            one, _, other = space.partition("+")
            found[space] = pair(probe[one], probe[other]) if other else probe[one], rows, here
    return found


def answer(body: dict[str, Any], order: str = "dlib") -> dict[str, Any]:
    """The explained answer, without stranger_risk by the threshold rule; {"code": ...} where there is an error."""
    probe = probe_of(body)
    if not probe:
        return {"code": "invalid_descriptor"}
    found = decided_rows(body, order)
    if not found and any(photos_of(member, body.get("model") or DLIB) for member in body["enrolled"]):
        return {"code": "model_mismatch"}
    rule, asked = body.get("decision") or {"rule": "threshold"}, body.get("threshold")
    thresholds = {next(iter(probe)): asked} if isinstance(asked, float) else asked or {}
    cohort = rule["rule"] == "cohort"

    def threshold(space: str) -> float:
        return thresholds.get(space) or limit(CAP if cohort else THRESHOLD, space)

    people: dict[Any, tuple[float, int, float, str, Row]] = {}
    for space, (numbers, rows, here) in found.items():
        for row in rows:
            if row[1] in here:
                near = distance(space, numbers, row[3])
                one = near / threshold(space), row[0], near, space, row
                people[row[1]] = min(people.get(row[1], one), one, key=lambda each: each[:2])
    ranking = sorted(people.values(), key=lambda each: each[:2])
    if cohort:
        risks = {space: risk(space, *of_space, rule) for space, of_space in found.items()}
        if not found or all(each == "too_few_members" for each in risks.values()):
            return {"code": "too_few_members"}
        nearest = {space: next(each for each in ranking if each[3] == space) for space in found}
        candidates = [(each, *nearest[space][:2], space) for space, each in risks.items() if isinstance(each, float)]
        chosen = nearest[min(candidates)[3]] if candidates else ranking[0]
        best_risk = min(candidates)[0] if candidates else math.inf
        ranking = [chosen, *(each for each in ranking if each is not chosen)]
    result = explained(body, ranking, threshold, best_risk <= rule["alpha"] if cohort else True)
    return result | ({"stranger_risk": best_risk} if cohort and candidates else {})


def names_models(body: dict[str, Any]) -> bool:
    """Whether the probe or a member says which model made a descriptor, other than by the probe's ``model``."""
    own = body.get("model") or DLIB
    return isinstance(body.get("descriptors"), dict) or any(
        photos_of(member, own) and (isinstance(member.get("descriptors"), dict) or member.get("model", own) != own)
        for member in body["enrolled"]
    )


def explained(body: dict[str, Any], ranking: list[Any], threshold: Any, likely: bool) -> dict[str, Any]:
    if not ranking:
        own = next(iter(probe_of(body)))
        nobody = {"match": False, "distance": None, "threshold": threshold(own), "model": own}
        return nobody | {"runner_up": None, "margin": None} | ({"models": [own]} if names_models(body) else {})
    (_, place, near, space, row), *others = ranking
    member = body["enrolled"][place]
    accepted = near <= threshold(space) and likely
    result = {"regNo": member["regNo"], "name": member.get("name")} if accepted else {"match": False}
    result |= {"distance": near, "threshold": threshold(space), "model": space}
    if names_models(body):
        result["models"] = space.split("+")
    if row[2] != space:
        result["mixed_models"] = True
    result |= {"runner_up": None, "margin": None}
    if others:
        _, place, further, other_space, _ = others[0]
        member = body["enrolled"][place]
        result["runner_up"] = {"regNo": member["regNo"], "name": member.get("name"), "distance": further}
        if other_space != space:
            result["runner_up"] |= {"model": other_space, "threshold": threshold(other_space)}
            further *= threshold(space) / threshold(other_space)
        result["margin"] = further - near
    return result


def risk(space: str, probe: Numbers, rows: list[Row], here: set[Any], rule: dict[str, Any]) -> float | str | None:
    """The stranger_risk of the nearest of all in a space; None if they are decided in another, or have none."""
    people = list(dict.fromkeys(row[1] for row in rows))
    alpha = rule.get("alpha", 0.01)
    tail = rule.get("tail") or ("estimate" if 30 <= len(people) < 2 / alpha else "exact")
    if len(people) < (30 if tail == "estimate" else max(7, math.ceil(1 / alpha - 1e-9) - 1)):
        return "too_few_members"
    apart = all_distances(space, np.array([row[3] for row in rows]))
    to_probe = [distance(space, probe, row[3]) for row in rows]
    if rows[to_probe.index(min(to_probe))][1] not in here:
        return None

    def score(numbers: Numbers, distances: list[float], own: Any = None, joined: float | None = None) -> float:
        near: dict[Any, float] = {}
        for row, each in zip(rows, distances, strict=True):
            if row[1] != own:
                near[row[1]] = min(near.get(row[1], math.inf), each)
        nearest, *crowd = sorted([*near.values(), *([] if joined is None else [joined])])[:6]
        middle = sum(crowd) / 5
        scale = middle if len(people) >= 200 else math.sqrt(middle * (1.0 if space == RETAIL else length(numbers)))
        return nearest / scale if scale else math.inf

    own_score = score(probe, to_probe)
    weights = [1 / sum(other[1] == row[1] for other in rows) for row in rows]
    if tail == "exact":
        joined = [score(row[3], apart[i], row[1], to_probe[i]) for i, row in enumerate(rows)]
        counted = sum(weight for each, weight in zip(joined, weights, strict=True) if each <= own_score)
        return (1 + round(counted, 9)) / (len(people) + 1)
    alone = sorted(zip([score(row[3], apart[i], row[1]) for i, row in enumerate(rows)], weights, strict=True))
    low, high = quartile(alone, 0.25), quartile(alone, 0.75)
    places = [math.log(-math.log(1 - share)) for share in (0.25, 0.75)]
    scale = (high - low) / (places[1] - places[0])
    return -math.expm1(-math.exp((math.log(own_score) - low) / scale + places[0]))


def all_distances(space: str, rows: Any) -> list[list[float]]:
    """Between all rows, up to rounding."""
    if space == RETAIL:
        scaled = rows / np.linalg.norm(rows, axis=1)[:, None]
        found = 1 - scaled @ scaled.T
    else:
        found = np.linalg.norm(rows[:, None] - rows, axis=2)
    distances: list[list[float]] = found.tolist()
    return distances


def quartile(scores: list[tuple[float, float]], share: float) -> float:
    """Of the logarithms, by linear interpolation: each of the ascending ``scores`` is at the middle of its weight."""
    total = sum(weight for _, weight in scores)
    passed, before = 0.0, (0.0, 0.0)
    for i, (one, weight) in enumerate(scores):
        place, value = (passed + weight / 2) / total, math.log(one)
        if place >= share:
            return value if i == 0 else before[1] + (value - before[1]) * (share - before[0]) / (place - before[0])
        before = place, value
        passed += weight
    return before[1]
