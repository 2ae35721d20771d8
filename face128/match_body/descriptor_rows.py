"""Collects the descriptors of many members in one array, one row each.

The fast paths only accept valid descriptors. Everything else goes to ``descriptors.parse``, which is the definition.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pybase64 import b64decode
from simdjson import Array

from face128.domain import descriptors
from face128.domain.descriptors import Matrix
from face128.match_body.json_document import Body, has_nested_lists, to_python

FLOAT64, FLOAT32 = "=f8", "<f4"
BATCH_DESCRIPTORS = 256  # decoded at once: the intermediate results fit into the processor's cache


class DescriptorRows:
    """Descriptors of ``dimension`` numbers and their owners; ``strict`` checks each for nested lists and for NaN."""

    def __init__(self, dimension: int, *, strict: bool = False) -> None:
        self._dimension = dimension
        self._strict = strict
        # The bytes of the rows. Those from base64 are kept apart: they are float32 and take half the memory.
        self._float64: list[bytes] = []
        self._float32: list[bytes] = []
        self._float64_owners: list[int] = []
        self._float32_owners: list[int] = []
        self._lists = 0  # descriptors that came as a list
        self._nested_lists = 0  # those of them in a member's ``descriptors``

    def __len__(self) -> int:
        return len(self._float64_owners) + len(self._float32_owners)

    def add(self, value: Any, owner: int, *, in_list: bool = False) -> bytes:
        """Add one descriptor in any wire form and return its bytes; owners must come in ascending order.

        Raises InvalidDescriptor.
        """
        if type(value) is Array:
            self._nested_lists += in_list
            if len(value) == self._dimension and not (self._strict and list in map(type, value.as_list())):
                try:
                    data = value.as_buffer(of_type="d")
                    self._float64.append(data)
                    self._float64_owners.append(owner)
                    self._lists += 1
                    return data
                except TypeError:
                    pass
        elif type(value) is str and not self._strict:
            try:
                data = b64decode(value, None, True)
            except ValueError:
                data = b""
            if len(data) == 4 * self._dimension:
                self._float32.append(data)
                self._float32_owners.append(owner)
                return data
        data = descriptors.parse(to_python(value), self._dimension).tobytes()
        self._float64.append(data)
        self._float64_owners.append(owner)
        return data

    def merge_last_two(self, earlier: bytes, last: bytes) -> None:
        """Remove ``earlier``, which was added just before ``last``, if it has the same numbers."""
        one, other = self._numbers(earlier), self._numbers(last)
        if not np.array_equal(one, other):
            return
        at = -2 if one.dtype == other.dtype else -1
        if one.dtype == np.float32:
            del self._float32[at], self._float32_owners[at]
        else:
            del self._float64[at], self._float64_owners[at]

    def _numbers(self, data: bytes) -> Matrix:
        return np.frombuffer(data, FLOAT32 if memoryview(data).nbytes == 4 * self._dimension else FLOAT64)

    def mark(self) -> tuple[int, int]:
        """The present size, for ``undo``."""
        return len(self._float64), len(self._float32)

    def undo(self, mark: tuple[int, int]) -> None:
        """Remove the descriptors that were added one by one since ``mark``."""
        del self._float64[mark[0] :], self._float64_owners[mark[0] :]
        del self._float32[mark[1] :], self._float32_owners[mark[1] :]

    def add_all(self, values: list[Any], owners: list[int]) -> bool:
        """Add one descriptor for each owner if all are valid base64, or all valid lists; else add none."""
        if self._strict:
            return False
        try:
            if {str}.issuperset(map(type, values)):
                self._float32 = [_decode_all(batch, 4 * self._dimension) for batch in _batches(values)]
                self._float32_owners = owners
            elif {Array}.issuperset(map(type, values)) and {self._dimension}.issuperset(map(len, values)):
                self._float64 = [b"".join([value.as_buffer(of_type="d") for value in values])]
                self._float64_owners = owners
                self._lists = len(values)
            else:
                return False
        except (TypeError, ValueError):
            return False
        return True

    def to_arrays(self) -> tuple[Matrix, npt.NDArray[np.int64]]:
        """The descriptors in ascending order of their owners, (rows, dimension), and the owner of each row, (rows,)."""
        owners = np.array(self._float64_owners + self._float32_owners, np.int64)
        if not self._float32:
            return self._concatenate(self._float64, FLOAT64), owners
        if not self._float64:
            return self._float32_rows, owners
        order = np.argsort(owners, kind="stable")
        return np.concatenate([self._concatenate(self._float64, FLOAT64), self._float32_rows])[order], owners[order]

    @cached_property
    def _float32_rows(self) -> Matrix:
        return self._concatenate(self._float32, FLOAT32)

    def _concatenate(self, rows: list[bytes], dtype: str) -> Matrix:
        """(n, dimension); each element of ``rows`` holds the bytes of one row or of several."""
        return np.frombuffer(b"".join(rows), dtype).reshape(-1, self._dimension)


def need_strict_check(rows: Iterable[DescriptorRows], body: Body, other_lists: int, *, other_nested: int = 0) -> bool:
    """Whether an invalid descriptor may have been accepted; only strict rows can tell, and name it.

    ``other_lists`` is the number of lists that the body certainly has besides these descriptors; ``other_nested``
    of them follow no field's name.
    """
    # simdjson's as_buffer flattens [[1, 2], 3]; base64 may contain NaN.
    may_be_nested = False
    for each in rows:
        other_nested += each._nested_lists
        other_lists += each._lists
        may_be_nested |= bool(each._float64)
        if each._float32 and not np.isfinite(each._float32_rows).all():
            return True
    return may_be_nested and has_nested_lists(body, other_nested, other_lists)


def _batches(values: list[Any]) -> Iterator[list[Any]]:
    return (values[at : at + BATCH_DESCRIPTORS] for at in range(0, len(values), BATCH_DESCRIPTORS))


def _decode_all(texts: list[str], size: int) -> bytes:
    """The bytes of texts in strict base64 that encode ``size`` bytes each. Raises ValueError if one does not.

    One call for many texts is faster than one for each, but the decoder stops at the first padding: "A" replaces it.
    """
    padding = -size % 3
    length = (size + padding) // 3 * 4
    if not {length}.issuperset(map(len, texts)):
        raise ValueError("a text has the wrong length")
    joined = bytearray("".join(texts), "ascii")
    ends = np.frombuffer(joined, np.uint8).reshape(-1, length)[:, length - padding :]
    if not (ends == ord("=")).all():
        raise ValueError("a text has the wrong padding")
    ends[:] = ord("A")
    return np.frombuffer(b64decode(joined, None, True), np.uint8).reshape(-1, size + padding)[:, :size].tobytes()
