"""Two services on one gallery, two keys that are bound to collections and one that is not: each is told of its own.

Hypothesis chooses who does what, where. Ids, names and photos are the same few in all collections. A model in plain
dictionaries says what each answer must be; whatever an answer has of another collection is found by its name.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, ClassVar

import httpx
import pytest
from fake_photos import fake_photo
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from serving import serving

from face128.api_keys import key_from_secret

SECRETS = {name: f"the-key-of-{name}-{'x' * 30}" for name in ("a", "b", "any")}
CALLERS = (("a", "site-a", ""), ("b", "site-b", ""), ("any", "", ""), ("any", "site-a", "site-a"), ("any", "c", "c"))
"""A key, the collection that it works in, and the one that the request names."""
SEEDS, USERS = 4, 3
MAX_FACES = 4

callers, services = st.sampled_from(CALLERS), st.integers(0, 1)
seeds, users = st.integers(0, SEEDS - 1), st.integers(0, USERS - 1)


class Collections(RuleBasedStateMachine):
    clients: ClassVar[list[httpx.Client]]
    requests: ClassVar[dict[str, set[str]]] = {name: set() for _, name, _ in CALLERS}
    """The ids of all requests about each collection, in all examples."""

    def __init__(self) -> None:
        super().__init__()
        self.faces: dict[str, dict[str, set[int]]] = {name: {} for _, name, _ in CALLERS}
        """By collection and person (users and records by their ids) the seeds of the photos."""
        self.records: dict[str, str] = {}
        """The collection of each record's id."""
        self.turn = 0

    def ask(self, service: int, caller: tuple[str, str, str], method: str, path: str, **body: Any) -> httpx.Response:
        """Ask as a caller; the collection is named by the header and by the parameter in turn."""
        key, collection, named = caller
        headers, query = {"X-API-Key": SECRETS[key]}, {}
        self.turn += 1
        if named and self.turn % 2:
            headers["X-Face-Collection"] = named
        elif named:
            query["collection"] = named
        answer = self.clients[service].request(
            method, path, headers=headers, params=query | body.pop("params", {}), **body
        )
        self.requests[collection].add(answer.headers["X-Request-ID"])
        others = {name for name in self.faces if name != collection}
        assert not [name for name in others if f"<{name}>" in answer.text], answer.text
        assert not [
            one for one, at in self.records.items() if at != collection and one in answer.text.replace(path, "")
        ]
        return answer

    @rule(caller=callers, service=services, user=users, seed=seeds, force=st.booleans(), replace=st.booleans())
    def enrol(self, caller: Any, service: int, user: int, seed: int, force: bool, replace: bool) -> None:
        own = self.faces[caller[1]]
        person = str(user)
        others = [one for one, photos in own.items() if one != person and seed in photos]
        kept = set() if replace else own.get(person, set())
        answer = self.ask(
            *(service, caller, "POST", f"/enroll_faces/{person}"),
            params={"force": force, "replace": replace},
            files={"image": fake_photo(seed)},
            data={"name": f"user {user} of <{caller[1]}>"},
        )
        if others and not force:
            assert (answer.status_code, answer.json()["code"]) == (409, "duplicate")
            assert answer.json()["user_id"] in others
        elif kept - {seed} and seed not in kept and not force:
            assert (answer.status_code, answer.json()["code"]) == (409, "inconsistent_person")
        else:
            assert answer.status_code == 200, answer.text
            own[person] = kept | {seed}

    @rule(caller=callers, service=services, seed=seeds)
    def add_record(self, caller: Any, service: int, seed: int) -> None:
        name = f"record {len(self.records)} of <{caller[1]}>"
        files = {"image": fake_photo(seed)}
        answer = self.ask(
            *(service, caller, "POST", "/records"), params={"force": True}, files=files, data={"name": name}
        )
        assert answer.status_code == 200, answer.text
        record = answer.json()["record"]
        own = self.faces[caller[1]]
        assert record["embedding_index"] == sum(map(len, own.values()))
        self.records[record["id"]] = caller[1]
        own[record["id"]] = {seed}

    @rule(caller=callers, service=services, user=users)
    def erase(self, caller: Any, service: int, user: int) -> None:
        gone = self.faces[caller[1]].pop(str(user), None)
        answer = self.ask(service, caller, "DELETE", f"/enroll_faces/{user}")
        assert answer.status_code == (404 if gone is None else 200)
        assert gone is None or answer.json()["faces_deleted"] == len(gone)

    @rule(caller=callers, service=services, which=st.integers(0, 100), erase=st.booleans())
    def reach_a_record(self, caller: Any, service: int, which: int, erase: bool) -> None:
        """Anybody's, by its id."""
        if not self.records:
            return
        record = sorted(self.records)[which % len(self.records)]
        own = self.faces[caller[1]]
        answer = self.ask(service, caller, "DELETE" if erase else "GET", f"/records/{record}")
        assert answer.status_code == (200 if record in own else 404), answer.text
        if erase:
            own.pop(record, None)

    @rule(caller=callers, service=services, seed=seeds, top=st.integers(1, 5))
    def search(self, caller: Any, service: int, seed: int, top: int) -> None:
        own = self.faces[caller[1]]
        holders = {one for one, photos in own.items() if seed in photos}
        files = {"image": fake_photo(seed)}
        door = self.ask(service, caller, "POST", "/match_face", files=files, params={"explain": True}).json()
        assert door["status"] == ("access_granted" if holders else "access_denied")
        assert not holders or door["user_id"] in holders
        found = self.ask(service, caller, "POST", "/records/match", files=files, data={"top_k": str(top)}).json()
        assert found["recognized"] == bool(holders)
        assert len(found["top_matches"]) == min(top, sum(map(len, own.values())))

    @rule(caller=callers, service=services, user=users, seed=seeds)
    def verify(self, caller: Any, service: int, user: int, seed: int) -> None:
        photos = self.faces[caller[1]].get(str(user))
        answer = self.ask(service, caller, "POST", f"/verify/{user}", files={"image": fake_photo(seed)})
        assert answer.status_code == (404 if photos is None else 200)
        assert photos is None or answer.json()["verified"] == (seed in photos)

    @rule(caller=callers, service=services)
    def look(self, caller: Any, service: int) -> None:
        key, collection, named = caller
        own = self.faces[collection]
        count = sum(map(len, own.values()))
        records = self.ask(service, caller, "GET", "/records").json()
        assert (records["total_count"], len(records["records"])) == (count, count)
        people = self.ask(service, caller, "GET", "/people").json()["people"]
        assert sorted(one["user_id"] for one in people) == sorted(own)
        sizes = self.ask(service, caller, "GET", "/collections").json()["collections"]
        told = {one["collection"]: one["faces"] for one in sizes}
        if key == "any" and not named:
            every = {name: sum(map(len, people.values())) for name, people in self.faces.items()}
            assert told == {name: size for name, size in every.items() if size}
        else:
            assert told == {collection: count}
        assert self.ask(service, ("a", "site-a", ""), "GET", "/metrics").status_code == 403

    @rule(caller=callers, service=services)
    def read_decisions(self, caller: Any, service: int) -> None:
        kept = self.ask(service, caller, "GET", "/decisions", params={"limit": 1000}).json()["decisions"]
        assert {one["request_id"] for one in kept} <= self.requests[caller[1]]

    @rule(service=services, other=st.sampled_from(["site-b", "c"]))
    def a_bound_key_stays_out(self, service: int, other: str) -> None:
        for path in ("/records", "/people", "/collections"):
            assert self.ask(service, ("a", "site-a", other), "GET", path).status_code == 403

    @invariant()
    def nobody_is_in_two_places(self) -> None:
        for record, collection in self.records.items():
            assert [name for name, own in self.faces.items() if record in own] in ([], [collection])

    def teardown(self) -> None:
        for caller in CALLERS:
            for person in list(self.faces[caller[1]]):
                path = f"/records/{person}" if person in self.records else f"/enroll_faces/{person}"
                assert self.ask(0, caller, "DELETE", path).status_code == 200
                del self.faces[caller[1]][person]


@pytest.fixture(scope="module")
def two_services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[httpx.Client]]:
    bound = {"a": "site-a", "b": "site-b", "any": None}
    entries = [key_from_secret(name, SECRETS[name], None, collection).entry for name, collection in bound.items()]
    shared = {"FACE128_ENGINES": "fake", "FACE128_TEMPLATE": "nearest", "FACE128_DECISION_LOG_DAYS": "1"}
    shared |= {"FACE128_DATA": str(tmp_path_factory.mktemp("data")), "FACE128_API_KEYS": ",".join(entries)}
    with ExitStack() as stack:
        yield [stack.enter_context(serving(FACE128_OPEN_COLLECTIONS="2", **shared)) for _ in range(2)]


def test_no_key_is_told_of_another_collection(two_services: list[httpx.Client]) -> None:
    Collections.clients = two_services
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Collections,
        settings=settings(
            max_examples=int(os.environ.get("STATEFUL_EXAMPLES", 4)),
            stateful_step_count=40,
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
