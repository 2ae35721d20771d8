"""incoming_body.py: whatever the chunks and whatever is cached, the body is whole, and its request the parser's."""

from __future__ import annotations

import json
import random
from itertools import pairwise

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from match_bodies import GOOD, PROBE, as_base64, ask, member, the_same

from face128.domain.decision_rule import THRESHOLD
from face128.errors import InvalidDescriptor
from face128.match_body.incoming_body import PREFIX_BYTES, IncomingBody
from face128.match_body.list_cache import MAX_FRAME_BYTES, ListCache
from face128.match_body.parser import parse

MEMBERS = [member(i, as_base64 if i % 3 else list) for i in range(12)]
LISTS = [
    MEMBERS,
    MEMBERS[:-1],  # one is the other's beginning
    [*MEMBERS, member(99)],
    [*MEMBERS[:-1], member(98)],
    [member(97), *MEMBERS[1:]],
    MEMBERS[:2],
]


def receive(cache: ListCache, text: bytes, cuts: list[int]) -> IncomingBody:
    """The body in chunks that end at these places."""
    body = IncomingBody(cache)
    for start, end in pairwise([0, *sorted(cuts), len(text)]):
        body.append(text[start:end])
    return body


def cache_of(*texts: bytes) -> ListCache:
    cache = ListCache(2**24)
    for text in texts:
        cache.put(text, parse(text))
    return cache


def is_hit(cache: ListCache, text: bytes, cuts: list[int]) -> bool:
    """Whether the list was found; checks that the body is whole and that the request is the parser's."""
    body = receive(cache, text, cuts)
    assert body.size == len(text)
    request = body.cached_request(THRESHOLD)
    assert request is None or the_same(request, parse(text))
    assert body.whole() == text
    return request is not None


@settings(deadline=None, max_examples=600, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_any_chunks_of_any_body_beside_any_cached_lists(data: st.DataObject) -> None:
    cached = data.draw(st.lists(st.sampled_from(range(len(LISTS))), max_size=4))
    which = data.draw(st.sampled_from(range(len(LISTS))))
    text = ask(
        *LISTS[which], probe=data.draw(st.sampled_from([GOOD, PROBE])), more=data.draw(st.sampled_from(["", [{}]]))
    )
    cuts = data.draw(st.lists(st.integers(0, len(text)), max_size=8))
    assert is_hit(cache_of(*(ask(*LISTS[i]) for i in cached)), text, cuts) == (which in cached)


@pytest.mark.parametrize("size", [1, 7, 1000, PREFIX_BYTES, 10**6])
def test_chunks_of_every_size_hit(size: int) -> None:
    text = ask(*MEMBERS, probe=PROBE)
    assert is_hit(cache_of(ask(*MEMBERS)), text, list(range(0, len(text), size)))


def test_a_list_that_differs_in_one_byte_is_stored_as_it_came() -> None:
    text, cache, chance = ask(*MEMBERS), cache_of(ask(*MEMBERS)), random.Random(3)
    for _ in range(200):
        at = chance.randrange(text.index(b"[{") + 1, len(text) - 2)
        other = text[:at] + bytes([text[at] ^ 1]) + text[at + 1 :]
        body = receive(cache, other, chance.choices(range(len(text)), k=5))
        assert body.cached_request(THRESHOLD) is None
        assert body.whole() == other


def test_the_body_of_a_hit_is_not_stored() -> None:
    text = ask(*(member(i) for i in range(400)))
    body = receive(cache_of(text), text, list(range(0, len(text), 65_536)))
    assert len(body._stored) < 80_000 < len(text) / 4
    assert body.cached_request(THRESHOLD) is not None


def test_a_body_without_a_list_or_with_one_far_inside_is_stored() -> None:
    cache = cache_of(ask(*MEMBERS))
    for text in (json.dumps({"descriptor": GOOD}).encode(), b" " * MAX_FRAME_BYTES + ask(*MEMBERS), b"", b"[" * 10_000):
        body = receive(cache, text, [len(text) // 2])
        assert body.cached_request(THRESHOLD) is None
        assert body.whole() == text


def test_a_new_list_is_kept_in_the_chunks_that_came_and_only_until_it_is_handed_out() -> None:
    text = ask(*MEMBERS[1:])
    body = receive(cache_of(ask(*MEMBERS)), text, [5000, 9000])
    assert body.cached_request(THRESHOLD) is None
    assert len(body._stored) <= 9000 < body.size == len(text)
    assert body.whole() == text
    assert not body._stored
    assert not body._rest


def test_an_invalid_probe_is_refused_on_a_hit() -> None:
    body = receive(cache_of(ask(*MEMBERS)), ask(*MEMBERS, probe=GOOD[:127]), [6000])
    with pytest.raises(InvalidDescriptor) as refused:
        body.cached_request(THRESHOLD)
    assert refused.value.context == {"field": "descriptor"}
