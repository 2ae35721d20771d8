"""list_cache.py: a cached list gives the request that the parser would give, in any frame, or is not used."""

from __future__ import annotations

import gc
import json
import random
import sys
import tracemalloc
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from match_bodies import GOOD, PROBE, RETAIL, as_base64, ask, member, the_same
from serving import serving

from face128.domain.decision_rule import THRESHOLD
from face128.domain.members import MatchRequest
from face128.domain.model_card import DLIB, pair_card
from face128.domain.model_card import RETAIL as RETAIL_CARD
from face128.errors import Face128Error, InvalidDescriptor
from face128.match_body.incoming_body import IncomingBody
from face128.match_body.list_cache import MAX_CACHED_LISTS, MAX_FRAME_BYTES, ListCache
from face128.match_body.parser import parse
from face128.matching.spaces import members_in

PAIR = pair_card(DLIB, RETAIL_CARD)
MEMBERS = [
    member(1),
    member(2, as_base64),
    {"regNo": "a", "descriptors": [GOOD, PROBE], "name": None, "more": [{}]},
    member(3),
    {"regNo": 4, "descriptor": GOOD, "name": None, "descriptors": {"retail-0095": [as_base64(RETAIL), None]}},
]


def put(lists: ListCache, text: bytes) -> None:
    lists.put(text, parse(text))


def get(lists: ListCache, text: bytes) -> MatchRequest | None:
    body = IncomingBody(lists)
    body.append(text)
    return body.cached_request(THRESHOLD)


def memory_bytes(text: bytes) -> int:
    members = parse(text).enrolled
    assert members is not None
    return sys.getsizeof(text) + members.nbytes


def cache_of(*texts: bytes) -> ListCache:
    lists = ListCache(2**20)
    for text in texts:
        put(lists, text)
    return lists


@pytest.mark.parametrize("separators", [(",", ":"), (", ", ": "), (" ,\n\t", " : ")])
@pytest.mark.parametrize(
    "more",
    [{}, {"threshold": 0.5}, {"model": "dlib-resnet-v1"}, {"descriptors": {"retail-0095": RETAIL}}, {"more": [{}, 1]}],
)
def test_a_cached_list_is_found_in_any_frame(separators: tuple[str, str], more: dict[str, Any]) -> None:
    def write(document: dict[str, Any]) -> bytes:
        return json.dumps(document, separators=separators).encode()

    frames = []
    for probe in (GOOD, PROBE, as_base64(PROBE)):
        document = {"descriptor": probe, "enrolled": MEMBERS, **more}
        frames += [write(document), b"\xef\xbb\xbf" + write(dict(reversed(document.items()))) + b"\n"]
    for first, text in product(frames, frames):
        asked = get(cache_of(first), text)
        assert asked is not None
        assert the_same(asked, parse(text))


def test_an_invalid_probe_is_refused_on_a_hit_too() -> None:
    lists = cache_of(ask(*MEMBERS))
    for probe in (GOOD[:127], [[number] for number in GOOD], None):
        with pytest.raises(InvalidDescriptor) as refused:
            get(lists, ask(*MEMBERS, probe=probe))
        assert refused.value.context == {"field": "descriptor"}


def test_any_other_list_is_a_miss() -> None:
    text = ask(*MEMBERS)
    lists = cache_of(text)
    chance = random.Random(1)
    start = text.index(b"[{") + 1
    for _ in range(300):
        at = chance.randrange(start, len(text) - 2)
        other = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        assert get(lists, other) is None
    assert get(lists, ask(*MEMBERS[:2])) is None
    assert get(lists, ask(*MEMBERS, member(4))) is None
    assert get(lists, ask()) is None
    assert get(lists, json.dumps({"descriptor": GOOD}).encode()) is None


def test_for_another_model_the_list_is_parsed_again() -> None:
    lists = cache_of(ask(*MEMBERS))
    other = ask(*MEMBERS, model="faceapi-resnet-v1")
    assert get(lists, other) is None
    put(lists, other)
    for text in (other, ask(*MEMBERS)):
        asked = get(lists, text)
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
        json.dumps({"retail-0095": [RETAIL, None]}),
        json.dumps({"dlib-resnet-v1": PROBE}),
        "18446744073709551616",
        *map(json.dumps, TRAPS),
        *(json.dumps(trap + LIST) for trap in TRAPS),
        *(f'"{trap}"' for trap in TRAPS),  # a string that ends early
    ]
)
usual = st.sampled_from([("descriptor", json.dumps(GOOD)), ("descriptor", json.dumps(PROBE)), ("enrolled", LIST)])
others = st.tuples(
    st.sampled_from(["descriptor", "descriptors", "enrolled", "enrolle\\u0064", "more", "threshold", "model"]), values
)
roots = st.lists(usual | others, min_size=1, max_size=5)


def written(root: list[tuple[str, str]], space: str) -> bytes:
    return ("{" + f"{space},{space}".join(f'"{name}"{space}:{space}{value}' for name, value in root) + "}").encode()


