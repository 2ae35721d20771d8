"""The same job on a real Dask cluster of two worker processes, which may die or hang."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import dask
import pytest
from distributed import LocalCluster
from forked_command import forked
from pseudo_terminal import CTRL_C, pseudo_terminal
from reencoding import crops, failed, journal

from face128.errors import BadRequest, ConfigurationError
from face128.jobs.execution.backend import Backend, Batch, Loss
from face128.jobs.execution.dask_backend import DaskBackend
from face128.jobs.execution.interrupt import Interrupt
from face128.jobs.execution.local_backend import LocalBackend
from face128.jobs.execution.recipe import Recipe
from face128.jobs.reencode.member_photos import read_members
from face128.jobs.reencode.reencode import Job, reencode
from face128.settings import load_settings

PHOTOS = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    settings = {
        # Else a worker that is killed again and again, or starts slowly on a busy machine, is not started any more.
        "distributed.deploy.lost-worker-timeout": "5 minutes",
        "distributed.scheduler.allowed-failures": 1,
    }
    with (
        dask.config.set(settings),
        LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as running,
    ):
        yield running


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = crops(tmp_path_factory.mktemp("cluster") / "photos", PHOTOS)
    (folder / "7777_Broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path) -> bytes:
    return run(photos, photos.parent / "local.json", LocalBackend(2, photo_timeout_s=30))


def run(photos: Path, out: Path, backend: Backend) -> bytes:
    reencode(read_members(photos), Job(Recipe.from_settings(load_settings(), "fake"), out, backend))
    return out.read_bytes()


@pytest.mark.parametrize("sends_photos", [True, False])
def test_a_cluster_gives_the_file_that_one_machine_gives(
    photos: Path, expected: bytes, cluster: LocalCluster, tmp_path: Path, sends_photos: bool
) -> None:
    out = tmp_path / "enrolled.json"
    assert run(photos, out, DaskBackend(cluster.scheduler_address, sends_photos)) == expected
    assert failed(out) == {"7777_Broken.jpg": "bad_image"}


def test_ctrl_c_saves_what_the_cluster_has_done_and_a_second_run_goes_on(
    photos: Path, cluster: LocalCluster, tmp_path: Path
) -> None:
    command = ("reencode", photos, "--out", "enrolled.json", "--cluster", cluster.scheduler_address)
    with pseudo_terminal(tmp_path, *command) as terminal:
        shown = terminal.wait_for(lambda text: re.search(r"[1-9][0-9]*/121 ", text) is not None)
        counted_photos = int(re.findall(r"([0-9]+)/121", shown)[-1])
        terminal.type(CTRL_C)
        status, text = terminal.end(), " ".join(terminal.text.split())
    assert status == 130, text
    assert "Stopping..." in text
    assert "Traceback" not in text
    saved = len(journal(tmp_path / "enrolled.json"))
    assert f"{saved} of 121 photos are saved in enrolled.journal.jsonl. Run the same command again" in text
    assert PHOTOS > saved >= counted_photos
    run_again = forked(tmp_path, *command)
    assert f"{121 - saved - 1} encoded now, 1 failed, {saved} from before" in run_again.stderr


class CountingBackend(DaskBackend):
    def run_batches(self, task: Any, batches: Iterable[Any], alone: bool, interrupt: Interrupt) -> Any:
        for batch, results in super().run_batches(task, batches, alone, interrupt):
            counted.extend(batch)
            yield batch, results


counted: list[Any] = []


def test_a_second_run_sends_nothing_that_is_done(
    photos: Path, expected: bytes, cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "enrolled.json"
    for sent in (PHOTOS + 1, 0):
        counted.clear()
        assert run(photos, out, CountingBackend(cluster.scheduler_address, sends_photos=True)) == expected
        assert len(counted) == sent


def test_a_worker_killed_midway_changes_nothing(
    photos: Path, expected: bytes, cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "enrolled.json"
    path = out.with_suffix(".journal.jsonl")
    victim = next(iter(cluster.workers.values())).pid
    killed = []

    def kill() -> None:
        deadline = time.monotonic() + 120
        while (not path.exists() or path.stat().st_size < 2000) and time.monotonic() < deadline:
            time.sleep(0.001)
        os.kill(victim, signal.SIGKILL)
        killed.append(path.read_bytes().count(b"\n"))

    thread = threading.Thread(target=kill)
    thread.start()
    assert run(photos, out, DaskBackend(cluster.scheduler_address, sends_photos=True)) == expected
    thread.join()
    assert killed[0] < PHOTOS, "the job was over before the worker died"
    assert len(journal(out)) == PHOTOS + 1


def test_a_photo_that_kills_every_worker_is_named_and_all_others_are_done(cluster: LocalCluster) -> None:
    def deadly(numbers: Batch[int]) -> list[int]:
        if 5 in numbers:
            os.kill(os.getpid(), signal.SIGKILL)
        return [2 * number for number in numbers]

    done = dict(DaskBackend(cluster.scheduler_address, sends_photos=True).run(deadly, range(12), 12))
    assert done == {number: Loss.CRASHED if number == 5 else 2 * number for number in range(12)}


def test_a_photo_that_hangs_its_worker_ends_the_job_with_one_sentence(
    cluster: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def hang(numbers: Batch[int]) -> list[int]:
        if 5 in numbers:
            (tmp_path / str(os.getpid())).touch()
            time.sleep(3600)
        return [2 * number for number in numbers]

    monkeypatch.setattr("face128.jobs.execution.dask_backend.STALL_TIMEOUT_S", 20)
    done: list[tuple[int, int | Loss]] = []
    with pytest.raises(ConfigurationError, match=r"finished no photo.*The same command goes on where this one stopped"):
        done.extend(DaskBackend(cluster.scheduler_address, sends_photos=True).run(hang, range(12), 12))
    assert all(result == 2 * number and number != 5 for number, result in done)
    for path in tmp_path.iterdir():
        os.kill(int(path.name), signal.SIGKILL)


def test_a_scheduler_that_is_away_is_one_of_our_errors(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face128.jobs.execution.dask_backend.CONNECT_TIMEOUT_S", 0.5)
    with pytest.raises(ConfigurationError):
        run(photos, tmp_path / "enrolled.json", DaskBackend("tcp://127.0.0.1:9", sends_photos=True))


@pytest.mark.parametrize("address", ["scheduler", "scheduler:8786", "tcp://scheduler", "http://scheduler:8786", ""])
def test_an_address_that_is_none_is_refused_at_once(address: str) -> None:
    with pytest.raises(BadRequest):
        DaskBackend(address, sends_photos=True)
