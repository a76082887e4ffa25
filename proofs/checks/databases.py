"""All small databases, and all their neighbours: what the exhaustive checks enumerate."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

__all__ = ["CELLS", "Rows", "counts", "neighbours", "require"]

Rows = tuple[int, ...]
CELLS = 4  # of the universe: a table of two by two, its cells numbered


def counts(rows: Rows) -> tuple[int, ...]:
    """Count rows with a loop."""
    return tuple(sum(1 for row in rows if row == cell) for cell in range(CELLS))


def neighbours(k: int, sides: int, most: int = 2) -> Iterator[tuple[Rows, Rows]]:
    """Give every ordered pair of neighbours whose common rows are at most ``most``.

    Args:
        k: Most rows of one unit.
        sides: 1 for a unit added or removed, 2 for one in the place of another.
        most: Rows of the others.
    """
    units = [u for size in range(k + 1) for u in itertools.combinations_with_replacement(range(CELLS), size)]
    for size in range(most + 1):
        for others in itertools.combinations_with_replacement(range(CELLS), size):
            for one, two in itertools.product(units, units):
                if sides == 2 or () in {one, two}:
                    yield (*others, *one), (*others, *two)


def require(holds: object, case: object) -> None:
    """Go on only if a claim holds.

    Raises:
        AssertionError: names the case.
    """
    if not holds:
        raise AssertionError(f"enumeration finds more than the code says: {case}")
