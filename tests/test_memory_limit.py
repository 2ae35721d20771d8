"""What is free, from the files of both versions of cgroups and of the machine, as the kernel writes them."""

from __future__ import annotations

from pathlib import Path

import pytest

from face128.memory_limit import MemoryLimit

MIB = 2**20
MEMINFO = f"MemTotal: {8 * 2**20} kB\nMemFree: 100 kB\nMemAvailable: {4 * 2**20} kB\nSwapFree: {2**20} kB\n"
UNLIMITED_V1 = "9223372036854771712"


def write(root: Path, files: dict[str, str]) -> MemoryLimit:
    for name, text in ({"proc/meminfo": MEMINFO} | files).items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return MemoryLimit(root)


def v2(folder: str, limit: str, used_mib: int, cached_mib: int = 0, high: str = "max") -> dict[str, str]:
    stat = f"anon 1\nfile {cached_mib * MIB}\nfile_mapped {MIB}\nactive_file {cached_mib * MIB}\ninactive_file {MIB}\n"
    files = {"memory.max": limit, "memory.high": high, "memory.current": str(used_mib * MIB), "memory.stat": stat}
    return {f"sys/fs/cgroup/{folder}{name}": text for name, text in files.items()}


def v1(folder: str, limit: str, used_mib: int, cached_mib: int = 0) -> dict[str, str]:
    stat = f"mapped_file 0\ntotal_mapped_file 0\ntotal_active_file 0\ntotal_inactive_file {cached_mib * MIB}\n"
    files = {"memory.limit_in_bytes": limit, "memory.usage_in_bytes": str(used_mib * MIB), "memory.stat": stat}
    return {f"sys/fs/cgroup/memory/{folder}{name}": text for name, text in files.items()}


@pytest.mark.parametrize(
    ("files", "total_mib", "free_mib"),
    [
        pytest.param({}, 8192, 4096 + 1024, id="no-cgroups"),
        pytest.param({"proc/self/cgroup": "0::/\n"}, 8192, 5120, id="v2-without-a-memory-controller"),
        pytest.param({"proc/self/cgroup": "0::/\n"} | v2("", f"{512 * MIB}\n", 200), 512, 312, id="v2-container"),
        pytest.param({"proc/self/cgroup": "0::/\n"} | v2("", f"{512 * MIB}", 200, 50), 512, 362, id="v2-cached-files"),
        pytest.param({"proc/self/cgroup": "0::/\n"} | v2("", "max\n", 200), 8192, 5120, id="v2-unlimited"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n"} | v2("", f"{512 * MIB}", 200, high=f"{400 * MIB}"), 400, 200, id="v2-high"
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/a/b\n"} | v2("a/b/", "max", 10) | v2("a/", f"{300 * MIB}", 100),
            300,
            200,
            id="v2-limit-of-the-parent",
        ),
        pytest.param(
            {"proc/self/cgroup": "0::/outer/name\n"} | v2("", f"{256 * MIB}", 56), 256, 200, id="v2-name-outside"
        ),
        pytest.param(
            {"proc/self/cgroup": "9:name=systemd:/\n4:memory:/docker/1\n0::/\n"}
            | v1("docker/1/", f"{512 * MIB}", 112, 40),
            512,
            440,
            id="v1",
        ),
        pytest.param(
            {"proc/self/cgroup": "4:cpu,memory:/docker/1\n"} | v1("", f"{512 * MIB}", 112),
            512,
            400,
            id="v1-name-outside",
        ),
        pytest.param({"proc/self/cgroup": "4:memory:/\n"} | v1("", UNLIMITED_V1, 112), 8192, 5120, id="v1-unlimited"),
        pytest.param(
            {"proc/self/cgroup": "0::/\n"} | v2("", f"{16 * 1024 * MIB}", 1), 8192, 5120, id="machine-is-less"
        ),
        pytest.param({"proc/self/cgroup": "0::/\n"} | v2("", "nonsense", 1), 8192, 5120, id="unreadable"),
    ],
)
def test_the_smallest_limit_and_the_least_that_is_free_count(
    tmp_path: Path, files: dict[str, str], total_mib: int, free_mib: int
) -> None:
    limit = write(tmp_path, files)
    assert (limit.total_bytes(), limit.free_bytes()) == (total_mib * MIB, free_mib * MIB)


def test_without_these_files_nothing_is_known(tmp_path: Path) -> None:
    limit = MemoryLimit(tmp_path)
    assert (limit.total_bytes(), limit.free_bytes()) == (None, None)
