"""Disks that fill up, and files that nobody may write. Only root, with its full rights, can make them."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

COMMAND_TIMEOUT_S = 30


@contextmanager
def small_disk(folder: Path, size_mib: int) -> Iterator[None]:
    """Skips the test where it is not allowed."""
    _run_or_skip("mount", "-t", "tmpfs", "-o", f"size={size_mib}m", "tmpfs", str(folder))
    try:
        yield
    finally:
        subprocess.run(["umount", "-l", folder], check=True, timeout=COMMAND_TIMEOUT_S)


@contextmanager
def immutable(path: Path) -> Iterator[None]:
    """Nobody, root included, may open the file for writing, or make one in the folder. Skips as ``small_disk`` does."""
    _run_or_skip("chattr", "+i", str(path))
    try:
        yield
    finally:
        subprocess.run(["chattr", "-i", path], check=True, timeout=COMMAND_TIMEOUT_S)


def fill(path: Path) -> None:
    """Write a file until the disk is full."""
    with path.open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            pass


def _run_or_skip(*command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_TIMEOUT_S)
    except FileNotFoundError:
        pytest.skip(f"{command[0]} is not installed")
    if done.returncode:
        pytest.skip(f"{command[0]}: {done.stderr.strip()}")
