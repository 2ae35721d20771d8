"""known_lists.py: a list that came before means what enrolled.py reads in it, in any frame, or is not used."""

from __future__ import annotations

import gc
import json
import os
import random
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from serving import serving
from test_enrolled import GOOD, as_base64, ask
from test_halves import PROBE, member, the_same

from face128.bodies import Bodies, Memory, PlainMemory, SharedMemory
from face128.enrolled import MatchRequest, parse
from face128.errors import Face128Error, InvalidDescriptor
from face128.known_lists import AROUND, MOST, KnownLists
from face128.rules import THRESHOLD

MEMBERS = [
    member(1),
    member(2, as_base64),
    {"regNo": "a", "descriptors": [GOOD, PROBE], "name": None, "more": [{}]},
    member(3),
]


def plain(text: bytes) -> PlainMemory:
    memory = PlainMemory()
    memory.room[:] = text
    return memory


def keep(lists: KnownLists, text: bytes) -> list[tuple[Memory, int]]:
    return lists.keep(plain(text), len(text), parse(text))


def read(lists: KnownLists, text: bytes) -> MatchRequest | None:
    return lists.read(memoryview(text), THRESHOLD)


def taken(memory: Memory, text: bytes) -> int:
    members = parse(text).enrolled
    assert members is not None
    return memory.taken(len(text)) + members.nbytes


def knowing(*texts: bytes) -> KnownLists:
    lists = KnownLists(2**20)
    for text in texts:
        keep(lists, text)
    return lists


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n\t", " : ")])
@pytest.mark.parametrize("more", [{}, {"threshold": 0.5}, {"model": "dlib-resnet-v1"}, {"more": [{}, 1]}])
def test_it_is_known_again_in_any_frame(separators: tuple[str, str], more: dict[str, Any]) -> None:
    def write(document: dict[str, Any]) -> bytes:
        return json.dumps(document, separators=separators).encode()

    frames = []
    for probe in (GOOD, PROBE, as_base64(PROBE)):
        document = {"descriptor": probe, "enrolled": MEMBERS, **more}
        frames += [write(document), b"\xef\xbb\xbf" + write(dict(reversed(document.items()))) + b"\n"]
    for first, text in product(frames, frames):
        asked = read(knowing(first), text)
        assert asked is not None
        assert the_same(asked, parse(text))


def test_the_probe_is_judged_as_ever() -> None:
    lists = knowing(ask(*MEMBERS))
    for probe in (GOOD[:127], [[number] for number in GOOD], None):
        with pytest.raises(InvalidDescriptor) as refused:
            read(lists, ask(*MEMBERS, probe=probe))
        assert refused.value.context == {"field": "descriptor"}


def test_another_list_is_none() -> None:
    text = ask(*MEMBERS)
    lists = knowing(text)
    chance = random.Random(1)
    start = text.index(b"[{") + 1
    for _ in range(300):
        at = chance.randrange(start, len(text) - 2)
        other = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        assert read(lists, other) is None
    assert read(lists, ask(*MEMBERS[:2])) is None
    assert read(lists, ask(*MEMBERS, member(4))) is None
    assert read(lists, ask()) is None
    assert read(lists, json.dumps({"descriptor": GOOD}).encode()) is None


def test_for_another_model_it_is_read_anew() -> None:
    lists = knowing(ask(*MEMBERS))
    other = ask(*MEMBERS, model="faceapi-resnet-v1")
    assert read(lists, other) is None
    keep(lists, other)
    for text in (other, ask(*MEMBERS)):
        asked = read(lists, text)
        assert asked is not None
        assert the_same(asked, parse(text))


