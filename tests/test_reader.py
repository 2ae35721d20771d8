"""reader.py: the process that reads half of a large body is begun, used, lost and replaced, and no answer changes."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
from serving import started
from test_enrolled import GOOD, ask
from test_halves import member, the_same

from benchmarks.processes import tree
from face128 import enrolled, reader
from face128.bodies import Bodies, PlainMemory, SharedMemory
from face128.enrolled import MatchRequest
from face128.processes import EngineProcesses
from face128.reader import LARGE, Reader
from face128.rules import THRESHOLD
from face128.settings import Settings

pytestmark = pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="a reader needs Linux")

MEMBERS = 1500


def body(winner: int) -> bytes:
    members = [{**member(i), "descriptor": [i / MEMBERS, *GOOD[1:]]} for i in range(MEMBERS)]
    text = ask(*members, probe=members[winner]["descriptor"])
    assert len(text) > LARGE
    return text


def shared(text: bytes) -> SharedMemory:
    memory = SharedMemory(4 * LARGE)
    memory.room[: len(text)] = text
    return memory


def until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read(to_read: Reader, text: bytes) -> MatchRequest | None:
    return to_read.read(shared(text), len(text), max_members=MEMBERS, rule=THRESHOLD)


def read_with_help(to_read: Reader, text: bytes) -> None:
    """Until the reader, which may have to begin, has read half of it."""
    until(lambda: read(to_read, text) is not None)


@pytest.fixture
def processes(monkeypatch: pytest.MonkeyPatch) -> Iterator[EngineProcesses]:
    monkeypatch.setattr(reader, "PATIENCE", 20)  # on a busy machine a second is soon over
    processes = EngineProcesses(Settings(engines=("fake",)))
    processes.start()
    yield processes
    processes.close()


def process_id(of: Reader) -> int:
    assert of._worker is not None
    return of._worker.process_id


def test_it_begins_with_the_first_body_and_reads_half_of_the_next(processes: EngineProcesses) -> None:
    a, text = Reader(processes), body(1400)
    whole = enrolled.parse(text)
    assert read(a, text) is None
    until(lambda: a._worker is not None)
    for _ in range(3):  # in other memory each time
        together = read(a, text)
        assert together is not None
        assert the_same(together, whole)
    memory = shared(text)
    for _ in range(3):  # in the same
        again = a.read(memory, len(text), max_members=MEMBERS, rule=THRESHOLD)
        assert again is not None
        assert the_same(again, whole)
        assert bytes(memory.body(len(text))) == text
    other = text.replace(b'"Member ', b'"Nobody ')
    memory.room[: len(other)] = other
    again = a.read(memory, len(other), max_members=MEMBERS, rule=THRESHOLD)
    assert again is not None
    assert the_same(again, enrolled.parse(other))
    memory.room[: len(text)] = text
    assert a.read(memory, len(text), max_members=MEMBERS - 1, rule=THRESHOLD) is None
    assert a.read(memory, len(text) - 1, max_members=MEMBERS, rule=THRESHOLD) is None
    assert read(a, b"x" + text) is None
    assert read(a, text) is not None  # a refusal leaves it as it was


def test_there_is_room_for_what_it_says_or_the_body_is_read_in_one_piece(processes: EngineProcesses) -> None:
    a, text = Reader(processes), body(3)
    read_with_help(a, text)
    tight = SharedMemory(len(text) * 10 // 19)  # and as much again
    tight.all[: len(text)] = text
    tight.room = tight.all
    assert a.read(tight, len(text), max_members=MEMBERS, rule=THRESHOLD) is None
    assert read(a, text) is not None


def test_one_that_is_killed_between_two_bodies_is_replaced(processes: EngineProcesses) -> None:
    a, text = Reader(processes), body(5)
    read_with_help(a, text)
    victim = process_id(a)
    os.kill(victim, signal.SIGKILL)
    assert read(a, text) is None
    read_with_help(a, text)
    assert process_id(a) != victim


def test_one_that_hangs_is_waited_for_a_while_and_ended(
    processes: EngineProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, text = Reader(processes), body(6)
    read_with_help(a, text)
    victim = process_id(a)
    os.kill(victim, signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool, monkeypatch.context() as impatient:
        impatient.setattr(reader, "PATIENCE", 0.5)
        waiting = pool.submit(read, a, text)
        try:
            assert waiting.result(timeout=20) is None
        finally:
            with suppress(ProcessLookupError):
                os.kill(victim, signal.SIGKILL)
    assert not Path(f"/proc/{victim}").exists()
    read_with_help(a, text)


def test_without_a_thread_to_begin_it_a_body_is_read_in_one_piece(
    processes: EngineProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, text = Reader(processes), body(8)
    with monkeypatch.context() as without:
        without.setattr(threading.Thread, "start", lambda _: (_ for _ in ()).throw(RuntimeError("no thread left")))
        assert read(a, text) is None
        assert a._worker is None
    read_with_help(a, text)


def test_one_that_dies_in_the_middle_costs_its_help_alone(processes: EngineProcesses) -> None:
    a, text = Reader(processes), body(7)
    read_with_help(a, text)
    os.kill(process_id(a), signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(read, a, text)
        time.sleep(0.3)
        assert not asked.done()
        os.kill(process_id(a), signal.SIGKILL)
        assert asked.result(10) is None
    read_with_help(a, text)


def test_a_second_body_is_not_kept_waiting_and_gets_no_other_answer(processes: EngineProcesses) -> None:
    a, text, other = Reader(processes), body(8), body(900)
    read_with_help(a, text)
    os.kill(process_id(a), signal.SIGSTOP)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(read, a, text)
        time.sleep(0.3)
        assert read(a, other) is None
        assert not asked.done()
        os.kill(process_id(a), signal.SIGCONT)
        first = asked.result(10)
    second = read(a, other)
    assert first is not None
    assert second is not None
    assert the_same(first, enrolled.parse(text))
    assert the_same(second, enrolled.parse(other))


def test_after_an_error_here_no_answer_is_taken_for_the_next(
    processes: EngineProcesses, monkeypatch: pytest.MonkeyPatch
) -> None:
    a, text = Reader(processes), body(9)
    read_with_help(a, text)
    victim = process_id(a)
    with monkeypatch.context() as broken:
        broken.setattr("face128.halves.first_half", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            read(a, text)
    assert a._worker is None
    read_with_help(a, body(10))
    assert process_id(a) != victim


def test_where_no_memory_can_be_shared_a_body_comes_into_memory_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError

    monkeypatch.setattr("face128.bodies.os.memfd_create", fail)
    assert isinstance(Bodies(64 * LARGE, LARGE).lend(LARGE), PlainMemory)


def test_memory_is_used_again_and_what_a_smaller_body_does_not_need_is_given_back() -> None:
    bodies = Bodies(64 * LARGE, LARGE)
    large = bodies.lend(40 * LARGE)
    assert isinstance(large, SharedMemory)
    large.room[:] = bytes(64 * LARGE)
    bodies.take_back(large, 64 * LARGE)
    assert bodies.lend(LARGE - 1) is not large
    assert bodies.lend(64 * LARGE + 1) is not large
    assert bodies.lend(2 * LARGE) is large
    assert os.fstat(large.file.fileno()).st_blocks * 512 == 64 * LARGE
    bodies.take_back(large, 2 * LARGE)
    assert os.fstat(large.file.fileno()).st_blocks * 512 == 4 * LARGE


def send(client: httpx.Client, winner: int) -> None:
    content = body(winner)
    answer = client.post("/match", content=content, headers={"Content-Type": "application/json"})
    assert answer.json() == {"regNo": winner, "name": f"Member {winner}"}


def test_large_bodies_at_once_are_answered_and_no_process_outlives_the_service() -> None:
    settings = {"FACE128_ENGINES": "fake", "FACE128_THREADS": "1", "API_KEY": "secret-key", "FACE128_LIST_MEMORY": "0"}
    with started(**settings) as (process, port):
        url, headers = f"http://127.0.0.1:{port}", {"X-API-Key": "secret-key"}
        with httpx.Client(base_url=url, headers=headers, timeout=60) as client, ThreadPoolExecutor(4) as pool:
            workers = tree(process.pid)

            def has_read() -> bool:
                send(client, 3)
                return _has_read(tree(process.pid)[-1])

            def new_reader() -> int:
                """It has read half a body: one that is younger may not yet have asked to end with its parent."""
                until(has_read)
                (new,) = set(tree(process.pid)) - set(workers)
                return new

            first = new_reader()
            list(pool.map(lambda winner: send(client, winner), range(0, 1500, 125)))
            assert _processor_seconds(first) > 0
            assert b"secret-key" not in Path(f"/proc/{first}/environ").read_bytes()
            assert not _sockets(process.pid) & _sockets(first)
            os.kill(first, signal.SIGSTOP)
            send(client, 4)
            assert first not in tree(process.pid)
            everyone = [*workers, new_reader()]
            os.kill(everyone[-1], signal.SIGSTOP)  # even one that hangs
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0
        until(lambda: not any(Path(f"/proc/{each}").exists() for each in everyone))


def test_in_threads_there_is_none() -> None:
    with started(FACE128_ENGINES="fake", FACE128_ISOLATION="thread") as (process, port):
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
            send(client, 7)
            send(client, 8)
        assert tree(process.pid) == [process.pid]


def _has_read(process: int) -> bool:
    """Whether the memory of a body is mapped there, as in the reader alone."""
    return "face128-body" in Path(f"/proc/{process}/maps").read_text()


def _processor_seconds(process: int) -> float:
    times = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, times)) / os.sysconf("SC_CLK_TCK")


def _sockets(process: int) -> set[str]:
    links = [os.readlink(handle) for handle in Path(f"/proc/{process}/fd").iterdir()]
    return {link for link in links if link.startswith("socket:")}


@pytest.mark.parametrize("announced", [0, LARGE])
def test_memory_for_two_bodies_is_kept_and_no_more(announced: int) -> None:
    bodies = Bodies(2 * LARGE, shared_from=LARGE)
    lent = [bodies.lend(announced) for _ in range(3)]
    for memory in lent:
        bodies.take_back(memory, 10)
    again = [bodies.lend(announced) for _ in range(3)]
    assert sum(any(memory is old for old in lent) for memory in again) == 2