def outcome(of: Callable[[], MatchRequest | None]) -> object:
    """The result, or the error's class, sentence and context."""
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
def test_a_hit_gives_what_the_parser_gives(before: list[Any], root: list[tuple[str, str]], space: str) -> None:
    lists = ListCache(2**20)
    for text in [written(each, space) for each in before]:
        try:
            put(lists, text)
        except Face128Error:
            continue  # a refused body is never cached
    text = written(root, space)
    found, truth = outcome(lambda: get(lists, text)), outcome(lambda: parse(text))
    if isinstance(found, MatchRequest) and isinstance(truth, MatchRequest):
        assert the_same(found, truth)
    else:
        assert found in (None, truth)


def test_the_frame_is_limited() -> None:
    text = ask(*MEMBERS)
    lists = cache_of(text)
    for far in (
        ask(*MEMBERS, more=" " * MAX_FRAME_BYTES),
        b" " * MAX_FRAME_BYTES + text,
        text + b" " * MAX_FRAME_BYTES,
    ):
        assert get(lists, far) is None
        put(lists, far)
        assert get(lists, far) is None


def test_the_least_recently_used_lists_are_evicted() -> None:
    texts = [ask(member(i), member(i + 1)) for i in range(100, 150)]
    lists = ListCache(3 * max(memory_bytes(text) for text in texts))
    for text in texts[:3]:
        put(lists, text)
    assert get(lists, texts[0]) is not None  # now the most recently used
    put(lists, texts[3])
    assert [get(lists, text) is not None for text in texts[:4]] == [True, False, True, True]
    many = ListCache(2**20)
    for text in texts:
        put(many, text)
    assert [get(many, text) is not None for text in texts] == [False] * (50 - MAX_CACHED_LISTS) + [
        True
    ] * MAX_CACHED_LISTS
    none = ListCache(0)
    put(none, texts[0])
    assert get(none, texts[0]) is None


def test_an_evicted_list_frees_its_memory() -> None:
    texts = [ask(*(member(10 * i + j) for j in range(200))) for i in range(6)]
    lists = ListCache(2 * max(memory_bytes(text) for text in texts))
    put(lists, texts[0])
    gone = weakref.ref(lists._lists[0])
    for text in texts[1:]:
        put(lists, text)
    gc.collect()
    assert gone() is None


HEAVY = {
    "numbers of one digit": [{"regNo": i, "name": "a", "descriptor": [1] * 128} for i in range(500)],
    "members without a descriptor": [{"regNo": i + 10**9, "name": f"{i}"} for i in range(20_000)],
    "names with a wide character": [
        {"regNo": f"\N{GRINNING FACE}{i:0500}", "name": "\N{GRINNING FACE}" + 500 * "a"} for i in range(500)
    ],
    "base64": [member(i, as_base64) for i in range(500)],
    "of two models": [
        {"regNo": i, "descriptors": {"dlib-resnet-v1": as_base64(GOOD), "retail-0095": as_base64(RETAIL)}}
        for i in range(500)
    ],
    "of a model that is comparable": [{**member(i), "model": "faceapi-resnet-v1"} for i in range(500)],
}


@pytest.mark.parametrize("members", HEAVY.values(), ids=HEAVY)
def test_the_memory_of_a_list_is_counted(members: list[dict[str, Any]]) -> None:
    text = json.dumps({"descriptor": GOOD, "enrolled": members}, ensure_ascii=False, separators=(",", ":")).encode()
    gc.collect()
    tracemalloc.start()
    try:
        body = bytearray()  # as a request's body grows
        for at in range(0, len(text), 65_536):
            body += text[at : at + 65_536]
        asked = parse(body)
        assert asked.enrolled is not None
        assert len(asked.enrolled.person_ids) == len(asked.enrolled.vectors)
        if asked.enrolled.of_models:
            derived = members_in(PAIR if len(asked.enrolled.of_models) > 1 else DLIB, asked.enrolled, DLIB)
            assert len(derived.person_ids) == len(members)
            del derived
        gc.collect()
        truth = tracemalloc.get_traced_memory()[0]
        counted = sys.getsizeof(body) + asked.enrolled.nbytes
    finally:
        tracemalloc.stop()
    assert truth < 1.1 * counted
    assert counted < 1.3 * truth
    lists = ListCache(counted - 1)
    put(lists, ask(*MEMBERS))
    lists.put(body, asked)
    assert get(lists, text) is None
    assert get(lists, ask(*MEMBERS)) is not None  # a list that does not fit evicts nothing
    lists = ListCache(counted)
    lists.put(body, asked)
    assert get(lists, text) is not None


def test_concurrent_requests_with_evicted_lists_get_their_own_answers() -> None:
    def body(group: int, winner: int) -> bytes:
        members = [
            {"regNo": f"{group}-{i}", "name": "x", "descriptor": [i / 200, group / 10, *GOOD[2:]]} for i in range(200)
        ]
        return ask(*members, probe=members[winner]["descriptor"])

    room = 3 * len(body(0, 0))  # for two of the five lists with their members

    def send(client: httpx.Client, seed: int) -> bool:
        group, winner = seed % 5, random.Random(seed).randrange(200)
        answer = client.post("/match", content=body(group, winner), headers={"Content-Type": "application/json"})
        return bool(answer.json() == {"regNo": f"{group}-{winner}", "name": "x"})

    with serving(FACE128_ENGINES="fake", FACE128_LIST_MEMORY=str(room)) as client, ThreadPoolExecutor(4) as pool:
        assert len(body(0, 0)) > MAX_FRAME_BYTES
        assert all(pool.map(lambda seed: send(client, seed), range(200)))
