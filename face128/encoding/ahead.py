"""Describes a photo's first face beside the search for further ones, where a core is idle.

Most photos have one face. Where there turns out to be another, or the photo is turned, the work was for nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Generic, TypeVar

from face128.engines import early_face
from face128.engines.base import Face
from face128.helper_thread import Helper, Task, result_of

Result = TypeVar("Result")


class Ahead(Generic[Result]):
    def __init__(self, helper: Helper, describe: Callable[[Face], Result]) -> None:
        self._helper = helper
        self._describe = describe
        self._begun: tuple[Face, Task[Result]] | None = None

    @contextmanager
    def listening(self) -> Iterator[None]:
        """Begin with the face that an engine tells in this block."""
        reset = early_face.listener.set(self._begin)
        try:
            yield
        finally:
            early_face.listener.reset(reset)

    def result(self, face: Face) -> Result:
        """What ``describe`` returns for this face. Raises what it raises."""
        if self._begun is not None and self._begun[0] is face and not self._begun[1].cancel():
            return result_of(self._begun[1])
        return self._describe(face)

    def _begin(self, face: Face) -> None:
        if self._begun is None and (task := self._helper.start(lambda: self._describe(face))) is not None:
            self._begun = face, task
