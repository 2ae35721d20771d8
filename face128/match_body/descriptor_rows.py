"""Collects the descriptors of many members into one array, a row each, as fast as they come.

The fast ways only ever take what is good. What they cannot take, ``descriptors.parse`` judges: it is the definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from pybase64 import b64decode
from simdjson import Array

from face128.domain import descriptors
from face128.domain.descriptors import Block
from face128.match_body.json_document import Body, has_lists_in_lists, plain

DOUBLE, SINGLE = "=f8", "<f4"
AT_ONCE = 256  # descriptors: what is made of them on the way stays in the processor's cache


class Rows:
    """Descriptors of ``dimension`` numbers, and whose they are."""

    def __init__(self, dimension: int, *, careful: bool = False) -> None:
        self._dimension = dimension
        self._careful = careful
        # The rows' bytes. Those from base64 stand apart: they are float32, and take half the memory.
        self._doubles: list[bytes] = []
        self._singles: list[bytes] = []
        self._owners_of_doubles: list[int] = []
        self._owners_of_singles: list[int] = []
        self._lists = 0  # that these descriptors came as
        self._lists_in_lists = 0  # those of them that stood in a list

    def __len__(self) -> int:
        return len(self._owners_of_doubles) + len(self._owners_of_singles)

    def add(self, value: Any, owner: int, *, in_list: bool = False) -> None:
        """Take one descriptor in any of its forms; owners come in ascending order. Raises InvalidDescriptor."""
        if type(value) is Array:
            self._lists_in_lists += in_list
            if len(value) == self._dimension and not (self._careful and list in map(type, value.as_list())):
                try:
                    self._doubles.append(value.as_buffer(of_type="d"))
                    self._owners_of_doubles.append(owner)
                    self._lists += 1
                    return
                except TypeError:
                    pass
        elif type(value) is str and not self._careful:
            try:
                data = b64decode(value, None, True)
            except ValueError:
                data = b""
            if len(data) == 4 * self._dimension:
                self._singles.append(data)
                self._owners_of_singles.append(owner)
                return
        self._doubles.append(descriptors.parse(plain(value), self._dimension).tobytes())
        self._owners_of_doubles.append(owner)

    def add_all(self, values: list[Any]) -> bool:
        """Take a descriptor for each owner 0, 1, ... if all are good base64, or all good lists; otherwise take none."""
        if self._careful:
            return False
        owners = list(range(len(values)))
        try:
            if {str}.issuperset(map(type, values)):
                self._singles = [_decoded(some, 4 * self._dimension) for some in _in_turn(values)]
                self._owners_of_singles = owners
            elif {Array}.issuperset(map(type, values)) and {self._dimension}.issuperset(map(len, values)):
                self._doubles = [
                    b"".join([value.as_buffer(of_type="d") for value in some]) for some in _in_turn(values)
                ]
                self._owners_of_doubles = owners
                self._lists = len(values)
            else:
                return False
        except (TypeError, ValueError):
            return False
        return True

    def doubtful(self, body: Body, others: int) -> bool:
        """Whether something may have been taken that is no descriptor; only careful rows can tell, and name it.

        ``others`` is how many lists the body is known to have besides these descriptors.
        """
        # simdjson's as_buffer flattens [[1, 2], 3]; base64 can say NaN.
        nested = bool(self._doubles) and has_lists_in_lists(body, self._lists_in_lists, self._lists + others)
        return nested or not np.isfinite(self._single_rows).all()

    def block(self) -> tuple[Block, npt.NDArray[np.int64]]:
        """The descriptors in the order of their owners, and the owner of each row."""
        owners = np.array(self._owners_of_doubles + self._owners_of_singles, np.int64)
        if not self._singles:
            return self._joined(self._doubles, DOUBLE), owners
        if not self._doubles:
            return self._single_rows, owners
        order = np.argsort(owners, kind="stable")
        return np.concatenate([self._joined(self._doubles, DOUBLE), self._single_rows])[order], owners[order]

    @cached_property
    def _single_rows(self) -> Block:
        return self._joined(self._singles, SINGLE)

    def _joined(self, rows: list[bytes], kind: str) -> Block:
        """One array of many rows; each part holds the bytes of one row or of several."""
        return np.frombuffer(b"".join(rows), kind).reshape(-1, self._dimension)


def _in_turn(values: list[Any]) -> Iterator[list[Any]]:
    return (values[at : at + AT_ONCE] for at in range(0, len(values), AT_ONCE))


def _decoded(texts: list[str], size: int) -> bytes:
    """The bytes of texts in strict base64 that say ``size`` bytes each. Raises ValueError unless they are all that.

    One call for many takes less time than one for each, but would stop at the first padding: zeros stand in for it.
    """
    padding = -size % 3
    length = (size + padding) // 3 * 4
    if not {length}.issuperset(map(len, texts)):
        raise ValueError("one is longer or shorter")
    together = bytearray("".join(texts), "ascii")
    ends = np.frombuffer(together, np.uint8).reshape(-1, length)[:, length - padding :]
    if not (ends == ord("=")).all():
        raise ValueError("one is not padded as it should be")
    ends[:] = ord("A")
    return np.frombuffer(b64decode(together, None, True), np.uint8).reshape(-1, size + padding)[:, :size].tobytes()
