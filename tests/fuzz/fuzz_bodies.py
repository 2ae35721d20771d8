"""The target fuzz_bodies: damaged bodies of /match, read by the parser, by the list cache and by plain_reader."""

from __future__ import annotations

import base64
import json
import random
import struct
from collections.abc import Callable
from copy import deepcopy
from typing import Any

import plain_reader
from mutating import Mutator

from face128.domain.decision_rule import THRESHOLD
from face128.domain.members import MatchRequest
from face128.errors import Face128Error
from face128.match_body.incoming_body import IncomingBody
from face128.match_body.list_cache import ListCache
from face128.match_body.parser import parse

NUMBERS = [round((i - 64) / 64, 2) for i in range(128)]
DLIB, FACEAPI, RETAIL = "dlib-resnet-v1", "faceapi-resnet-v1", "retail-0095"
JUNK: list[Any] = [
    None, True, False, 0, -0.0, 1, 0.38, 2, 2.5, -1, 1e308, 5e-324, 2**31, 2**53 + 1, 2**63, 2**64, -(2**64), 10**400,
    float("nan"), float("inf"), float("-inf"), "", "x", "\0", "é\U0001f600", "\ud800",
    "NaN", "1", [], [[]], {}, {"0": 1},
    {"regNo": 1}, [0.5] * 128, [0.5] * 127, [[0.5] * 128], [0.5] * 126 + [[0.5, 0.5]], [*[0.5] * 127, None],
    [*[1] * 127, True], "dlib-resnet-v1", "faceapi-resnet-v1", "insightface-x-12345678", {"rule": "cohort"},
    {"rule": "cohort", "alpha": 0.05}, {"rule": "threshold"}, {"rule": "threshold", "alpha": 1},
    {"retail-0095": [0.5] * 256}, {"dlib-resnet-v1": 0.5}, {"dlib-resnet-v1": [None, [0.5] * 128]}, [0.5] * 256,
    {"dlib-resnet-v1+retail-0095": 0.5, "retail-0095": None}, {"x": [0.5]}, "retail-0095",
    {str(i): 1 for i in range(128)},
]  # fmt: skip
PLACEHOLDER = "the members"
FIELDS = (
    "regNo",
    "name",
    "descriptor",
    "descriptors",
    "model",
    "enrolled",
    "threshold",
    "decision",
    "more",
    DLIB,
    RETAIL,
)
TOKENS = [json.dumps(value).encode() for value in JUNK] + [
    b"1e400", b"-1e400", b"1E-400", b"-0", b"01", b"1.", b".5", b"+1", b"0x1", b"1e5", b"1.0", b"NaN", b"-Infinity",
    b"\xef\xbb\xbf", b"\xff", b"\xc3", b"\xed\xa0\x80", b"\0", b"\\u0000", b"\\ud83d\\ude00", b"\\ud800", b"\\x", b"\n",
    b"\t", b" ", b"[", b"]", b"{", b"}", b",", b":", b'"', b"[" * 1100, b"//", b"/**/", b"'", b"=", b"==", b"-", b"_",
    *(b'"%s":' % field.encode() for field in FIELDS),
]  # fmt: skip


def forms(numbers: list[float]) -> list[Any]:
    as_base64 = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode()
    return [numbers, {str(i): number for i, number in enumerate(numbers)}, as_base64]


def requests() -> list[dict[str, Any]]:
    a, b, c = (forms(NUMBERS[i:] + NUMBERS[:i]) for i in (0, 1, 2))
    usual = [
        [{"regNo": i, "name": f"n{i}", "descriptor": kind[form]} for i, kind in enumerate((a, b, c))]
        for form in (0, 1, 2)
    ]
    mixed = [
        {"regNo": "1", "name": None, "descriptor": a[0], "descriptors": [b[1], c[2]], "model": "faceapi-resnet-v1"},
        {"name": "[x]", "regNo": 1.5, "descriptors": [b[0], a[0]], "more": [[[1]]]},
        {"regNo": -7, "name": "é", "descriptor": None, "model": None},
        {"regNo": 2**70, "name": "", "descriptor": b[2]},
    ]
    d, e = (forms([*NUMBERS[i:], *NUMBERS, *NUMBERS[:i]]) for i in (0, 1))
    of_models = [
        {"regNo": 1, "name": "x", "descriptors": {DLIB: a[0], RETAIL: d[0]}},
        {"regNo": 2, "name": "y", "descriptor": a[2], "descriptors": {RETAIL: [d[2], None], DLIB: [a[0], b[1]]}},
        {"regNo": 3, "descriptor": e[1], "model": RETAIL, "descriptors": {FACEAPI: [None, c[2]], DLIB: []}},
        {"regNo": 4, "descriptors": json.dumps({DLIB: [a[0]], RETAIL: json.dumps(e[0])})},
        {"regNo": 5, "descriptor": c[0], "name": None},
    ]
    return [
        {
            "descriptors": {DLIB: [a[0], b[2]], RETAIL: [d[0], e[1], d[2]]},
            "enrolled": of_models,
            "threshold": {RETAIL: 0.5},
        },
        {"descriptor": a[0], "descriptors": {DLIB: a[0], RETAIL: d[2]}, "enrolled": of_models[:2]},
        {"descriptors": [a[0], b[0]], "enrolled": of_models[::2], "threshold": {DLIB: 1, RETAIL: None}},
        {"descriptor": d[0], "model": RETAIL, "enrolled": [{"regNo": 1, "descriptor": e[0]}, of_models[2]]},
        *({"descriptor": a[form], "enrolled": members} for form, members in enumerate(usual)),
        {"descriptor": a[2], "enrolled": mixed, "threshold": 0.5, "model": "dlib-resnet-v1"},
        {"enrolled": mixed[:2], "descriptor": c[1], "decision": {"rule": "cohort", "alpha": 0.01}, "more": {"a": [1]}},
        {"descriptor": b[2]},
    ]