LIST = json.dumps(MEMBERS[:2])
TRAPS = [',"enrolled":[', '"},"enrolled":[{', '{"enrolled":[', "]}"]
values = st.sampled_from(
    [
        LIST,
        f'{{"enrolled":{LIST}}}',
        f"[{LIST}]",
        f'[{{"regNo":7,"name":"x","descriptor":{GOOD}}}],"more":{LIST}',
        f'{LIST},"more":{LIST}',
        json.dumps(GOOD),
        json.dumps(PROBE),
        "[]",
        "0.5",
        '"faceapi-resnet-v1"',
        "18446744073709551616",
        *map(json.dumps, TRAPS),
        *(json.dumps(trap + LIST) for trap in TRAPS),
        *(f'"{trap}"' for trap in TRAPS),  # a string that ends too early
    ]
)
usual = st.sampled_from([("descriptor", json.dumps(GOOD)), ("descriptor", json.dumps(PROBE)), ("enrolled", LIST)])
others = st.tuples(st.sampled_from(["descriptor", "enrolled", "enrolle\\u0064", "more", "threshold", "model"]), values)
roots = st.lists(usual | others, min_size=1, max_size=5)


def written(root: list[tuple[str, str]], space: str) -> bytes:
    return ("{" + f"{space},{space}".join(f'"{name}"{space}:{space}{value}' for name, value in root) + "}").encode()


def outcome(of: Callable[[], MatchRequest | None]) -> object:
    """What it returns, or what its refusal says."""
    try:
        return of()
    except Face128Error as error:
        return type(error), str(error), error.context


@settings(deadline=None, max_examples=1500, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(roots, min_size=1, max_size=3), roots, st.sampled_from(["", " "]))
@example(
    [[("enrolled", LIST), ("descriptor", json.dumps(PROBE)), ("more", LIST)]],
    [("enrolled", LIST), ("descriptor", json.dumps(PROBE)), ("more", LIST), ("descriptor", json.dumps(GOOD))],
    "",
)
@example(
    [[("enrolled", LIST), ("descriptor", json.dumps(GOOD))]],
    [("descriptor", json.dumps(GOOD)), ("more", f'{{"enrolled":{LIST}}}'), ("enrolle\\u0064", "[]")],
    "",
)
def test_what_it_says_is_what_the_body_says(before: list[Any], root: list[tuple[str, str]], space: str) -> None:
    lists = KnownLists(2**20)
    for text in [written(each, space) for each in before]:
        try:
            keep(lists, text)
        except Face128Error:
            continue  # what is refused is never kept
    text = written(root, space)
    found, truth = outcome(lambda: read(lists, text)), outcome(lambda: parse(text))
    if isinstance(found, MatchRequest) and isinstance(truth, MatchRequest):
        assert the_same(found, truth)
    else:
        assert found in (None, truth)


def test_what_stands_around_it_is_bounded() -> None:
    text = ask(*MEMBERS)
    lists = knowing(text)
    for far in (ask(*MEMBERS, more=" " * AROUND), b" " * AROUND + text, text + b" " * AROUND):
        assert read(lists, far) is None
        assert len(keep(lists, far)) == 1


def test_it_keeps_so_many_bytes_and_lists_and_gives_the_memory_of_the_oldest_back() -> None:
    texts = [ask(member(i), member(i + 1)) for i in range(100, 150)]
    lists = KnownLists(3 * max(taken(plain(text), text) for text in texts))
    for text in texts[:3]:
        assert keep(lists, text) == []
    assert read(lists, texts[0]) is not None
    again = plain(texts[0])
    known = read(lists, texts[0])
    assert known is not None
    assert lists.keep(again, len(texts[0]), known) == [(again, len(texts[0]))]  # the list that came last is now this
    ((freed, length),) = keep(lists, texts[3])
    assert bytes(freed.body(length)) == texts[1]
    assert [read(lists, text) is not None for text in texts[:4]] == [True, False, True, True]
    freed.room[:] = b"x"  # nothing points into it any more
    many = KnownLists(2**20)
    assert [len(keep(many, text)) for text in texts] == [0] * MOST + [1] * (50 - MOST)
    none = KnownLists(0)
    assert len(keep(none, texts[0])) == 1
    assert read(none, texts[0]) is None


HEAVY = {
    "numbers of one digit": [{"regNo": i, "name": "a", "descriptor": [1] * 128} for i in range(500)],
    "members without a descriptor": [{"regNo": i + 10**9, "name": f"{i}"} for i in range(20_000)],
    "names with a wide character": [
        {"regNo": f"\N{GRINNING FACE}{i:0500}", "name": "\N{GRINNING FACE}" + 500 * "a"} for i in range(500)
    ],
    "base64": [member(i, as_base64) for i in range(500)],
    "of a model that is comparable": [{**member(i), "model": "faceapi-resnet-v1"} for i in range(500)],
}


