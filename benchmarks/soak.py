"""Mixed traffic for 20 minutes, with clients that misbehave: memory, handles and threads, by the second and as a plot.

    python -m benchmarks.soak [--minutes 20] [--rate 8] [--out docs]

It asks for a fraction of a machine, and judges nothing by time: it may run beside other work. It prints what the
service took in the second minute and in the last, and every answer that was wrong; --out writes soak.png.
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
from benchmarks.processes import Taken, taken
from benchmarks.services import FACE128, READY, Service

SAMPLE = 5.0  # seconds
NUISANCE = 1.0
SHOWN = ("own", "handles", "threads")  # of Taken. Not all memory: that of code depends on who else runs it

Samples = list[tuple[float, Taken]]


def nuisances(port: int) -> list[Callable[[], None]]:
    """What clients do that a service has to get over; each checks what it is answered."""
    photo = portraits(0.25)[0]

    def asked(path: str, body: bytes, status: int, kind: str = "image/jpeg") -> None:
        with send(port, head(path, len(body), kind) + body) as connection:
            reply = answer(connection)
            assert reply.status == status, reply

    def leaves(path: str, after: int) -> None:
        send(port, head(path, len(photo)) + photo[:after]).close()

    return [
        lambda: asked("/encode-image", photo[: len(photo) // 2], 400),
        lambda: asked("/encode-image", b"GIF89a" + bytes(1000), 400),
        lambda: asked("/detect", bytes(1000), 415),
        lambda: asked("/match", b'{"descriptor": [1, 2], "enrolled": []}', 422, "application/json"),
        lambda: asked("/match", b"[" * 100_000, 400, "application/json"),
        lambda: asked("/nothing", b"", 404),
        lambda: leaves("/encode-image", len(photo) // 2),
        lambda: leaves("/encode-image", len(photo)),
        lambda: send(port, b"GET / HTTP/1.1\r\nX-Slow: ").close(),
        lambda: send(port, b"\x16\x03\x01").close(),
    ]


def soak(minutes: float, rate: float) -> tuple[Samples, traffic.Outcome, list[str]]:
    """What was taken while so many requests a second came, what came of them, and what of the nuisances."""
    samples: Samples = []
    trouble: list[str] = []
    over = threading.Event()
    start = time.monotonic()

    def sample(service: Service) -> None:
        while not over.wait(SAMPLE):
            samples.append((time.monotonic() - start, taken(service.process_id)))

    def annoy(service: Service) -> None:
        while not over.is_set():
            for nuisance in nuisances(service.port):
                try:
                    nuisance()
                except (AssertionError, EOFError, OSError) as error:
                    trouble.append(repr(error))
                over.wait(NUISANCE)

    with tempfile.TemporaryDirectory() as folder:
        service = Service(FACE128, FACE128_DATA=folder)
        try:
            service.wait_for(READY)
            calls = traffic.mixed(traffic.prepare(service))
            helpers = [threading.Thread(target=job, args=(service,)) for job in (sample, annoy)]
            for helper in helpers:
                helper.start()
            try:
                outcome = traffic.paced(service, calls, rate, 60 * minutes)
            finally:
                over.set()
                for helper in helpers:
                    helper.join()
        finally:
            service.stop()
    return samples, outcome, trouble


def draw(samples: Samples, file: Path) -> None:
    import matplotlib as mpl

    mpl.use("agg")
    from matplotlib import pyplot as plt

    figure, axes = plt.subplots(3, 1, sharex=True, figsize=(8, 6), layout="constrained")
    minutes = [at / 60 for at, _ in samples]
    for axis, name, label in zip(axes, SHOWN, ("memory of its own, MB", "handles", "threads"), strict=True):
        axis.plot(minutes, [getattr(each, name) for _, each in samples], linewidth=1)
        axis.set_ylabel(label)
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
    axes[-1].set_xlabel("minutes of mixed traffic")
    figure.savefig(file, dpi=120)


def tell(samples: Samples, outcome: traffic.Outcome, trouble: list[str]) -> None:
    end = samples[-1][0]
    second = [each for at, each in samples if 60 <= at < 120]
    last = [each for at, each in samples if at > end - 60]
    print("| | second minute | last minute | highest |\n| --- | ---: | ---: | ---: |")
    for name in (*SHOWN, "processes", "memory"):
        early, late = (median(getattr(each, name) for each in some) for some in (second, last))
        highest = max(getattr(each, name) for _, each in samples)
        print(f"| {name} | {early:.0f} | {late:.0f} | {highest:.0f} |")
    print(f"{end / 60:.1f} minutes; right: {dict(outcome.right)}; refused: {dict(outcome.refused)};", end=" ")
    print(f"wrong: {len(outcome.wrong)}; nuisances answered otherwise: {len(trouble)}")
    for line in (*outcome.wrong[:10], *trouble[:10]):
        print(line)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--rate", type=float, default=8, help="requests a second (default 8)")
    parser.add_argument("--out", type=Path, help="write soak.png into this folder")
    options = parser.parse_args()
    result = soak(options.minutes, options.rate)
    tell(*result)
    if options.out:
        draw(result[0], options.out / "soak.png")