class Bodies:
    """Damages values before they are written, bytes afterwards, or both; some bodies only outside their list."""

    def __init__(self) -> None:
        self._requests = [json.dumps(request) for request in requests()]
        compact = [json.dumps(json.loads(text), separators=(",", ":"), ensure_ascii=False) for text in self._requests]
        self._bytes = Mutator([text.encode() for text in self._requests + compact], TOKENS)
        self.list_cache = ListCache(2**20)
        for text in self._bytes.seeds:
            self.list_cache.put(text, parse(text))

    def __call__(self, dice: random.Random) -> bytes:
        kind = dice.random()
        if kind < 0.4:
            return self._bytes(dice)
        request = json.loads(dice.choice(self._requests))
        if kind < 0.8:
            return self._changed(request, dice)
        members = json.dumps(request.pop("enrolled", []))
        body = self._changed({**request, "enrolled": PLACEHOLDER}, dice)
        return body.replace(json.dumps(PLACEHOLDER).encode(), members.encode())

    def _changed(self, request: dict[str, Any], dice: random.Random) -> bytes:
        for _ in range(dice.choice((1, 1, 2, 3))):
            _change(request, dice)
        separators = dice.choice(((",", ":"), (", ", ": "), (" ,", ":\n"), (",", "  :  ")))
        body = bytearray(json.dumps(request, separators=separators), "utf-8")
        if dice.random() < 0.2:
            self._bytes.change(dice, body)
        return bytes(body)


def _change(value: Any, dice: random.Random) -> None:
    """Replace, remove, duplicate or add a value somewhere in a list or an object."""
    while True:
        keys = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not keys:
            return
        key = dice.choice(keys)
        if isinstance(value[key], dict | list) and value[key] and dice.random() < 0.8:
            value = value[key]
            continue
        break
    match dice.randrange(5):
        case 0 | 1:
            value[key] = deepcopy(dice.choice(JUNK))
        case 2:
            del value[key]
        case 3:
            if isinstance(value, dict):
                value[dice.choice(FIELDS)] = deepcopy(value[key])
            else:
                value.insert(key, deepcopy(value[dice.choice(keys)]))
        case 4:
            if isinstance(value, dict):
                value[dice.choice(FIELDS)] = deepcopy(dice.choice(JUNK))
            else:
                value[key] = [value[key]]


def as_reading(request: MatchRequest) -> plain_reader.Reading:
    """The parser's result, in the form of plain_reader's."""
    probe = [(card.name, vector.tolist()) for card, vector in request.probe.descriptors]
    head = request.card.name, dict(request.thresholds), request.rule, probe
    if (members := request.enrolled) is None:
        return *head, None
    rows: list[plain_reader.Row] = [
        (owner, request.card.name, None, vector)
        for owner, vector in zip(members.owners.tolist(), members.vectors.astype(float).tolist(), strict=True)
    ]
    for each in members.of_models:
        photos, vectors = each.photos.tolist(), each.vectors.astype(float).tolist()
        rows += [
            (*row[:1], each.card.name, *row[1:]) for row in zip(each.owners.tolist(), photos, vectors, strict=True)
        ]
    return *head, (members.reg_nos, members.names, plain_reader.owned(rows))


def check(body: bytes, list_cache: ListCache) -> str:
    try:
        expected: Any = plain_reader.read(body)
        word = "read"
    except Face128Error as error:
        expected, word = plain_reader.outcome(error), error.code
    try:
        found: Any = as_reading(parse(body))
    except Face128Error as error:
        found = plain_reader.outcome(error)
    # As text: 1 is not 1.0, and 0.0 is not -0.0.
    assert repr(found) == repr(expected), f"{found!r:.300} is not {expected!r:.300}: {body!r:.600}"
    try:
        incoming = IncomingBody(list_cache)
        for at in range(0, len(body), 5000):
            incoming.append(body[at : at + 5000])
        cached = incoming.cached_request(THRESHOLD)
        found = cached and as_reading(cached)
    except Face128Error as error:
        found = plain_reader.outcome(error)
    assert found is None or repr(found) == repr(expected), f"from the list cache {found!r:.300}: {body!r:.600}"
    return word if found is None else f"{word}, list cached"


def prepare() -> Callable[[random.Random], str]:
    bodies = Bodies()
    return lambda dice: check(bodies(dice), bodies.list_cache)
