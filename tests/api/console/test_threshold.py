"""The screen of the threshold over HTTP: its figures are those of a comparison of all with all."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from console_service import SITE, Console, console_service
from people import at_distance, enrol, synthetic
from threshold_truth import by_definition, compared_page, enrol_all, people

from face128.domain.decision_rule import Rule
from face128.domain.model_card import DLIB, RETAIL
from face128.gallery.cohort.compared_members import compare_members
from face128.gallery.gallery import Gallery
from face128.gallery.rows.records import NewFace, Person
from face128.gallery.rows.stored_space import StoredSpace
from face128.matching.stranger_estimates import share_of_strangers

PHOTOS = people(40)
SETTINGS = {"FACE128_ENGINES": "fake", "FACE128_DECISION_LOG_DAYS": "30", "FACE128_TRAIL": "1"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gallery")
    gallery = Gallery(f"sqlite:///{folder}/gallery.sqlite", template="mean")
    enrol_all(gallery, PHOTOS)
    enrol(gallery.of_collection(SITE), "alone", synthetic(1))
    gallery.close()
    return folder


@pytest.fixture(scope="module")
def console(folder: Path) -> Iterator[Console]:
    with console_service(FACE128_DATA=str(folder), **SETTINGS) as console:
        yield console


def shown(console: Console, address: str, key: str = "all", language: str = "en") -> dict[str, str]:
    """The text of each part of the page that is fetched again."""
    with console.client(key) as client:
        page = compared_page(client, address, **{"Accept-Language": language})
    parts = re.split(r'data-part="(\w+)"[^>]*>', page)[1:]
    texts = {name: text_of(text) for name, text in zip(parts[::2], parts[1::2], strict=True)}
    return {**texts, "page": text_of(page)}


def text_of(page: str) -> str:
    return " ".join(html.unescape(re.sub("<[^>]*>", " ", page)).split())


def percent(share: float) -> str:
    return f"{100 * share:.{1 if share >= 0.01 or share == 0 else 2}f} %"


def amount(value: float) -> str:
    return f"{value:,.0f}" if value >= 10 or value == 0 else f"{value:.1f}"


@pytest.mark.parametrize("threshold", [0.2, 0.38, 0.45, 0.6])
@pytest.mark.parametrize("part", ["", "&part=1"])
def test_the_figures_of_a_threshold_are_the_truth(console: Console, threshold: float, part: str) -> None:
    members, strangers, refused, mistaken = by_definition(PHOTOS, threshold, mean=True)
    estimate = share_of_strangers(strangers, len(PHOTOS))
    about, low, high = (amount(1000 * share) for share in (estimate.share, estimate.low, estimate.high))
    text = shown(console, f"threshold={threshold}{part}")["threshold"]
    assert f"At a distance of at most {threshold:.3f}:" in text
    assert f"Of your {len(PHOTOS)} members, {round(members * len(PHOTOS))} could be taken for somebody else" in text
    assert f"Of 1,000 strangers, about {about} would come in (95 %: {low} to {high})." in text
    assert f"Of members' own photos, {percent(refused)} would be refused (95 %:" in text
    assert f"{percent(mistaken)} would be taken for another member (95 %:" in text


@pytest.mark.parametrize("alpha", [0.02, 0.05, 0.2])
def test_the_figures_of_an_alpha_are_those_of_the_function(console: Console, folder: Path, alpha: float) -> None:
    gallery = Gallery(f"sqlite:///{folder}/gallery.sqlite", template="mean")
    effects = compare_members(gallery.database, StoredSpace.of(DLIB), "mean").effects
    gallery.close()
    found = effects.by_cohort(Rule("cohort", alpha))
    assert found is not None
    assert found.refused is not None
    text = shown(console, f"alpha={alpha}")["alpha"]
    assert f"With at most {percent(alpha)} of strangers:" in text
    assert f"{round(found.members.share * effects.members)} could be taken for somebody else" in text
    assert f"about {amount(1000 * found.strangers.share)} would come in" in text
    assert f"{percent(found.refused.share)} would be refused" in text
    other = shown(console, "alpha=0.5")["alpha"]
    assert other.replace("50.0 %", percent(alpha)) != text


def test_the_plot_has_a_text_and_a_table(console: Console) -> None:
    crowd = shown(console, "threshold=0.5")["crowd"]
    strangers = by_definition(PHOTOS, 0.5, mean=True)[1]
    assert f"Within 0.500, {percent(strangers)} of members have another member." in crowd
    bands = re.findall(r"(\d\.\d) to (\d\.\d) ([\d.]+) % ([\d.]+) %", crowd)
    assert [band[0] for band in bands[:3]] == ["0.0", "0.1", "0.2"]
    for start, end, others, _ in bands:
        within = [by_definition(PHOTOS, float(limit), mean=True)[1] for limit in (end, start)]
        assert float(others) == pytest.approx(100 * (within[0] - within[1]), abs=0.06)


def test_german_and_what_to_set(console: Console) -> None:
    found = shown(console, "threshold=0.45&alpha=0.02", language="de")
    assert "Bei einem Abstand von höchstens 0,450:" in found["threshold"]
    assert re.search(r"Von 1\.000 Fremden kämen etwa \d+ herein", found["threshold"])
    assert '"threshold": 0.45' in found["settings"]  # JSON has a point in every language
    assert "FACE128_DECISION=cohort FACE128_ALPHA=0.02" in found["settings"]
    own = shown(console, "threshold=0.38")["settings"]
    assert "0.380 is the model's own threshold" in own
    assert '"threshold"' not in own


def test_doorways_are_on_the_whole_page_alone_and_on_the_trail(console: Console) -> None:
    def listed() -> int:
        with console.client() as client:
            return text_of(client.get("/console/trail").text).count("list")

    before = listed()
    assert "doorways" not in shown(console, "part=1")
    assert listed() == before
    doorways = shown(console, "part=all")["doorways"]
    assert listed() > before
    assert "The 10 nearest pairs" in doorways
    assert "0.260" in doorways  # the nearest pair: "like 1" is 0.25 + 0.01 from person 1
    assert "Name like 1" in doorways


def test_decisions_that_are_kept_are_counted(console: Console) -> None:
    assert "No search by this rule" in shown(console, "threshold=0.4")["threshold"]
    vector = PHOTOS["0"][0]
    with console.api() as api:
        for distance in (0.1, 0.3, 0.42, 0.44):
            body = {"descriptor": at_distance(vector, distance).tolist(), "model": DLIB.name}
            assert api.post("/match", json=body).status_code == 200
    assert "Of the 4 newest searches that are kept, 2 were accepted." in (
        found := shown(console, "threshold=0.43")["threshold"]
    )
    assert "0 of these would be refused, and 1 more would be accepted." in found
    found = shown(console, "threshold=0.2")["threshold"]
    assert "1 of these would be refused, and 0 more would be accepted." in found
    assert "No search by this rule" in shown(console, "alpha=0.2")["alpha"]  # none has a stranger_risk


@pytest.mark.parametrize(
    "query", ["threshold=0", "threshold=2.5", "threshold=nan", "threshold=", "alpha=0", "alpha=1", "alpha=x", "part=2"]
)
def test_values_that_are_none_are_refused(console: Console, query: str) -> None:
    with console.client() as client:
        answer = client.get(f"/console/threshold?{query}", headers={"Accept": "application/json"})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert client.get(f"/console/threshold?{query}").status_code == 422


def test_a_model_that_nobody_has(console: Console) -> None:
    with console.client() as client:
        answer = client.get("/console/threshold?model=retail-0095", headers={"Accept": "application/json"})
    assert (answer.status_code, answer.json()["field"]) == (422, "model")


def test_a_collection_has_its_own_members(console: Console) -> None:
    assert "nobody to be taken for" in shown(console, "", key=SITE)["threshold"]
    assert "There are no two members" in shown(console, f"collection={SITE}")["doorways"]


def test_few_members_and_what_cannot_be_known(tmp_path: Path) -> None:
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    settings = {"FACE128_DECISION": "cohort", "FACE128_ALPHA": "0.02", "FACE128_REVIEW_ALPHA": "0.05"}
    with console_service(keys=False, FACE128_DATA=str(tmp_path), FACE128_ENGINES="fake", **settings) as console:

        def text(query: str = "") -> dict[str, str]:
            return shown(console, query, key=None)  # type: ignore[arg-type]

        assert "Nobody is enrolled yet" in text()["page"]
        vectors = synthetic(3)
        for index, vector in enumerate(vectors):
            enrol(gallery, str(index), vector, force=True)
        few = text()
        assert "cannot be known: no member has a second photo" in few["threshold"]
        assert "by what is known of this model from other people, it would be about" in few["threshold"].lower()
        assert "intervals are wide" in few["state"]
        assert "needs 30 members; there are 3" in few["alpha"]
        assert "The service is set to this alpha" in few["settings"]
        assert "No member has a second photo" in few["crowd"]
        assert "at most about" in text("threshold=0.3")["threshold"]
        assert "known of this model" not in text("threshold=0.5")["threshold"]
        assert "FACE128_REVIEW_ALPHA must be above" in text("alpha=0.06")["settings"]
        enrol(gallery, "0", at_distance(vectors[0], 0.2))  # seen at once
        assert "0.0 % would be refused" in text()["threshold"]
        both = NewFace(synthetic(9)[8], b"both", companions={RETAIL.name: np.ones(256, np.float32)})
        gallery.enrol(Person(None, "both"), [both], DLIB, force=True)
        assert "Compared by the model dlib-resnet-v1 retail-0095" in text()["page"]
        assert '"threshold": {"dlib-resnet-v1": 0.45}' in text("threshold=0.45")["settings"]
        assert "nobody to be taken for" in text("model=retail-0095")["threshold"]
        assert "0.650 is the model's own threshold" in text("model=retail-0095")["settings"]
    gallery.close()
