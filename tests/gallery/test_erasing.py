"""What erasing leaves: in SQLite's files while others read, after a restart, on a full disk, and in memory."""

from __future__ import annotations

import json
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

import httpx
import numpy as np
import psutil
import pytest
from command_line import face128
from disks import fill, small_disk
from fake_photos import create_record, fake_photo
from people import enrol, matched_reg_no, photo_descriptor, synthetic
from serving import serving, started

from face128.domain.descriptors import to_base64
from face128.errors import NotFound
from face128.gallery.gallery import Gallery
from face128.gallery.search.index import FaissIndex
from face128.gallery.transfer.exporting import export_members

OBAMA, BIDEN = map(photo_descriptor, ("obama-2012.jpg", "biden-2010.jpg"))
TIMEOUT_S = 60  # generous: nothing here measures a time
READER = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('BEGIN'); c.execute('SELECT * FROM faces')"
READER += ".fetchall(); print('reading', flush=True); sys.stdin.read()"


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def embedding(folder: Path, name: str) -> bytes:
    with closing(sqlite3.connect(folder / "gallery.sqlite")) as connection:
        found: bytes = connection.execute("SELECT embedding FROM faces WHERE name = ?", (name,)).fetchone()[0]
    return found


def in_files(folder: Path, trace: bytes) -> bool:
    return any(trace in file.read_bytes() for file in folder.glob("gallery.sqlite*"))


