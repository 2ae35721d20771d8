"""The catalogue: two whole languages, nothing said outside of it, nothing in it that is never said."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from string import Formatter

import httpx
import pytest
from console_routes import paths
from console_service import Console, console_service
from console_templates import CONSOLE, TEMPLATES, bare_text

from face128 import errors
from face128.api.console.sentences import LANGUAGES, Sentences

SCREENS = sorted(file.stem for file in (CONSOLE / "sentences" / "en").glob("*.toml"))
SOURCES = "\n".join(
    [*TEMPLATES.values(), *(file.read_text() for kind in ("*.py", "*.js") for file in CONSOLE.rglob(kind))]
)
LITERALS = set(re.findall(r"""["'`]([\w.-]+)["'`]""", SOURCES)) | set(re.findall(r"""f["']([\w.]+\.){""", SOURCES))
PLURALS = {"one", "other"}


def flat(table: dict[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for name, value in table.items():
        if isinstance(value, dict):
            yield from flat(value, f"{prefix}.{name}")
        else:
            assert isinstance(value, str)
            yield f"{prefix}.{name}", value


def catalogue(language: str) -> dict[str, str]:
    return {
        key: text
        for screen in SCREENS
        for key, text in flat(
            tomllib.loads((CONSOLE / "sentences" / language / f"{screen}.toml").read_text("utf-8")), screen
        )
    }


CATALOGUES = {language: catalogue(language) for language in LANGUAGES}
ENGLISH = CATALOGUES["en"]


def placeholders(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("language", LANGUAGES[1:])
def test_each_language_has_every_sentence_with_the_same_values(language: str) -> None:
    assert sorted(file.stem for file in (CONSOLE / "sentences" / language).glob("*.toml")) == SCREENS
    other = CATALOGUES[language]
    assert ENGLISH.keys() == other.keys()
    for key, text in ENGLISH.items():
        expected = placeholders(text)
        if key.endswith((".one", ".other")):  # "one" may be a word
            assert placeholders(other[key]) - {"n"} == expected - {"n"}, key
        else:
            assert placeholders(other[key]) == expected, key


def test_the_languages_differ() -> None:
    """A sentence that was forgotten is the English one."""
    same = [key for key, text in ENGLISH.items() if CATALOGUES["de"][key] == text and len(text.split()) > 2]
    assert not same


@pytest.mark.parametrize("language", LANGUAGES)
def test_sentences_are_in_order(language: str) -> None:
    for key, text in CATALOGUES[language].items():
        assert text == text.strip(), key
        assert text, key
        assert not re.search(r"[<>]|&\w+;|  |\.\.\.", text), key
        assert all(name.isidentifier() for name in placeholders(text)), key
    for key in CATALOGUES[language]:
        stem, _, last = key.rpartition(".")
        if last in PLURALS:
            assert {f"{stem}.{each}" for each in PLURALS} <= CATALOGUES[language].keys(), key


def is_used(key: str) -> bool:
    stem, _, last = key.rpartition(".")
    if last in PLURALS and f"{stem}.one" in ENGLISH and is_used(stem):
        return True
    if key in LITERALS:
        return True
    screen, _, rest = key.partition(".")
    if screen == "errors":
        return rest in codes()
    if rest == "title":
        return screen in LITERALS
    if rest.startswith("done."):
        return rest.removeprefix("done.") in LITERALS
    # A family, as "overview.about." ~ name: its last part is data, which the code or another catalogue names.
    parts = key.split(".")
    families = (".".join(parts[:at]) + "." for at in range(len(parts) - 1, 0, -1))
    return any(family in LITERALS for family in families)


def codes() -> set[str]:
    def below(root: type[errors.Face128Error]) -> Iterator[str]:
        yield root.code
        for each in root.__subclasses__():
            yield from below(each)

    return set(below(errors.Face128Error))


def test_every_sentence_is_said_somewhere() -> None:
    assert not [key for key in ENGLISH if not is_used(key)]


def test_what_the_templates_say_is_in_the_catalogue() -> None:
    for name, text in TEMPLATES.items():
        for key in re.findall(r"""\bt\(\s*["']([\w.]+)["']\s*[,)]""", text):
            assert key in ENGLISH or f"{key}.one" in ENGLISH, f"{name}: {key}"
    known = re.compile(rf"({'|'.join(SCREENS)})(\.[a-z_0-9]+)+")
    for literal in LITERALS:
        if known.fullmatch(literal):
            family = any(key.startswith(f"{literal}.") for key in ENGLISH)
            assert literal in ENGLISH or family or literal.endswith((".js", ".css", ".html", ".png")), literal


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_says_nothing_of_its_own(name: str) -> None:
    assert not bare_text(TEMPLATES[name])


def test_the_search_for_bare_text_finds_it() -> None:
    page = "<p title='{{ t('a') }}'>{{ t('b') }}</p><code>FACE128_ALPHA</code><b>·</b> {% if x == 'Word' %}{% endif %}"
    assert bare_text(page) == []
    assert bare_text(page + "<p>Word {{ x }}</p><img alt='A word'>") == ["Word", "alt=A word"]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_has_nothing_that_the_policy_forbids_or_that_is_not_escaped(name: str) -> None:
    text = TEMPLATES[name]
    assert not re.search(r"\bstyle=|<style|\son\w+=|javascript:|<script(?![^>]*\ssrc=)", text)
    assert not re.search(r"\|\s*safe\b|autoescape|Markup\(", text)


@pytest.fixture(scope="module")
def console() -> Iterator[Console]:
    with console_service(FACE128_ENGINES="fake") as console:
        yield console


@pytest.fixture(scope="module")
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client() as client:
        yield client


@pytest.mark.parametrize("path", paths("GET"))
def test_every_page_speaks_the_chosen_language(client: httpx.Client, path: str) -> None:
    for language in LANGUAGES:
        with client.stream("GET", path, params={"lang": language}) as answer:
            if answer.headers.get("content-type", "").startswith("text/html"):
                page = answer.read().decode()
                assert f'<html lang="{language}">' in page
                assert f">{Sentences(language).text('base.skip')}<" in page


@pytest.mark.parametrize(
    ("headers", "language"),
    [
        ({"Accept-Language": "de-AT,de;q=0.9,en;q=0.5"}, "de"),
        ({"Accept-Language": "fr,en;q=0.5,de;q=0.7"}, "de"),
        ({"Accept-Language": "fr"}, "en"),
        ({"Accept-Language": "de;q=x,;;,=;q=,*"}, "en"),
        ({"Accept-Language": "," * 5000 + "de"}, "en"),
        ({"Cookie": "face128_language=de", "Accept-Language": "en"}, "de"),
        ({"Cookie": "face128_language=../../etc"}, "en"),
    ],
)
def test_the_language_is_the_browsers_unless_somebody_chose(
    console: Console, headers: dict[str, str], language: str
) -> None:
    page = httpx.get(f"{console.url}/console/sign-in", headers=headers, timeout=60)
    assert f'<html lang="{language}">' in page.text


def test_a_choice_is_kept_and_leads_back(client: httpx.Client) -> None:
    answer = client.post("/console/language", data={"language": "de", "next": "people"})
    assert answer.status_code == 303
    assert answer.next_request is not None
    assert answer.next_request.url.path == "/console/people"
    assert '<html lang="de">' in client.get("/console").text
    assert client.post("/console/language", data={"language": "en"}).status_code == 303
    assert '<html lang="en">' in client.get("/console").text
    assert client.post("/console/language", data={"language": "xx"}).status_code == 422


def test_numbers_are_written_as_the_language_writes_them() -> None:
    assert [Sentences(each).number(1234567.891) for each in LANGUAGES] == ["1,234,567.89", "1.234.567,89"]
    assert [Sentences(each).number(100000) for each in LANGUAGES] == ["100,000", "100.000"]
    assert [Sentences(each).percent(0.0123) for each in LANGUAGES] == ["1.2 %", "1,2 %"]
