"""engines.py: what a service says while its engines load, and where one could not be loaded."""

from __future__ import annotations

import pytest

from face128.engines.fake import FakeEngine
from face128.errors import InvalidRequest, NotReady
from face128.service.engines import LoadedEngines
from face128.settings import Settings


def engines(decision_models: str = "dlib+retail", *names: str) -> LoadedEngines:
    return LoadedEngines(Settings(engines=names or ("dlib", "retail"), decision_models=decision_models))  # type: ignore[arg-type]


def test_a_service_is_ready_once_the_companions_of_its_default_engine_are_tried() -> None:
    """A member who is enrolled before would lack the second descriptor for good."""
    loaded, dlib, retail = engines(), FakeEngine(), FakeEngine()
    assert (loaded.ready, loaded.states()) == (False, {"dlib": "loading", "retail": "loading"})
    loaded.add("dlib", dlib)
    assert not loaded.ready
    assert loaded.get() is dlib
    for ask in (loaded.companions, lambda: loaded.companions("dlib"), lambda: loaded.probe_companions(None, None)):
        with pytest.raises(NotReady):
            ask()
    loaded.add("retail", retail)
    assert loaded.ready
    assert (loaded.companions(), loaded.companions("retail")) == ([retail], [dlib])


def test_an_engine_that_could_not_be_loaded_is_no_companion_and_stops_nobody() -> None:
    loaded, dlib = engines(), FakeEngine()
    loaded.add("retail", "The file is damaged.")
    assert not loaded.ready
    loaded.add("dlib", dlib)
    assert loaded.ready
    assert loaded.companions() == loaded.probe_companions(None, True) == []
    assert loaded.states() == {"dlib": "ready", "retail": "The file is damaged."}
    with pytest.raises(NotReady, match="The engine retail could not be loaded: The file is damaged"):
        loaded.get("retail")


def test_an_engine_of_other_faces_is_no_companion_and_delays_nothing() -> None:
    loaded = engines("dlib", "fake", "dlib", "retail")
    loaded.add("fake", FakeEngine())
    assert loaded.ready
    assert loaded.companions() == loaded.companions("nobody") == []
    with pytest.raises(InvalidRequest, match="The loaded engines are: fake, dlib, retail"):
        loaded.get("nobody")


@pytest.mark.parametrize(
    ("decision_models", "asked", "looks"),
    [
        ("dlib", None, False),
        ("dlib", True, True),
        ("retail", None, True),
        ("dlib+retail", None, True),
        ("dlib+retail", False, False),
    ],
)
def test_the_second_network_looks_at_a_probe_where_it_decides(
    decision_models: str, asked: bool | None, looks: bool
) -> None:
    loaded, retail = engines(decision_models), FakeEngine()
    loaded.add("dlib", FakeEngine())
    loaded.add("retail", retail)
    assert loaded.probe_companions("dlib", asked) == ([retail] if looks else [])
    assert loaded.companions("dlib") == [retail]  # enrolment always keeps both


NEEDS = "FACE128_DECISION_MODELS={} needs the {}. Until then photos are described by {}."


@pytest.mark.parametrize(
    ("decision_models", "names", "failed", "sentence"),
    [
        ("dlib", ["faceapi"], [], None),
        ("dlib+retail", ["dlib", "retail"], [], None),
        ("retail", ["retail"], [], None),
        ("dlib+retail", ["dlib"], [], ("engine retail in FACE128_ENGINES", "dlib")),
        ("retail", ["dlib", "faceapi"], ["faceapi"], ("engine retail in FACE128_ENGINES", "dlib")),
        ("dlib+retail", ["faceapi"], [], ("engines dlib and retail in FACE128_ENGINES", "faceapi")),
        ("dlib+retail", ["dlib", "retail"], ["retail"], ("engine retail, which could not be loaded", "dlib")),
        (
            "dlib+retail",
            ["dlib", "retail"],
            ["dlib", "retail"],
            ("engines dlib and retail, which could not be loaded", "no engine"),
        ),
    ],
)
def test_what_is_missing_is_said_in_one_sentence(
    decision_models: str, names: list[str], failed: list[str], sentence: tuple[str, str] | None
) -> None:
    loaded = engines(decision_models, *names)
    for name in names:
        loaded.add(name, "It is damaged." if name in failed else FakeEngine())
    assert loaded.decision_problem() == (sentence and NEEDS.format(decision_models, *sentence))
