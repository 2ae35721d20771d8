"""Limits failures per client network: a burst, then one every few seconds (a token bucket). Memory is bounded."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

MAX_FAILURES = 10  # failures that a network may have at once
SECONDS_PER_FAILURE = 6.0  # until one failure is forgotten: 10 a minute in the long run
MAX_NETWORKS = 10_000  # remembered networks, 2 MB; beyond that, the one whose last failure is oldest is dropped


class Throttle:
    """A bucket of failures for each client network. Not thread-safe: for use on the event loop only."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By network: the number of failures, and the clock's time at which it held."""

    def __len__(self) -> int:
        return len(self._failures)

    def retry_after(self, network: str) -> int:
        """Whole seconds until this network may fail again; 0 if it may now."""
        excess = self._current_failures(network) + 1 - MAX_FAILURES
        return math.ceil(excess * SECONDS_PER_FAILURE) if excess > 0 else 0

    def add_failure(self, network: str) -> None:
        self._failures[network] = (self._current_failures(network) + 1, self._clock())
        self._failures.move_to_end(network)
        if len(self._failures) > MAX_NETWORKS:
            self._failures.popitem(last=False)

    def _current_failures(self, network: str) -> float:
        count, since = self._failures.get(network, (0.0, 0.0))
        return max(0.0, count - (self._clock() - since) / SECONDS_PER_FAILURE)


def client_network(host: str | None) -> str:
    """The unit that is throttled: an IPv4 address, or the /64 of an IPv6 address, which one customer has (RFC 6177).

    Anything else (the path of a socket, a forged header) is "unknown", as one client.
    """
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return "unknown"
    address = getattr(address, "ipv4_mapped", None) or address
    if address.version == 4:
        return str(address)
    return str(ipaddress.ip_network((address, 64), strict=False))
