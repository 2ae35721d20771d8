"""The same job on a real Dask cluster of two worker processes, one of which may die."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import LocalCluster
from reencoding import crops, failed, journal

from face128.errors import ConfigurationError
from face128.jobs.execution.backends import LocalWorkers, Workers
from face128.jobs.execution.dask_backend import ClusterWorkers
from face128.jobs.execution.recipe import Recipe
from face128.jobs.reencode.member_photos import read_members
from face128.jobs.reencode.reencode import reencode
from face128.settings import load_settings

PHOTOS = 120


@pytest.fixture(scope="module")
def cluster() -> Iterator[LocalCluster]:
    with LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as running:
        yield running


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = crops(tmp_path_factory.mktemp("cluster") / "photos", PHOTOS)
    (folder / "7777_Broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 no photo")
    return folder


@pytest.fixture(scope="module")
def expected(photos: Path) -> bytes:
    return run(photos, photos.parent / "local.json", LocalWorkers(2))


def run(photos: Path, out: Path, workers: Workers) -> bytes:
    reencode(read_members(photos), Recipe.from_settings(load_settings(), "fake"), out, workers)
    return out.read_bytes()


@pytest.mark.parametrize("photos_travel", [True, False])
def test_a_cluster_gives_the_file_that_one_machine_gives(
    photos: Path, expected: bytes, cluster: LocalCluster, tmp_path: Path, photos_travel: bool
) -> None:
    out = tmp_path / "enrolled.json"
    assert run(photos, out, ClusterWorkers(cluster.scheduler_address, photos_travel)) == expected
    assert failed(out) == {"7777_Broken.jpg": "bad_image"}


class Counting(ClusterWorkers):
    def run(self, task: Any, items: Iterable[Any]) -> Any:
        for item, result in super().run(task, items):
            counted.extend(item)  # a group
            yield item, result


counted: list[Any] = []


def test_a_second_run_sends_nothing_that_is_done(
    photos: Path, expected: bytes, cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "enrolled.json"
    for sent in (PHOTOS + 1, 0):
        counted.clear()
        assert run(photos, out, Counting(cluster.scheduler_address, photos_travel=True)) == expected
        assert len(counted) == sent


def test_a_worker_killed_midway_changes_nothing(
    photos: Path, expected: bytes, cluster: LocalCluster, tmp_path: Path
) -> None:
    out = tmp_path / "enrolled.json"
    path = out.with_suffix(".journal.jsonl")
    victim = next(iter(cluster.workers.values())).pid
    killed = []

    def kill() -> None:
        while not path.exists() or path.stat().st_size < 2000:
            time.sleep(0.001)
        os.kill(victim, signal.SIGKILL)
        killed.append(path.read_bytes().count(b"\n"))

    thread = threading.Thread(target=kill)
    thread.start()
    assert run(photos, out, ClusterWorkers(cluster.scheduler_address, photos_travel=True)) == expected
    thread.join()
    assert killed[0] < PHOTOS, "the job was over before the worker died"
    assert len(journal(out)) == PHOTOS + 1


def test_a_photo_that_kills_every_worker_is_named_and_all_others_are_done(cluster: LocalCluster) -> None:
    def deadly(number: int) -> int:
        if number == 5:
            os.kill(os.getpid(), signal.SIGKILL)
        return 2 * number

    done = dict(ClusterWorkers(cluster.scheduler_address, photos_travel=True).run(deadly, range(12)))
    assert done == {number: None if number == 5 else 2 * number for number in range(12)}


def test_a_scheduler_that_is_away_is_one_of_our_errors(
    photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("face128.jobs.execution.dask_backend.PATIENCE", 0.5)
    with pytest.raises(ConfigurationError):
        run(photos, tmp_path / "enrolled.json", ClusterWorkers("tcp://127.0.0.1:9", photos_travel=True))
