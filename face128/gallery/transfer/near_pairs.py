"""All pairs of many descriptors within a distance, exactly. A million descriptors have 500,000,000,000 pairs.

Each descriptor gets a short code: its coordinates on the axes along which the descriptors differ most (half as many as
it has numbers, the last of them for the length of the rest), each rounded to one byte. No step moves two descriptors
further apart, except for rounding, whose effect is known for each. So the distance between two codes says of most pairs
that they are too far apart; the others are compared by ``descriptors.distances``. A product of small integers takes a
third of the time of one of floats.
"""

from __future__ import annotations

import os
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from face128.domain.descriptors import Matrix, Metric, Vector, distances
from face128.gallery.search.index import Distances, Ids, normalised
from face128.gallery.transfer.integer_product import Codes, Products, integer_product

Pairs = tuple[Ids, Ids, Distances]
"""The rows of each pair, the lower first, and their distance."""

BLOCK_ROWS = 1024  # compared with as many others at once: 4 MB of products
SAMPLE_ROWS = 20_000  # for the axes
USUAL_LENGTH = 4  # times the median: a longer descriptor is a wrong one, which must not decide the axes
MAX_CODE = 63  # 7 bits: so products are exact on processors without VNNI, too
SPREAD = 4.5  # standard deviations of a coordinate that MAX_CODE stands for; what is beyond is clipped
CANDIDATES_AT_ONCE = 2**15  # compared exactly: 32 MB in float64
MAX_PAIRS_AT_ONCE = 2**18  # kept before they are handed on: 6 MB
COORDINATE_MARGIN = 1e-7  # of a descriptor's length: above the root of float64's error, for the length of the rest
FLOAT32_MARGIN = 1e-5  # of a distance: above the rounding errors of its 512 squares


def near_pairs(
    vectors: Matrix,
    first: int,
    metric: Metric,
    threshold: float,
    advance: Callable[[int], None],
    *,
    start_thread: Callable[[], object] | None = None,
) -> Iterator[Pairs]:
    """The pairs within the threshold that have a row below ``first``, in any order.

    ``advance`` is told how many pairs have been compared, from several threads; each begins with ``start_thread``. A
    descriptor that has a number that is not finite is in no pair.
    """
    count = pair_count(len(vectors), first)
    if not count:
        return
    search = _Search(vectors, metric, threshold, count)
    new = search.blocks(0, first)
    blocks = [*new, *search.blocks(first, len(vectors))]
    threads = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    todo = deque((place, place) for place in range(len(new)))  # each new block, from itself on
    pending: dict[Future[tuple[list[Pairs], int]], tuple[int, int]] = {}
    with ThreadPoolExecutor(threads, initializer=start_thread) as pool:
        try:
            while todo or pending:
                while todo and len(pending) < 2 * threads:
                    place, at = todo.popleft()
                    pending[pool.submit(search.compare, blocks[place], blocks[at:], advance)] = place, at
                for each in wait(pending, return_when=FIRST_COMPLETED).done:
                    place, at = pending.pop(each)
                    pairs, compared = each.result()
                    if at + compared < len(blocks):
                        todo.appendleft((place, at + compared))
                    yield from pairs
        finally:
            search.stop()
            pool.shutdown(cancel_futures=True)


def pair_count(rows: int, first: int) -> int:
    """How many pairs of so many rows have one below ``first``."""
    return first * (first - 1) // 2 + first * (rows - first)


@dataclass(frozen=True)
class _Block:
    rows: Ids
    codes: Codes
    """(coordinates, rows)"""
    squares: Ids
    """The squared length of each code, ascending."""
    errors: Distances
    """How far each code may be from what was rounded, in steps."""


