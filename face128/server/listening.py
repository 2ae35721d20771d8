"""The sockets that the service listens on."""

from __future__ import annotations

import errno
import os
import socket

from face128.errors import ConfigurationError

BACKLOG = 2048  # connections that wait to be accepted, as uvicorn asks for later
BOTH_FAMILIES = ("::", "0.0.0.0")  # noqa: S104  (the operator asked for every address)
FAMILY_NOT_HERE = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)  # a machine without IPv6, say


def bind(host: str, port: int) -> list[socket.socket]:
    """A listening socket for each address of ``host``; ``::`` means every address of both families.

    uvicorn itself would serve IPv6 alone, or one address of a name, or both families, depending on the number of
    workers. A socket of its own for IPv4 shows the service the usual addresses of its clients, not ``::ffff:10.0.0.7``.
    Raises ConfigurationError.
    """
    try:
        found = [
            (family, address)
            for name in (BOTH_FAMILIES if host == "::" else (host,))
            for family, _, _, _, address in socket.getaddrinfo(name, port, type=socket.SOCK_STREAM)
        ]
        bound, failed = [], None
        for family, address in dict.fromkeys(found):
            try:
                bound.append(_bind(family, address))
            except OSError as error:
                if error.errno not in FAMILY_NOT_HERE:
                    raise
                failed = error
        if failed and not bound:
            raise failed
    except OSError as error:
        reason = error.strerror or str(error)
        sentence = f"The service cannot listen on {host}, port {port}: {reason}."
        sentence += " Name others with --host or FACE128_HOST, --port or FACE128_PORT."
        raise ConfigurationError(sentence) from None
    return bound


def _bind(family: int, address: object) -> socket.socket:
    listening = socket.socket(family)
    try:
        if os.name == "posix":  # after a restart; on Windows it would let another program take the port
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listening.bind(address)  # type: ignore[arg-type]
        listening.listen(BACKLOG)
    except OSError:
        listening.close()
        raise
    return listening
