"""Mixed traffic for 20 minutes, with clients that misbehave: memory, handles and threads over time.

    python -m benchmarks.soak [--minutes 20] [--rate 8] [--out docs]

The load is a fraction of a machine, and no result depends on time, so other work may run at the same time. Prints the
service's usage in the second minute and in the last, and the wrong answers. ``--out`` writes soak.png.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from sockets import answer, head, send

from benchmarks import traffic
from benchmarks.photos import portraits
from benchmarks.processes import ResourceUsage, resource_usage
from benchmarks.services import FACE128, READY, Service

SAMPLE_INTERVAL_S = 5.0
BAD_REQUEST_INTERVAL_S = 1.0
PLOTTED = {"private_mb": "private memory, MB", "handles": "handles", "threads": "threads"}
"""Fields of ResourceUsage with their labels. Not memory_mb, which depends on other programs too."""

Samples = list[tuple[float, ResourceUsage]]


def bad_requests(port: int) -> list[Callable[[], None]]:
    """Requests of misbehaving clients; each function checks the answer."""
    photo = portraits(0.25)[0]

    def expect(path: str, body: bytes, status: int, content_type: str = "image/jpeg") -> None:
        with send(port, head(path, len(body), content_type) + body) as connection:
            reply = answer(connection)
            assert reply.status == status, reply

    def disconnect(path: str, after_bytes: int) -> None:
        send(port, head(path, len(photo)) + photo[:after_bytes]).close()

    return [
        lambda: expect("/encode-image", photo[: len(photo) // 2], 400),
        lambda: expect("/encode-image", b"GIF89a" + bytes(1000), 400),
        lambda: expect("/detect", bytes(1000), 415),
        lambda: expect("/match", b'{"descriptor": [1, 2], "enrolled": []}', 422, "application/json"),
        lambda: expect("/match", b"[" * 100_000, 400, "application/json"),
        lambda: expect("/nothing", b"", 404),
        lambda: disconnect("/encode-image", len(photo) // 2),
        lambda: disconnect("/encode-image", len(photo)),
        lambda: send(port, b"GET / HTTP/1.1\r\nX-Slow: ").close(),
        lambda: send(port, b"\x16\x03\x01").close(),
    ]


def soak(minutes: float, rate: float) -> tuple[Samples, traffic.Outcome, list[str]]:
    """The usage at ``rate`` requests per second, the outcome, and the errors of the bad requests."""
    samples: Samples = []
    errors: list[str] = []
    stop = threading.Event()
    start = time.monotonic()

    def sample(service: Service) -> None:
        while not stop.wait(SAMPLE_INTERVAL_S):
            samples.append((time.monotonic() - start, resource_usage(service.process_id)))

    def send_bad_requests(service: Service) -> None:
        while not stop.is_set():
            for bad_request in bad_requests(service.port):
                try:
                    bad_request()
                except (AssertionError, EOFError, OSError) as error:
                    errors.append(repr(error))
                stop.wait(BAD_REQUEST_INTERVAL_S)

    with tempfile.TemporaryDirectory() as folder:
        service = Service(FACE128, FACE128_DATA=folder)
        try:
            service.wait_for(READY)
            calls = traffic.in_order(traffic.prepare(service))
            helpers = [threading.Thread(target=job, args=(service,)) for job in (sample, send_bad_requests)]
            for helper in helpers:
                helper.start()
            try:
                outcome = traffic.open_loop(service, calls, rate, 60 * minutes)
            finally:
                stop.set()
                for helper in helpers:
                    helper.join()
        finally:
            service.stop()
    return samples, outcome, errors


def draw(samples: Samples, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(8, 6), layout="constrained")
    minutes = [at / 60 for at, _ in samples]
    for axis, (name, label) in zip(axes, PLOTTED.items(), strict=True):
        axis.plot(minutes, [getattr(each, name) for _, each in samples], linewidth=1)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("minutes of mixed traffic")
    figure.savefig(file, dpi=120)


def print_summary(samples: Samples, outcome: traffic.Outcome, errors: list[str]) -> None:
    end = samples[-1][0]
    second = [each for at, each in samples if 60 <= at < 120]
    last = [each for at, each in samples if at > end - 60]
    print("| | second minute | last minute | highest |\n| --- | ---: | ---: | ---: |")
    for name in (*PLOTTED, "processes", "memory_mb"):
        early, late = (median(getattr(each, name) for each in some) for some in (second, last))
        highest = max(getattr(each, name) for _, each in samples)
        print(f"| {name} | {early:.0f} | {late:.0f} | {highest:.0f} |")
    print(f"{end / 60:.1f} minutes; correct: {dict(outcome.correct)}; refused: {dict(outcome.refused)};", end=" ")
    print(f"wrong: {len(outcome.wrong)}; bad requests with another answer: {len(errors)}")
    for line in (*outcome.wrong[:10], *errors[:10]):
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=8, help="requests a second (default 8)")
    parser.add_argument("--out", type=Path, help="write soak.png into this folder")
    options = parser.parse_args()
    result = soak(options.minutes, options.rate)
    print_summary(*result)
    if options.out:
        draw(result[0], options.out / "soak.png")
