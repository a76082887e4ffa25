"""Identifiers: never read, regenerated from a stated format."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.errors import DataError
from dpsynth.schema.columns import Identifier

__all__ = ["Keys", "generate", "space"]

_LEAST_SPACE = 2**20


@dataclass(frozen=True, slots=True)
class Keys:
    """A regenerated identifier column.

    Attributes:
        texts: One identifier a row.
        digits: Whether every position of the format is a digit.
    """

    texts: npt.NDArray[np.str_]
    digits: bool

    def wholes(self, dtype: str) -> npt.NDArray[Any] | None:
        """Return the keys in an integer dtype, or ``None`` where the format does not fit it."""
        width = self.texts.dtype.itemsize // 4
        if not self.digits or width >= len(str(np.iinfo(dtype).max)):
            return None
        return self.texts.astype(np.int64).astype(dtype)


def space(pattern: str) -> int:
    """Return how many different identifiers a format writes."""
    return math.prod(radix for _, radix in _radices(pattern))


def _radices(pattern: str) -> list[tuple[str, int]]:
    """Return one (first character, radix) a position; a literal has radix 1."""
    positions: list[tuple[str, int]] = []
    characters = iter(pattern)
    for character in characters:
        if character == "\\":
            positions.append((next(characters, "\\"), 1))
        else:
            positions.append({"#": ("0", 10), "@": ("A", 26)}.get(character, (character, 1)))
    return positions


def generate(name: str, spec: Identifier, n: int, rng: np.random.Generator) -> Keys:
    """Return ``n`` identifiers in the stated format, all different if ``unique``.

    Row ``i`` gets the number ``(a i + b) mod m`` written in the last positions of the format, whose mixed
    radix is ``m >= n``; with ``gcd(a, m) = 1`` no number comes twice. The positions before are random.

    Args:
        name: The column, for the message.
        spec: The format.
        n: How many.
        rng: Chance that has nothing to do with privacy: nothing here was read from rows.

    Raises:
        DataError: the format writes fewer than ``n`` different identifiers.
    """
    positions = _radices(spec.format)
    radices = [radix for _, radix in positions]
    if spec.unique and n > space(spec.format):
        raise DataError(
            f"identifier {name!r}: the format {spec.format!r} writes {space(spec.format)} different values, "
            f"fewer than the {n} rows asked for; make the format longer, or state unique: false"
        )
    first = np.array([ord(character) for character, _ in positions], dtype=np.uint32)
    offsets = rng.integers(0, np.array(radices), size=(n, len(radices)), dtype=np.int64).astype(np.uint32)
    if spec.unique and n:
        _make_distinct(offsets, radices, n, rng)
    texts = np.ascontiguousarray(first + offsets).view(f"<U{len(radices)}").reshape(n)
    return Keys(texts, all("0" <= character <= "9" for character, _ in positions))


def _make_distinct(
    offsets: npt.NDArray[np.uint32], radices: list[int], n: int, rng: np.random.Generator
) -> None:
    """Overwrite the last positions with a permuted counter, so that no two rows agree."""
    start, modulus = len(radices), 1
    while start > 0 and modulus < max(n, _LEAST_SPACE):
        start -= 1
        modulus *= radices[start]
    factor = 1 if modulus == 1 else int(rng.integers(1, modulus))
    while np.gcd(factor, modulus) != 1:
        factor = int(rng.integers(1, modulus))
    counter = (factor * np.arange(n, dtype=np.int64) + int(rng.integers(0, modulus))) % modulus
    for place in range(len(radices) - 1, start - 1, -1):
        counter, digit = np.divmod(counter, radices[place])
        offsets[:, place] = digit
