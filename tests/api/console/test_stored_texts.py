"""Texts that try to become more than text, on every page that shows them: parsed, the page has the elements and
attributes that it has with harmless texts, as many of each, and the text is there as it was stored or typed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from urllib.parse import quote, urlsplit

import httpx
import pytest
from console_service import Console
from hostile_gallery import ALBUMS, TEXTS, hostile_console
from html_pages import HtmlPage
from payloads import CONTROL, LONGEST, PAYLOADS

TIMEOUT_S = 60
TYPED = "a text that somebody typed"
SHOWN_CHARACTERS = 100
"""Of metadata, at least."""
Visit = Callable[[httpx.Client, str], httpx.Response]
"""With the client of a collection and a text."""


@pytest.fixture(scope="module")
def console(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Console]:
    with hostile_console(tmp_path_factory.mktemp("gallery")) as console:
        yield console


@pytest.fixture(scope="module")
def clients(console: Console) -> Iterator[dict[str, httpx.Client]]:
    """By the collection that they name."""
    with console.client(None) as hostile, console.client(None) as harmless:
        both = {"hostile": hostile, "harmless": harmless}
        for collection, client in both.items():
            client.headers["X-Face-Collection"] = collection
        yield both


def get(path: str, *fields: str, **others: str) -> Visit:
    return lambda client, text: client.get(path, params=dict.fromkeys(fields, text) | others)


def post(path: str, *fields: str, **others: str) -> Visit:
    return lambda client, text: client.post(path, data=dict.fromkeys(fields, text) | others)


def judge(client: httpx.Client, text: str) -> httpx.Response:
    decision = HtmlPage(client.get("/console/review")).form("/console/review").fields["id"]
    return client.post("/console/review", data={"id": decision, "judgement": "person", "user_id": f"{text}?"})


def try_typed(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/console/try", files={"descriptor": (None, text.encode())})


def enrol_file(client: httpx.Client, text: str) -> httpx.Response:
    return client.post("/console/enrol", data={"id": "1", "name": "1"}, files={"images": (text, b"no photo")})


def enrol_typed(client: httpx.Client, text: str) -> httpx.Response:
    fields = {name: (None, text.encode()) for name in ("id", "name", "consent", "expires_at")}
    return client.post("/console/enrol", files=fields)


LISTS = ("people", "decisions", "review")
"""Which show everybody, some at a time."""
OF_ALL = ("", "threshold", "health", "trail", "keys", "collections", "enrol", "try")
NAMING = ("threshold", "health")
"""Of which these name some people."""
OF_ONE: dict[str, Visit] = {
    "person": get("/console/person", "id"),
    "enrol": get("/console/enrol", "id"),
    "enrolled": get("/console/enrol", "enrolled"),
    "merge": get("/console/person/merge", "id", into=ALBUMS[0]),
    "merged": get("/console/person/merge", "into", id=ALBUMS[0]),
    "merge-with": get("/console/person/merge", "id", q="nobody at all"),
    "decisions": get("/console/decisions", "person"),
}
"""Which show somebody whose id, name, consent and metadata are the text."""
SEARCHES: dict[str, Visit] = {
    "people": get("/console/people", "q"),
    "merge-with": get("/console/person/merge", "q", id=ALBUMS[0]),
}
ECHOES: dict[str, Visit] = {
    "change": post("/console/person/change", "expires_at", "consent", id=ALBUMS[0], name=ALBUMS[0]),
    "decisions": get("/console/decisions", "since"),
    "review": judge,
    "enrol-typed": enrol_typed,
    "enrol-file": enrol_file,
    "try": try_typed,
}
"""Which refuse a text, and show it again."""
IGNORED: dict[str, Visit] = {
    "nobody": get("/console/person", id="?", x="x"),
    "no-page": lambda client, text: client.get(f"/console/{quote(text, safe='')}"),
    "no-screen": lambda client, text: client.get(f"/console/x/{quote(text, safe='')}"),
    "done": get("/console/people", "done"),
    "language": get("/console/people", "lang"),
    "after": get("/console/people", "before"),
    "verdict": get("/console/decisions", "verdict"),
}
"""Whose text is not shown."""


def pages(client: httpx.Client, path: str) -> list[HtmlPage]:
    found = [HtmlPage(client.get(f"/console/{path}"))]
    while found[-1].next is not None:
        found.append(HtmlPage(client.get(found[-1].next)))
    return found


def check_addresses(page: HtmlPage, name: str) -> None:
    """All of them are of the console itself, or a picture in the page."""
    own = urlsplit(page.url)
    for address in map(urlsplit, page.addresses):
        is_own = (address.scheme, address.netloc) == (own.scheme, own.netloc) and address.path.startswith("/console")
        assert is_own or (address.scheme == "data" and address.path.startswith("image/")), (name, address)


def check(page: HtmlPage, harmless: HtmlPage, name: str, text: str) -> None:
    assert page.elements == harmless.elements, (name, text, page.elements - harmless.elements)
    check_addresses(page, name)


def is_shown(page: HtmlPage, text: str) -> bool:
    return text in page.text or any(text in value for value in page.values)


@pytest.mark.parametrize("path", LISTS)
def test_lists_show_all_texts_as_text(clients: dict[str, httpx.Client], path: str) -> None:
    hostile, harmless = (pages(clients[collection], path) for collection in ("hostile", "harmless"))
    assert len(hostile) == len(harmless) > 2
    for number, (page, other) in enumerate(zip(hostile, harmless, strict=True)):
        check(page, other, path, str(number))
    for text in TEXTS["hostile"]:
        assert any(text in page.text for page in hostile), text


@pytest.mark.parametrize("path", OF_ALL)
def test_pages_about_the_whole_gallery_have_no_more_elements(clients: dict[str, httpx.Client], path: str) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while True:  # until what is measured in the background is there for both
        page, other = (HtmlPage(clients[each].get(f"/console/{path}".rstrip("/"))) for each in TEXTS)
        shown = path not in NAMING or any(is_shown(page, text) for text in TEXTS["hostile"])
        if (shown and page.elements == other.elements) or time.monotonic() > deadline:
            break
        time.sleep(0.1)
    assert shown
    check(page, other, path, "")


def test_albums_show_all_metadata_as_text(clients: dict[str, httpx.Client]) -> None:
    unseen = set(TEXTS["hostile"])
    for album in ALBUMS:
        page, other = (HtmlPage(clients[each].get("/console/person", params={"id": album})) for each in TEXTS)
        check(page, other, "person", album)
        unseen -= {text for text in unseen if escaped(text)[:SHOWN_CHARACTERS] in page.text}
    assert not unseen


def escaped(text: str) -> str:
    """As JSON has it."""
    return text.replace("\\", "\\\\").replace('"', '\\"')


def test_pages_about_somebody_show_the_text_as_text(clients: dict[str, httpx.Client]) -> None:
    """Each person's own page, and one of the others, in turns: so each has texts of every kind."""
    others = [name for name in OF_ONE if name != "person"]
    baselines = {name: HtmlPage(visit(clients["harmless"], TEXTS["harmless"][1])) for name, visit in OF_ONE.items()}
    for number, text in enumerate(TEXTS["hostile"]):
        for name in ("person", others[number % len(others)]):
            answer = OF_ONE[name](clients["hostile"], text)
            assert answer.status_code == 200, (name, text, answer.text)
            page = HtmlPage(answer)
            check(page, baselines[name], name, text)
            assert is_shown(page, text), (name, text)


