"""How far one privacy unit can move what is counted, for either meaning of "neighbour".

A unit has at most ``k`` rows among those counted. Under *add-remove* neighbours differ by one unit's rows,
there or not; under *replace-one* by the rows of one unit in the place of another's, so that up to ``k`` rows
leave some cells and up to ``k`` arrive in others. Proof: proofs/sensitivity.md
"""

from __future__ import annotations

from dataclasses import dataclass

from dpsynth.privacy.guarantee import Guarantee

__all__ = ["Sensitivity", "of_a_distance", "of_counts", "of_distances"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sensitivity:
    """The most by which neighbours' answers differ.

    Attributes:
        l1: Sum of absolute differences.
        l2_squared: Sum of squared differences.
    """

    l1: int
    l2_squared: int


def of_counts(guarantee: Guarantee) -> Sensitivity:
    """Return how far the counts of one marginal move, with ``k = rows_per_unit``.

    ``k`` and ``k**2`` under add-remove; ``2 k`` and ``2 k**2`` under replace-one: the rows that leave are
    perhaps all in one cell, and those that arrive in another.
    """
    k, sides = guarantee.rows_per_unit, guarantee.sides
    return Sensitivity(l1=sides * k, l2_squared=sides * k**2)


def of_a_distance(guarantee: Guarantee) -> int:
    """Return how far the L1 distance of a marginal from a fixed table moves: as the counts in L1."""
    return of_counts(guarantee).l1


def of_distances(guarantee: Guarantee, count: int) -> Sensitivity:
    """Return how far a vector of ``count`` such distances moves."""
    one = of_a_distance(guarantee)
    return Sensitivity(l1=count * one, l2_squared=count * one**2)
