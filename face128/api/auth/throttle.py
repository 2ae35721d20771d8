"""Counts failures by client address: so many at once, then one every few seconds. Its memory is bounded."""

from __future__ import annotations

import ipaddress
import math
import time
from collections import OrderedDict
from collections.abc import Callable

MOST = 10
"""Failures that an address has in hand."""
SECONDS = 6.0
"""Until it has one more: 10 a minute in the long run."""
ADDRESSES = 10_000
"""That are remembered, 2 MB; then the one that was quiet for longest is forgotten."""


class Throttle:
    """A bucket of failures for each address. Not thread-safe: the event loop's alone."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._failures: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """By address: how many failures are held against it, and when that was so."""

    def __len__(self) -> int:
        return len(self._failures)

    def wait(self, address: str) -> int:
        """Whole seconds until this address may fail again; 0 where it may now."""
        over = self._held(address) + 1 - MOST
        return math.ceil(over * SECONDS) if over > 0 else 0

    def fail(self, address: str) -> None:
        """Hold a failure against this address."""
        self._failures[address] = (self._held(address) + 1, self._clock())
        self._failures.move_to_end(address)
        if len(self._failures) > ADDRESSES:
            self._failures.popitem(last=False)

    def _held(self, address: str) -> float:
        count, since = self._failures.get(address, (0.0, 0.0))
        return max(0.0, count - (self._clock() - since) / SECONDS)


def whose(host: str | None) -> str:
    """Who answers for a client address: IPv4 the address, IPv6 its /64, for a customer has all of it (RFC 6177).

    Whatever is no address (a socket's path, a forged header) is one and the same client.
    """
    try:
        address = ipaddress.ip_address((host or "").partition("%")[0])
    except ValueError:
        return "unknown"
    if isinstance(address, ipaddress.IPv4Address):
        return str(address)
    if address.ipv4_mapped:
        return str(address.ipv4_mapped)
    return str(ipaddress.ip_network((address, 64), strict=False))