@pytest.mark.parametrize("members", HEAVY.values(), ids=HEAVY)
def test_what_it_takes_is_counted(members: list[dict[str, Any]]) -> None:
    text = json.dumps({"descriptor": GOOD, "enrolled": members}, ensure_ascii=False, separators=(",", ":")).encode()
    gc.collect()
    tracemalloc.start()
    try:
        memory = plain(bytes(len(text) * 3 // 2))  # a larger body was here before
        memory.room[:] = text
        asked = parse(memory.body(len(text)))
        assert asked.enrolled is not None
        assert len(asked.enrolled.people) == len(asked.enrolled.vectors)
        gc.collect()
        truth = tracemalloc.get_traced_memory()[0]
        said = memory.taken(len(text)) + asked.enrolled.nbytes
    finally:
        tracemalloc.stop()
    assert truth < 1.1 * said
    assert said < 1.3 * truth
    lists = KnownLists(said - 1)
    assert keep(lists, ask(*MEMBERS)) == []
    assert lists.keep(memory, len(text), asked) == [(memory, len(text))]
    assert read(lists, ask(*MEMBERS)) is not None  # what has no room drives nothing out
    lists = KnownLists(said)
    assert lists.keep(memory, len(text), asked) == []


def test_memory_that_a_larger_body_took_is_not_kept_with_a_list() -> None:
    text = ask(*MEMBERS)
    memory = Bodies(2**24, shared_from=1).lend(2**24)
    if not isinstance(memory, SharedMemory):
        pytest.skip("shared memory needs Linux")
    memory.room[:] = bytes(2**24)
    memory.room[: len(text)] = text
    assert len(text) <= memory.taken(len(text)) < 3 * len(text)
    assert KnownLists(2**17).keep(memory, len(text), parse(text)) == []
    assert os.fstat(memory.file.fileno()).st_blocks * 512 < 2**17


def test_memory_that_somebody_looks_at_is_not_given_back() -> None:
    text = ask(*MEMBERS)
    lists = KnownLists(taken(plain(text), text))
    keep(lists, text)
    view = memoryview(text)
    with lists._candidates(view, text.index(b"[{") + 1) as candidates:
        assert len(candidates) == 1
        assert keep(lists, ask(*MEMBERS[:2], probe=PROBE)) == []
        assert bytes(candidates[0].text) in text
    ((freed, _),) = keep(lists, text)
    assert isinstance(freed, PlainMemory)


def test_shared_memory_is_kept_and_lent_again() -> None:
    bodies, text = Bodies(2**20, shared_from=1), ask(*MEMBERS)
    memory = bodies.lend(len(text))
    if not isinstance(memory, SharedMemory):
        pytest.skip("shared memory needs Linux")
    memory.room[: len(text)] = text
    lists = KnownLists(taken(memory, text))
    assert lists.keep(memory, len(text), parse(text)) == []
    assert bodies.lend(len(text)) is not memory
    for free in keep(lists, ask(*MEMBERS[:2])):
        bodies.take_back(*free)
    assert bodies.lend(len(text)) is memory


def test_many_at_once_with_lists_that_come_and_go_get_their_own_answers() -> None:
    def body(group: int, winner: int) -> bytes:
        members = [
            {"regNo": f"{group}-{i}", "name": "x", "descriptor": [i / 200, group / 10, *GOOD[2:]]} for i in range(200)
        ]
        return ask(*members, probe=members[winner]["descriptor"])

    room = 3 * len(body(0, 0))  # two of the five lists, and what they mean

    def send(client: httpx.Client, seed: int) -> bool:
        group, winner = seed % 5, random.Random(seed).randrange(200)
        answer = client.post("/match", content=body(group, winner), headers={"Content-Type": "application/json"})
        return bool(answer.json() == {"regNo": f"{group}-{winner}", "name": "x"})

    with serving(FACE128_ENGINES="fake", FACE128_LIST_MEMORY=str(room)) as client, ThreadPoolExecutor(4) as pool:
        assert len(body(0, 0)) > AROUND
        assert all(pool.map(lambda seed: send(client, seed), range(200)))