def test_searches_show_the_text_as_text(clients: dict[str, httpx.Client]) -> None:
    for name, visit in SEARCHES.items():
        known = set()
        for text in ("Harmless text 007", "Harmless", "nobody"):
            known |= HtmlPage(visit(clients["harmless"], text)).elements.keys()
        for number, text in enumerate(PAYLOADS):
            if number % len(SEARCHES) == [*SEARCHES].index(name):
                page = HtmlPage(visit(clients["hostile"], text))
                assert page.elements.keys() <= known, (name, text)
                check_addresses(page, name)
                assert text in CONTROL or is_shown(page, text), (name, text)


@pytest.mark.parametrize("name", ECHOES)
def test_what_is_refused_is_shown_as_text(clients: dict[str, httpx.Client], name: str) -> None:
    visit, step = ECHOES[name], [*ECHOES].index(name)
    harmless = visit(clients["harmless"], TYPED)
    assert harmless.status_code >= 400
    baseline = HtmlPage(harmless)
    assert is_shown(baseline, TYPED)
    for text in PAYLOADS[step :: len(ECHOES)]:
        answer = visit(clients["hostile"], text)
        assert 400 <= answer.status_code < 500, (name, text)
        page = HtmlPage(answer)
        check(page, baseline, name, text)
        shown = text.replace('"', "%22") if name == "enrol-file" else text  # as browsers send the name of a file
        assert text in CONTROL or is_shown(page, shown), (name, text)


@pytest.mark.parametrize("name", IGNORED)
def test_what_is_not_shown_adds_nothing(clients: dict[str, httpx.Client], name: str) -> None:
    visit, step = IGNORED[name], [*IGNORED].index(name)
    baseline = HtmlPage(visit(clients["harmless"], "harmless"))
    for text in PAYLOADS[step :: len(IGNORED)]:
        check(HtmlPage(visit(clients["hostile"], text)), baseline, name, text)


def test_control_characters_and_longer_texts_are_not_stored(clients: dict[str, httpx.Client]) -> None:
    client = clients["hostile"]
    for text in (*CONTROL, "x" * (LONGEST + 1)):
        answer = client.patch(f"/people/{ALBUMS[0]}", json={"name": text})
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request"), text
        answer = client.post("/console/person/change", data={"id": ALBUMS[0], "name": text, "was_name": ALBUMS[0]})
        assert answer.status_code == 422, text
    assert client.get(f"/people/{ALBUMS[0]}").json()["name"] == ALBUMS[0]