class _Search:
    def __init__(self, vectors: Matrix, metric: Metric, threshold: float, pairs: int) -> None:
        self._vectors, self._metric, self._threshold = vectors, metric, threshold
        # Of normalised vectors, the squared Euclidean distance is twice the cosine distance.
        self._radius = (sqrt(2 * threshold) if metric == "cosine" else threshold) * (1 + FLOAT32_MARGIN)
        self._stopped = False
        self._threads = threading.local()
        self._multiply = integer_product(pairs)
        sample = self._compared(vectors[:: max(1, len(vectors) // SAMPLE_ROWS)]).astype(np.float64)
        lengths = np.linalg.norm(sample, axis=1)
        sample, lengths = sample[np.isfinite(lengths)], lengths[np.isfinite(lengths)]
        sample = sample[lengths <= USUAL_LENGTH * np.median(lengths)] if len(sample) else np.zeros((1, len(sample.T)))
        self._mean = sample.mean(axis=0)
        self._count = max(2, vectors.shape[1] // 2)
        _, axes = np.linalg.eigh(np.cov(sample.T, bias=True))
        self._axes = axes[:, : -self._count : -1]
        # Mixed, all coordinates differ equally, and one step suits them all.
        self._mix, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(self._count, self._count)))
        self._middle = np.zeros(self._count)
        coordinates = self._coordinates(sample)
        self._middle = coordinates.mean(axis=0)
        self._step = max(float(coordinates.std(axis=0).max()), float(np.finfo(np.float32).tiny)) * SPREAD / MAX_CODE

    def stop(self) -> None:
        self._stopped = True

    def blocks(self, start: int, end: int) -> list[_Block]:
        """The rows of this range, those of similar length together."""
        if start == end:
            return []
        codes = np.empty((self._count, end - start), np.int8)
        errors, finite = np.empty(end - start), np.empty(end - start, np.bool_)
        for at in range(start, end, BLOCK_ROWS):
            here = slice(at - start, min(at + BLOCK_ROWS, end) - start)
            own = self._compared(self._vectors[at : min(at + BLOCK_ROWS, end)]).astype(np.float64)
            finite[here] = np.isfinite(own).all(axis=1)
            own[~finite[here]] = 0
            steps = np.clip((self._coordinates(own) - self._middle) / self._step, -MAX_CODE, MAX_CODE)
            rounded = np.rint(steps)
            lengths = np.linalg.norm(own, axis=1) + np.linalg.norm(self._mean)
            errors[here] = np.linalg.norm(steps - rounded, axis=1) + COORDINATE_MARGIN * lengths / self._step
            codes[:, here] = rounded.T
        squares = np.einsum("ij,ij->j", codes, codes, dtype=np.int64)
        order = np.flatnonzero(finite)
        order = order[np.argsort(squares[order], kind="stable")]
        places = [order[at : at + BLOCK_ROWS] for at in range(0, len(order), BLOCK_ROWS)]
        return [_Block(own + start, np.ascontiguousarray(codes[:, own]), squares[own], errors[own]) for own in places]

    def compare(
        self, block: _Block, others: Sequence[_Block], advance: Callable[[int], None]
    ) -> tuple[list[Pairs], int]:
        """The near pairs of a block with others, which may begin with itself, and with how many of them.

        It stops where there are many: a million photos of one face must not fill the memory.
        """
        left = np.ascontiguousarray(block.codes.T)
        found: list[Pairs] = []
        candidates: list[tuple[Ids, Ids]] = []  # few in each block: compared exactly together
        compared = waiting = 0
        for other in others:
            if waiting > CANDIDATES_AT_ONCE:
                found += self._exact(candidates)
                candidates, waiting = [], 0
            if self._stopped or sum(len(pairs[0]) for pairs in found) + waiting > MAX_PAIRS_AT_ONCE:
                break
            product = self._product(len(left), len(other.rows))
            self._multiply(left, other.codes, product)
            # One number for all, which a processor compares three times as fast as one for each row. Most rows have no
            # candidate, and their greatest product says so: a look at each product takes twice as long.
            least = self._least_product(block.squares[0] + other.squares[0], block.errors.max() + other.errors.max())
            least = np.int32(np.clip(least, -(2**31), 2**31 - 1))
            rows = np.flatnonzero(product.max(axis=1) >= least)
            if len(rows):
                near = product[rows] >= least
                some, columns = np.divmod(np.flatnonzero(near), len(other.rows))
                rows = rows[some]
                squares = block.squares[rows] + other.squares[columns]
                least = self._least_product(squares, block.errors[rows] + other.errors[columns])
                chosen = (product[rows, columns] >= least) & ((rows < columns) | (other is not block))
                candidates.append((block.rows[rows[chosen]], other.rows[columns[chosen]]))
                waiting += int(chosen.sum())
            advance(len(left) * (len(left) - 1) // 2 if other is block else product.size)
            compared += 1
        return [*found, *self._exact(candidates)], compared

    def _least_product(self, squares: Any, errors: Any) -> Any:
        """The least product of two codes whose descriptors may be near: |a - b|^2 = |a|^2 + |b|^2 - 2ab."""
        return np.floor((squares - np.square(self._radius / self._step + errors)) / 2)

    def _exact(self, candidates: list[tuple[Ids, Ids]]) -> Iterator[Pairs]:
        """Those of these pairs that are within the threshold."""
        if not candidates:
            return
        rows, others = (np.concatenate(side) for side in zip(*candidates, strict=True))
        for at in range(0, len(rows), CANDIDATES_AT_ONCE):
            one, other = (each[at : at + CANDIDATES_AT_ONCE] for each in (rows, others))
            one, other = np.minimum(one, other), np.maximum(one, other)
            with np.errstate(all="ignore"):
                differences = self._compared(self._vectors[one]) - self._compared(self._vectors[other])
                near = np.vecdot(differences, differences) <= (self._radius * (1 + FLOAT32_MARGIN)) ** 2
            one, other = one[near], other[near]
            exact = distances(self._vectors[one], self._vectors[other], self._metric) if len(one) else np.empty(0)
            close = exact <= self._threshold
            if close.any():
                yield one[close], other[close], exact[close]

    def _compared(self, vectors: Matrix) -> Matrix:
        return normalised(vectors.astype(np.float32, copy=False)) if self._metric == "cosine" else vectors

    def _coordinates(self, vectors: Vector) -> Vector:
        """(rows, coordinates): no two are further apart than their vectors."""
        centred = vectors - self._mean
        along = centred @ self._axes
        rest = np.sqrt(np.maximum(np.vecdot(centred, centred) - np.vecdot(along, along), 0))
        return np.asarray(np.column_stack([along, rest]) @ self._mix)

    def _product(self, rows: int, columns: int) -> Products:
        """An array of the calling thread."""
        if not hasattr(self._threads, "product"):
            self._threads.product = np.empty(BLOCK_ROWS * BLOCK_ROWS, np.int32)
        return np.asarray(self._threads.product[: rows * columns].reshape(rows, columns))