@contextmanager
def reading(folder: Path) -> Iterator[subprocess.Popen[str]]:
    """Another process that reads the gallery as it is now, as a backup does."""
    command = [sys.executable, "-c", READER, str(folder / "gallery.sqlite")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as reader:
        assert reader.stdout
        assert reader.stdout.readline() == "reading\n"
        yield reader
        reader.kill()


def end(reader: subprocess.Popen[str]) -> None:
    reader.kill()
    reader.wait(TIMEOUT_S)


def test_a_reader_does_not_hold_an_erasure_and_the_bytes_go_when_it_ends(tmp_path: Path) -> None:
    with serving(workers=2, FACE128_ENGINES="fake", FACE128_DATA=str(tmp_path)) as client:
        record = create_record(client, fake_photo(1), "Wilhelmina").json()["record"]
        client.post("/enroll_faces/44", files={"file": fake_photo(2)}, data={"name": "Barack Obama"})
        client.post("/enroll_faces/46", files={"file": fake_photo(3)}, data={"name": "Joe Biden"})
        traces = [embedding(tmp_path, name) for name in ("Wilhelmina", "Barack Obama", "Joe Biden")]
        with reading(tmp_path):
            start = time.monotonic()
            answer = client.delete(f"/records/{record['id']}").json()
            sentence = "Successfully deleted record for 'Wilhelmina'"
            assert answer == {"success": True, "message": sentence, "deleted_id": record["id"], "pending": True}
            erased = client.delete("/enroll_faces/44").json()
            assert erased == {"status": "success", "faces_deleted": 1, "pending": True}
            erased = face128("gallery", "erase", "46", "--yes", FACE128_DATA=str(tmp_path))
            assert "Erased: 46, Joe Biden, with 1 photo; their bytes remain" in erased.stdout
            assert time.monotonic() < start + 30  # each waited for 30 seconds or more
            assert client.get("/records").json()["total_count"] == 0
            assert create_record(client, fake_photo(5), "Meanwhile").status_code == 200
            assert all(in_files(tmp_path, trace) for trace in traces)
        eventually(lambda: not any(in_files(tmp_path, trace) for trace in traces))
        create_record(client, fake_photo(4), "Grace Hopper")
        trace = embedding(tmp_path, "Grace Hopper")
        found = client.post("/match_face", files={"image": fake_photo(4)}).json()
        answer = client.delete(f"/records/{found['user_id']}").json()
        assert answer.get("pending") or not in_files(tmp_path, trace)
        eventually(lambda: not in_files(tmp_path, trace))


@pytest.mark.parametrize("still_reads", [False, True])
def test_what_was_pending_when_the_service_was_killed_goes_after_the_next_start(
    tmp_path: Path, still_reads: bool
) -> None:
    settings = {"FACE128_ENGINES": "fake", "FACE128_DATA": str(tmp_path)}
    with ExitStack() as until_the_end:
        with (
            started(**settings) as (process, port),
            httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        ):
            create_record(client, fake_photo(1), "Wilhelmina")
            create_record(client, fake_photo(2), "Grace Hopper")
            trace = embedding(tmp_path, "Wilhelmina")
            found = client.post("/match_face", files={"image": fake_photo(1)}).json()
            reader = until_the_end.enter_context(reading(tmp_path))
            assert client.delete(f"/records/{found['user_id']}").json()["pending"]
            process.send_signal(signal.SIGKILL)
            process.wait(TIMEOUT_S)
        if not still_reads:
            end(reader)
            assert in_files(tmp_path, trace)
        with serving(**settings) as client:
            if still_reads:
                assert create_record(client, fake_photo(3), "Meanwhile").status_code == 200
                assert in_files(tmp_path, trace)
                end(reader)
            eventually(lambda: not in_files(tmp_path, trace))
            assert client.get("/records").json()["total_count"] == 1 + still_reads


def test_nothing_remains_in_free_pages_however_rows_come_and_go(tmp_path: Path) -> None:
    random = np.random.default_rng(3)
    gallery = Gallery(f"sqlite:///{tmp_path}/gallery.sqlite")
    people = synthetic(100)
    here: dict[int, np.ndarray] = {}
    for index, descriptor in enumerate(people):
        enrol(gallery, str(index), descriptor, "x" * int(random.integers(1, 250)), force=True)
        here[index] = descriptor
        if random.random() < 0.6:
            gone = int(random.choice(list(here)))
            assert not gallery.erase_user(str(gone)).pending
            here.pop(gone)
    content = (tmp_path / "gallery.sqlite").read_bytes() + (tmp_path / "gallery.sqlite-wal").read_bytes()
    assert all((row.tobytes() in content) == (index in here) for index, row in enumerate(people))
    gallery.close()


@pytest.fixture
def full_disk(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system of 8 MiB of its own."""
    with small_disk(tmp_path, 8):
        yield tmp_path


def test_people_are_erased_on_a_full_disk(full_disk: Path) -> None:
    with serving(FACE128_ENGINES="fake", FACE128_DATA=str(full_disk)) as client:
        ids = [create_record(client, fake_photo(i), f"Person {i}").json()["record"]["id"] for i in range(3)]
        traces = [embedding(full_disk, f"Person {i}") for i in range(3)]
        reserve = full_disk / "gallery.sqlite-reserve"
        eventually(lambda: reserve.exists() and reserve.stat().st_size == 4 * 2**20)
        fill(full_disk / "filler")
        refused = create_record(client, fake_photo(9), "One more")
        assert refused.status_code == 503, refused.text
        for index, record_id in enumerate(ids):
            answer = client.delete(f"/records/{record_id}")
            assert answer.status_code == 200, answer.text
            assert answer.json().get("pending") or not in_files(full_disk, traces[index])
            fill(full_disk / f"filler-{index}")
        eventually(lambda: not any(in_files(full_disk, trace) for trace in traces))
        assert client.get("/records").json()["total_count"] == 0


def test_an_index_overwrites_what_is_removed() -> None:
    index = FaissIndex(128, "euclidean")
    index.add(np.arange(2), np.array([OBAMA, BIDEN]))
    index.remove(np.array([0]))
    assert OBAMA.tobytes() not in index._vectors().tobytes()
    assert BIDEN.tobytes() in index._vectors().tobytes()


def test_each_workers_memory_loses_what_another_process_erases(tmp_path: Path) -> None:
    """The workers answer nothing meanwhile, so only their own watch can tell them."""
    people = np.random.default_rng(0).normal(0, 0.09, (1000, 128)).astype(np.float32)
    members = [{"regNo": i, "name": str(i), "descriptor": to_base64(row)} for i, row in enumerate(people)]
    (tmp_path / "members.json").write_text(json.dumps(members))
    data = tmp_path / "data"
    Gallery(f"sqlite:///{data}/gallery.sqlite").close()  # so that the service opens it at its start
    with started(workers=2, FACE128_ENGINES="fake", FACE128_DATA=str(data)) as (process, _):
        imported = face128("gallery", "import", tmp_path / "members.json", FACE128_DATA=str(data))
        assert imported.returncode == 0, imported.stderr
        gone = {index: people[index].tobytes() for index in range(0, 1000, 250)}
        eventually(lambda: sum(found == set(gone) for found in in_memory(process.pid, gone)) == 2)
        gallery = Gallery(f"sqlite:///{data}/gallery.sqlite")
        for index in gone:
            gallery.erase_user(str(index))
        gallery.close()
        # Single copies may remain in memory that is free: see docs/gallery.md.
        eventually(lambda: all(len(found) <= 1 for found in in_memory(process.pid, gone)))


def in_memory(pid: int, traces: dict[int, bytes]) -> list[set[int]]:
    """Which of the traces are in the memory of each worker of a service."""
    workers = [one for one in psutil.Process(pid).children() if "spawn_main" in " ".join(one.cmdline())]
    return [_in_memory_of(worker.pid, traces) for worker in workers]


def _in_memory_of(pid: int, traces: dict[int, bytes]) -> set[int]:
    found: set[int] = set()
    with Path(f"/proc/{pid}/maps").open() as maps, Path(f"/proc/{pid}/mem").open("rb", buffering=0) as memory:
        for line in maps:
            addresses, rights, _, _, _, *path = line.split()
            if rights.startswith("rw") and path in ([], ["[heap]"]):
                start, end = (int(address, 16) for address in addresses.split("-"))
                memory.seek(start)
                try:
                    content = memory.read(end - start)
                except OSError:  # unmapped meanwhile
                    continue
                found |= {key for key, trace in traces.items() if trace in content}
    return found


def test_erasing_races_enrolment_export_and_another_erasure(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/gallery.sqlite"
    galleries = [Gallery(url) for _ in range(3)]
    acknowledged = {"enrolled": 0, "erased": 0}

    def enrolling() -> None:
        for _ in range(20):
            acknowledged["enrolled"] += len(enrol(galleries[0], "44", OBAMA, "Barack Obama"))

    def erasing(number: int) -> int:
        erased = 0
        for _ in range(20):
            try:
                erased += len(galleries[number].erase_user("44").records)
            except NotFound:
                continue
        return erased

    def exporting() -> None:
        for turn in range(5):
            with (tmp_path / "export.json").open("w") as file:
                count = export_members(galleries[turn % 3], file)
            members = json.loads((tmp_path / "export.json").read_text())["enrolled"]
            assert sum(len(member["descriptors"]) for member in members) == count <= 1

    with ThreadPoolExecutor(4) as pool:
        first = pool.submit(enrolling)
        erasers = [pool.submit(erasing, number) for number in (1, 2)]
        export = pool.submit(exporting)
        for future in (first, *erasers, export):
            future.result(TIMEOUT_S)
    total = galleries[0].page(0, 10)[0]
    assert total <= 1
    for gallery in galleries:
        assert (matched_reg_no(gallery, OBAMA) is not None) == bool(total)
    if total:
        galleries[1].erase_user("44")
    assert [matched_reg_no(gallery, OBAMA) for gallery in galleries] == [None] * 3
    eventually(lambda: galleries[0]._eraser.finish())
    assert not in_files(tmp_path, OBAMA.tobytes())
    for gallery in galleries:
        gallery.close()
