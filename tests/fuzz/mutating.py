"""A seeded mutator of files and bodies: damage by accident or on purpose."""

from __future__ import annotations

import random
from collections.abc import Sequence

# Limits of signed and unsigned 8, 16 and 32 bit integers, and sizes above what is accepted.
INTERESTING = (0, 1, 2, 127, 128, 255, 256, 7071, 32767, 32768, 65535, 65536, 2**31 - 1, 2**31, 2**32 - 2, 2**32 - 1)
HEADER_BYTES = 200  # where most formats have their header


class Mutator:
    """Changes one of ``seeds`` in one to eight places; ``tokens`` are byte strings with a meaning in the format.

    Places next to a token (a chunk's length, a tag's value) and ``fields`` (e.g. the bytes of a width) change often.
    """

    def __init__(self, seeds: Sequence[bytes], tokens: Sequence[bytes], fields: Sequence[bytes] = ()) -> None:
        self.seeds = seeds
        self.tokens = tokens
        self._places = {seed: _places(seed, tokens, fields) for seed in seeds}

    def __call__(self, dice: random.Random) -> bytes:
        seed = dice.choice(self.seeds)
        data = bytearray(seed)
        for _ in range(dice.choice((1, 1, 1, 2, 2, 4, 8))):
            self.change(dice, data, self._places[seed])
        return bytes(data)

    def change(self, dice: random.Random, data: bytearray, places: Sequence[int] = ()) -> None:
        """One change, in place."""
        at = _place(dice, len(data), places)
        match dice.randrange(9):
            case 0:
                data[at : at + 1] = bytes([data[at] ^ 1 << dice.randrange(8)] if at < len(data) else [])
            case 1:
                data[at : at + 1] = bytes([dice.randrange(256)])
            case 2 | 3:
                size = dice.choice((1, 2, 4))
                number = dice.choice(INTERESTING) % 2 ** (8 * size)
                data[at : at + size] = number.to_bytes(size, dice.choice(("big", "little")))
            case 4:
                del data[at : dice.choice((len(data), at + 1, at + 2, at + 4, at + 100))]
            case 5:
                data[at:at] = data[at : at + dice.choice((1, 4, 16, 100))] * dice.choice((1, 1, 2, 20))
            case 6:
                other = dice.choice(self.seeds)
                start = dice.randrange(len(other))
                end = start + dice.choice((4, 20, 100, len(other)))
                data[at : dice.choice((at, at + end - start, len(data)))] = other[start:end]
            case 7:
                data[at:at] = dice.choice(self.tokens)
            case 8:
                token = dice.choice(self.tokens)
                data[at : at + len(token)] = token


def _places(seed: bytes, tokens: Sequence[bytes], fields: Sequence[bytes]) -> list[int]:
    places = [at + shift for token in tokens for at in _find(seed, token) for shift in (-4, len(token))]
    return [at for at in places if 0 <= at < len(seed)] + [at for field in fields for at in _find(seed, field)]


def _find(seed: bytes, token: bytes) -> list[int]:
    return [at for at in range(len(seed)) if seed.startswith(token, at)]


def _place(dice: random.Random, length: int, places: Sequence[int]) -> int:
    kind = dice.random()
    if places and kind < 0.4:
        return dice.choice(places)
    return dice.randrange(max(1, min(HEADER_BYTES, length) if kind < 0.6 else length))
