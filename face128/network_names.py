"""Names as the network writes them: hosts, origins, proxies' networks and path prefixes, for settings and requests.

Each ``check_*`` gives the value in its usual spelling, or raises ValueError with a sentence.
"""

from __future__ import annotations

import ipaddress
import re

DEFAULT_PORTS = {"http": ":80", "https": ":443"}
ANY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104  (compared, not bound)

_HOST = r"[a-z0-9._-]+|\[[0-9a-f:.]+\]"  # a name or an address, an IPv6 address in brackets
_ORIGIN = re.compile(rf"([a-z][a-z0-9+.-]*)://({_HOST})(:\d+)?")
_PATH_PREFIX = re.compile(r"(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+")


def is_loopback(host: str) -> bool:
    """Whether a name or an address, without brackets, always means this machine itself."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")


def without_port(host: str) -> str:
    """The name or address in a Host header: in lower case, without port and brackets."""
    host = host.strip().lower()
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0].removesuffix(".")


def is_of_host(origin: str, host: str) -> bool:
    """Whether pages of an origin come from this Host header. The schemes may differ: a proxy may speak HTTPS."""
    scheme, _, name = origin.lower().partition("://")
    return bool(name) and scheme in DEFAULT_PORTS and name == host.strip().lower().removesuffix(DEFAULT_PORTS[scheme])


def url_to_open(host: str, port: int) -> str:
    """The URL under which a browser on this machine reaches a service that listens on ``host``."""
    if host in ANY_ADDRESS:
        host = "localhost"
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def check_listening_host(host: str) -> str:
    """Without brackets."""
    name = host[1:-1] if host.startswith("[") and host.endswith("]") else host
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        if re.fullmatch(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*", name):
            return name
    raise ValueError("It is an address or a name, without scheme and port: 127.0.0.1, ::, localhost")


def check_networks(networks: tuple[str, ...]) -> tuple[str, ...]:
    try:
        return tuple(str(ipaddress.ip_network(network)) for network in networks)
    except ValueError:
        raise ValueError("Proxies are addresses and networks: 10.0.0.7, 10.1.0.0/16") from None


def check_hosts(hosts: tuple[str, ...]) -> tuple[str, ...]:
    """Without brackets. ``*`` stands for any."""
    if all(host == "*" or re.fullmatch(f"{_HOST}|[0-9a-f:.]+", host.lower()) for host in hosts):
        return tuple(host.lower().strip("[]") for host in hosts)
    raise ValueError("Hosts are names and addresses without scheme and port: face.example, 10.0.0.7")


def check_origins(origins: tuple[str, ...]) -> tuple[str, ...]:
    """As browsers send them: in lower case, without the default port. ``*`` stands for any."""
    checked = []
    for origin in origins:
        match = _ORIGIN.fullmatch(origin.lower())
        if not match and origin != "*":
            raise ValueError("Origins are scheme://host[:port] without a path: https://app.example, or *")
        checked.append(match[0].removesuffix(DEFAULT_PORTS.get(match[1], "/")) if match else "*")
    return tuple(checked)


def check_path_prefix(path: str | None) -> str | None:
    if path is not None and not _PATH_PREFIX.fullmatch(path):
        raise ValueError("It starts with a slash and ends without one: /face")
    return path
