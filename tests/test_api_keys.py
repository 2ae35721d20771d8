"""api_keys.py and throttle.py: valid keys and throttling, checked against sha256sum and the RFCs' own addresses."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from serving import environment

from face128 import api_keys
from face128.api.auth.throttle import MAX_FAILURES, MAX_NETWORKS, SECONDS_PER_FAILURE, Throttle, client_network
from face128.api_keys import SCOPES, ApiKey, key_from_secret, parse_entry


def face128(*arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "face128", *arguments]
    return subprocess.run(command, env=environment(), input=stdin, capture_output=True, text=True, timeout=60)


def sha256sum(text: str) -> str:
    return subprocess.run(["sha256sum"], input=text, capture_output=True, text=True).stdout.split()[0]


def test_keys_new_prints_a_random_key_and_the_entry_that_knows_it() -> None:
    runs = [face128("keys", "new", "backend", *more) for more in ([], ["--scopes", "encode+match"])]
    assert [run.returncode for run in runs] == [0, 0], runs[0].stderr
    secrets = [re.search(r"^key +(face128_[\w-]{43})$", run.stdout, re.MULTILINE)[1] for run in runs]  # type: ignore[index]
    entries = [re.search(r"^entry +(\S+)$", run.stdout, re.MULTILINE)[1] for run in runs]  # type: ignore[index]
    assert secrets[0] != secrets[1]
    assert entries == [f"backend:{sha256sum(secrets[0])}", f"backend:{sha256sum(secrets[1])}:match+encode"]
    known = [api_keys.parse_entry(entry, 0) for entry in entries]
    assert api_keys.find_key(secrets[1], known) is known[1]
    assert (known[0].scopes, known[1].scopes) == (SCOPES, {"match", "encode"})


def test_keys_hash_makes_the_entry_of_a_key_that_there_is() -> None:
    run = face128("keys", "hash", "old-one", "--scopes", "gallery", stdin="a-secret\n")
    assert run.stdout == f"old-one:{sha256sum('a-secret')}:gallery\n"
    assert "a-secret" not in run.stderr


@pytest.mark.parametrize(
    "wrong", [["new", "two words"], ["new", "a:b"], ["new", "x", "--scopes", "root"], ["hash", "nothing-on-stdin"]]
)
def test_what_is_wrong_is_one_sentence(wrong: list[str]) -> None:
    run = face128("keys", *wrong)
    assert (run.returncode, run.stdout, len(run.stderr.splitlines())) == (2, "", 1)


def test_a_plain_secret_opens_everything_and_its_length_is_told() -> None:
    short, long = api_keys.parse_entry("a-secret", 0), api_keys.parse_entry("x" * 32, 1)
    assert (short.plain, short.short, short.scopes, short.name) == (True, True, SCOPES, "plain-1")
    assert (long.plain, long.short) == (True, False)


def test_every_key_is_compared_whichever_was_given(monkeypatch: pytest.MonkeyPatch) -> None:
    known = [ApiKey(f"k{i}", api_keys.hash_secret(f"secret-{i}")) for i in range(5)]
    compared: list[bytes] = []
    same = api_keys.hmac.compare_digest
    monkeypatch.setattr(api_keys.hmac, "compare_digest", lambda a, b: compared.append(b) or same(a, b))
    for given, wanted in (("secret-0", known[0]), ("secret-4", known[4]), ("nobody's", None), ("", None)):
        compared.clear()
        assert api_keys.find_key(given, known) is wanted
        assert compared == [key.digest for key in known]


def test_an_address_fails_ten_times_at_once_and_then_every_six_seconds() -> None:
    now = 1000.0
    throttle = Throttle(lambda: now)
    for _ in range(MAX_FAILURES):
        assert throttle.retry_after("a") == 0
        throttle.add_failure("a")
    assert throttle.retry_after("a") == SECONDS_PER_FAILURE == 6
    assert throttle.retry_after("b") == 0
    now += 4.5
    assert throttle.retry_after("a") == 2
    now += 1.5
    assert throttle.retry_after("a") == 0
    throttle.add_failure("a")
    assert throttle.retry_after("a") == 6
    now += MAX_FAILURES * SECONDS_PER_FAILURE
    for _ in range(MAX_FAILURES):
        assert throttle.retry_after("a") == 0
        throttle.add_failure("a")


def test_the_memory_for_addresses_is_bounded_and_the_quietest_is_forgotten() -> None:
    throttle = Throttle(lambda: 0.0)
    for _ in range(MAX_FAILURES):
        throttle.add_failure("first")
        throttle.add_failure("second")
    for i in range(MAX_NETWORKS - 2):
        throttle.add_failure(str(i))
    throttle.add_failure("first")
    throttle.add_failure("one more")
    assert len(throttle) == MAX_NETWORKS
    assert throttle.retry_after("first")
    assert not throttle.retry_after("second")


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),  # how a socket for both protocols shows IPv4 (RFC 4291)
        ("2001:db8:0:1::1", "2001:db8:0:1:ffff::2", True),
        ("2001:db8:0:1::1", "2001:db8:0:2::1", False),
        ("fe80::1%eth0", "fe80::2%eth1", True),
        ("<forged>", None, True),
    ],
)
def test_ipv6_counts_by_its_64(one: str, other: str | None, same: bool) -> None:
    assert (client_network(one) == client_network(other)) is same


SHA256 = "0" * 64


@pytest.mark.parametrize("scopes", [None, "match", "match+encode"])
def test_an_entry_names_the_collection_that_its_key_is_bound_to(scopes: str | None) -> None:
    key = key_from_secret("backend", "0fQ9-not-a-placeholder-7xT2kLw8", scopes, "site-a")
    assert key.entry.endswith("@site-a")
    assert parse_entry(key.entry, 0) == key
    assert key.collection == "site-a"
    assert key.scopes == (frozenset(scopes.split("+")) if scopes else {"match", "encode", "gallery"})


@pytest.mark.parametrize("bound", ["@", "@a b", "@a@b", ":match@", ":admin@a", ":match+admin@a", f"@{'x' * 65}"])
def test_a_wrong_collection_of_an_entry_stops_the_start(bound: str) -> None:
    with pytest.raises(ValueError, match="collection"):
        parse_entry(f"backend:{SHA256}{bound}", 0)
