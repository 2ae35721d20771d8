"""Clients that misbehave, as bytes on a socket."""

from __future__ import annotations

import json
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: Any


def connect(port: int, receive: int | None = None) -> socket.socket:
    """With a buffer of ``receive`` bytes for what comes; the system's default is megabytes."""
    connection = socket.socket()
    if receive:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive)
    connection.settimeout(30)
    connection.connect(("127.0.0.1", port))
    return connection


def head(path: str, length: int | str, content_type: str = "image/png") -> bytes:
    """The head of a POST that announces so many bytes, or ``chunked``."""
    announced = "Transfer-Encoding: chunked" if length == "chunked" else f"Content-Length: {length}"
    return f"POST {path} HTTP/1.1\r\nHost: localhost\r\nContent-Type: {content_type}\r\n{announced}\r\n\r\n".encode()


def send(port: int, data: bytes) -> socket.socket:
    connection = connect(port)
    connection.sendall(data)
    return connection


def settle(port: int) -> None:
    """Wait until the service has taken every connection and has read all that was sent, and a moment for its work."""
    deadline = time.monotonic() + 30
    while sys.platform == "linux" and _unread(port):
        assert time.monotonic() < deadline, "the service does not read"
        time.sleep(0.02)
    time.sleep(0.2)


def _unread(port: int) -> int:
    """The bytes, and the connections of the listening socket, that wait in the system. man 5 proc_net_tcp."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return sum(int(row[4].partition(":")[2], 16) for row in rows if row[1].endswith(f":{port:04X}"))


def keep_sending(connection: socket.socket, data: bytes, times: int, pause: float = 0) -> None:
    for _ in range(times):
        connection.sendall(data)
        time.sleep(pause)


def answer(connection: socket.socket) -> Answer:
    """Raises EOFError where the service hangs up instead."""
    with connection.makefile("rb") as stream:
        status = stream.readline()
        if not status:
            raise EOFError
        headers = {}
        while line := stream.readline().strip().decode():
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        return Answer(int(status.split()[1]), headers, json.loads(stream.read(int(headers["content-length"]))))


def hung_up(connection: socket.socket) -> bool:
    """Whether the service closes the connection without another byte; waits for it."""
    try:
        return connection.recv(1) == b""
    except ConnectionResetError:
        return True


def overloaded(reply: Answer) -> bool:
    return reply.status == 503 and reply.body["code"] == "overloaded" and int(reply.headers["retry-after"]) >= 1
