"""New decisions as server-sent events: none is lost or told twice, by any process; and when a stream ends."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path

import httpx
import pytest
import sqlalchemy as sa
from console_service import Console, console_service
from event_streams import listening
from fake_photos import fake_photo
from liveness import until

from face128.api.console.decision_feed import MAX_STREAMS
from face128.gallery.gallery import Gallery
from face128.gallery.trail import decisions
from face128.gallery.trail.decisions import KeptDecision

EVENTS = "/console/decisions/events"
ADA, BEN, STRANGER = (fake_photo(number) for number in range(3))
LONGEST_STOP_S = 15  # half of FACE128_GRACE, for which a stop must not wait
CLIENT_S = 2  # FACE128_CLIENT_SECONDS


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    return f"sqlite:///{tmp_path_factory.mktemp('events')}/gallery.sqlite"


@pytest.fixture(scope="module")
def console(url: str) -> Iterator[Console]:
    settings = {"FACE128_DECISION_LOG_DAYS": "30", "FACE128_DATABASE_URL": url}
    settings |= {"FACE128_CLIENT_SECONDS": str(CLIENT_S), "FACE128_KEEP_ALIVE_SECONDS": "1"}
    with console_service(workers=2, FACE128_ENGINES="fake", **settings) as console:
        with console.api() as api:
            for user_id, image in (("ada", ADA), ("ben", BEN)):
                answer = api.post(
                    f"/enroll_faces/{user_id}", files={"files": image}, data={"name": f"<i>{user_id}</i>"}
                )
                assert answer.status_code == 200
        yield console


@pytest.fixture
def client(console: Console) -> Iterator[httpx.Client]:
    with console.client("gallery") as client:
        yield client


def decide(console: Console, image: bytes = ADA) -> None:
    """By a connection of its own, which either process may take."""
    with console.api() as api:
        assert api.post("/match_face", files={"image": image}).status_code == 200


def kept(console: Console) -> list[int]:
    """The oldest first."""
    with console.api() as api:
        return [each["id"] for each in api.get("/decisions?limit=1000").json()["decisions"]][::-1]


def test_a_new_decision_comes_as_a_row_of_the_page(console: Console, client: httpx.Client) -> None:
    with listening(client, EVENTS) as stream:
        decide(console)
        (event,) = stream.wait_for(1)
        assert f'<tr id="decision-{kept(console)[-1]}"' in event.data
        assert "&lt;i&gt;ada&lt;/i&gt;" in event.data
        assert "<i>" not in event.data
        assert 'href="../console/person?id=ada"' in event.data
        page = client.get("/console/decisions").text
        assert event.data.strip() in page  # the very same row, links and all


def test_every_stream_of_each_process_is_told_each_decision_once_and_in_order(console: Console) -> None:
    before = kept(console)
    with ExitStack() as stack:
        client = stack.enter_context(console.client("gallery"))
        streams = [stack.enter_context(listening(client, EVENTS)) for _ in range(8)]
        with ThreadPoolExecutor(4) as threads:
            list(threads.map(lambda _: decide(console), range(20)))
        expected = kept(console)[len(before) :]
        assert len(expected) == 20
        for stream in streams:
            stream.wait_for(20)
            assert stream.ids == expected


def test_a_browser_that_connects_again_and_again_loses_none(console: Console, client: httpx.Client) -> None:
    """While decisions are made without a break, it comes back with the last id that it has seen."""
    first = kept(console)[-1]
    seen: list[int] = []
    last = str(first)
    moments = random.Random(27)
    with ThreadPoolExecutor(2) as threads:
        made = threads.map(lambda _: decide(console), range(30))
        for _ in range(5):
            with listening(client, EVENTS, headers={"Last-Event-ID": last}) as stream:
                time.sleep(moments.uniform(0, 0.6))
                seen += stream.ids
                last = str(seen[-1]) if seen else last
        list(made)
    with listening(client, f"{EVENTS}?after={first}", headers={"Last-Event-ID": last}) as stream:
        expected = [each for each in kept(console) if each > first]
        until(lambda: seen[-1:] == expected[-1:] or stream.ids[-1:] == expected[-1:])
        seen += stream.ids
    assert seen == expected


def test_from_the_beginning_and_from_the_future(console: Console, client: httpx.Client) -> None:
    everything = kept(console)
    with listening(client, f"{EVENTS}?after=0") as stream:
        stream.wait_for(len(everything))
        assert stream.ids == everything
    with listening(client, EVENTS, headers={"Last-Event-ID": "999999"}) as stream:  # of another gallery
        decide(console)
        stream.wait_for(1)
        assert stream.ids == [kept(console)[-1]]
    for wrong in ("x", "-1", "1 2", "²"):
        with listening(client, EVENTS, headers={"Last-Event-ID": wrong.encode()}) as stream:  # type: ignore[dict-item]
            assert stream.ids == []


def test_filters_let_only_theirs_through_and_the_id_goes_on(console: Console, client: httpx.Client) -> None:
    with ExitStack() as stack:
        of_ben = stack.enter_context(listening(client, f"{EVENTS}?person=ben"))
        refused = stack.enter_context(listening(client, f"{EVENTS}?verdict=no"))
        verified = stack.enter_context(listening(client, f"{EVENTS}?kind=verify"))
        for image in (ADA, STRANGER, BEN, ADA):
            decide(console, image)
        with console.api() as api:
            assert api.post("/verify/ada", files={"image": ADA}).status_code == 200
        made = kept(console)[-5:]
        until(lambda: all(stream.last_id == str(made[-1]) for stream in (of_ben, refused, verified)))
        assert (of_ben.ids, refused.ids, verified.ids) == ([made[2]], [made[1]], [made[4]])
    assert client.get(f"{EVENTS}?verdict=maybe").status_code == 422
    assert client.get(f"{EVENTS}?kind=x", headers={"Accept": "text/event-stream"}).json()["code"] == "invalid_request"


def test_a_collection_is_told_its_own(console: Console) -> None:
    with console.client("site") as site, console.client("gallery") as client, ExitStack() as stack:
        of_site = stack.enter_context(listening(site, EVENTS))
        of_default = stack.enter_context(listening(client, EVENTS))
        with console.api("site") as api:
            assert api.post("/match_face", files={"image": ADA}).status_code == 200
        of_site.wait_for(1)
        decide(console)
        of_default.wait_for(1)
        assert (len(of_site.ids), len(of_default.ids)) == (1, 1)
        assert set(of_site.ids).isdisjoint(of_default.ids)
        assert "nobody" in of_site.events[0].data


def test_it_needs_a_session_with_the_scope(console: Console) -> None:
    headers = {"Accept": "text/event-stream"}
    for key, status, code in ((None, 401, "unauthorized"), ("match", 403, "forbidden"), ("admin", 403, "forbidden")):
        with console.client(key) as client:
            answer = client.get(EVENTS, headers=headers)
            assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_it_ends_with_the_session(console: Console, url: str) -> None:
    with ExitStack() as stack:
        clients = [stack.enter_context(console.client("gallery")) for _ in range(2)]
        stream, stays = (stack.enter_context(listening(client, EVENTS)) for client in clients)
        clients[0].post("/console/sign-out")
        assert stream.ended.wait(20)
        assert [event.name for event in stream.events] == ["signed_out"]
        assert not stays.ended.is_set()
        with sa.create_engine(url).begin() as connection:  # as after its hours
            connection.execute(sa.text("UPDATE console_sessions SET expires_at = '2020-01-01T00:00:00.000000Z'"))
        assert stays.ended.wait(20)
        assert [event.name for event in stays.events] == ["signed_out"]


def test_a_stream_outlives_the_limits_of_other_answers(console: Console, client: httpx.Client) -> None:
    with listening(client, EVENTS) as stream:
        until(lambda: stream.comments >= 2)  # the second is the first heartbeat, later than each of the limits
        decide(console)
        stream.wait_for(1)
        assert not stream.ended.is_set()


def test_a_reader_that_takes_nothing_is_dropped_and_the_others_are_served(
    console: Console, client: httpx.Client, url: str
) -> None:
    port = httpx.URL(console.url).port
    assert port
    cookies = "; ".join(f"{each.name}={each.value}" for each in client.cookies.jar)
    with socket.create_connection(("127.0.0.1", port)) as slow, listening(client, EVENTS) as stream:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.sendall(f"GET {EVENTS} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nCookie: {cookies}\r\n\r\n".encode())
        time.sleep(0.5)
        made = KeptDecision("search", "ada", 0.1, None, "yes", "threshold", "fake")
        with closing(Gallery(url)) as gallery, gallery.database.writing() as connection:
            decisions.keep(connection, [made] * 1400, 30)
        stream.wait_for(1400)
        assert len(set(stream.ids)) == 1400
        time.sleep(CLIENT_S + 1)
        slow.settimeout(20)
        received = 0
        try:
            while data := slow.recv(2**20):
                received += len(data)
        except ConnectionResetError:
            pass
        assert received < sum(len(event.data) for event in stream.events) / 2


def test_there_are_only_so_many_and_a_stop_does_not_wait_for_them(tmp_path: Path) -> None:
    settings = {"FACE128_DECISION_LOG_DAYS": "30", "FACE128_ENGINES": "fake", "FACE128_DATA": str(tmp_path)}
    with console_service(keys=False, **settings) as console, console.client(None) as client:
        with ExitStack() as stack:
            first = [stack.enter_context(listening(client, EVENTS)) for _ in range(MAX_STREAMS)]
            with client.stream("GET", EVENTS, headers={"Accept": "text/event-stream"}) as refused:
                assert refused.status_code == 503
                assert refused.headers["retry-after"]
                refused.read()
            assert refused.json()["code"] == "overloaded"
            assert client.get("/health").status_code == 200
        assert all(stream.ended.wait(20) for stream in first)
        with ExitStack() as stack:  # their places are free again
            streams = [stack.enter_context(listening(client, EVENTS, attempts=200)) for _ in range(MAX_STREAMS)]
            with console.api() as api:
                api.post("/match_face", files={"image": ADA})
            for stream in streams:
                stream.wait_for(1)
            console.process.terminate()
            assert console.process.wait(LONGEST_STOP_S) == 0
            assert all(stream.ended.wait(30) for stream in streams)
