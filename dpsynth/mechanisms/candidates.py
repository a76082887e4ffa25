"""Sets of columns as candidates for measurement, each at the resolutions of its columns that make sense.

A fine numeric column makes a joint table that no small budget can fill with anything but noise. So every
set of columns is a candidate several times: from the coarsest groups of its columns on, the column of fewest
groups is refined first, as long as the table stays within the next number of cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dpsynth.domain import Domain
from dpsynth.mechanisms.mechanism import one_way
from dpsynth.mechanisms.pairs import NOISE
from dpsynth.mechanisms.workload import ColumnSet, downward_closure
from dpsynth.model.junction import JunctionForest
from dpsynth.model.levels import Level
from dpsynth.model.structure import LARGEST_CLIQUE
from dpsynth.privacy.marginal import Marginal

__all__ = ["FEW_GROUPS", "Candidate", "Pool", "candidates_of", "ladder"]

FEW_GROUPS = 4  # that the coarsest level of a column aims at
_FIRST = 1_000  # columns and pairs come before larger sets


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A marginal that could be measured.

    Attributes:
        query: The grouped contingency table.
        at: For each column the position of its level, 0 for the finest; a single column is at -1, its codes.
        weight: How much an error in it matters.
    """

    query: Marginal
    at: tuple[int, ...]
    weight: float

    @property
    def columns(self) -> ColumnSet:
        """Its columns, increasing."""
        return self.query.columns


def ladder(sizes: Sequence[Sequence[int]], limits: Sequence[int]) -> list[tuple[int, ...]]:
    """Return resolutions of a set of columns, from coarse to fine.

    Args:
        sizes: For each column the number of groups of each of its levels, fine to coarse.
        limits: Numbers of cells, increasing; one resolution each, where it differs from the one before.

    Returns:
        The positions of the columns' levels. The first is the coarsest, whatever its size.

    Example:
        >>> ladder([[10, 5, 3], [4, 2]], [12, 24])
        [(2, 1), (2, 0), (1, 0)]
    """
    at = [len(s) - 1 for s in sizes]
    found = [tuple(at)]
    for limit in limits:
        while True:
            cells = math.prod(s[i] for s, i in zip(sizes, at, strict=True))
            finer = [
                (sizes[c][i], c)
                for c, i in enumerate(at)
                if i > 0 and cells // sizes[c][i] * sizes[c][i - 1] <= limit
            ]
            if not finer:
                break
            at[min(finer)[1]] -= 1
        if tuple(at) != found[-1]:
            found.append(tuple(at))
    return found


def candidates_of(
    domain: Domain,
    columns: ColumnSet,
    weight: float,
    levels: Sequence[Sequence[Level]],
    limits: Sequence[int],
) -> list[Candidate]:
    """Return a set of columns at each resolution of its ladder; a single column at full resolution.

    Three or more columns that have more cells than the last of ``limits`` even at their coarsest are none.

    Args:
        domain: The columns.
        columns: Positions, increasing.
        weight: Of the set.
        levels: Nested resolutions of every column of the domain, fine to coarse.
        limits: Numbers of cells, as for :func:`ladder`.
    """
    if len(columns) == 1:
        return [Candidate(one_way(domain, columns[0]), (-1,), weight)]
    sizes = [[level.size for level in levels[c]] for c in columns]
    found = [
        Candidate(
            Marginal(columns, tuple(levels[c][i].groups for c, i in zip(columns, at, strict=True))),
            at,
            weight,
        )
        for at in ladder(sizes, limits)
    ]
    return [c for c in found if len(columns) == 2 or c.query.cells <= limits[-1]]


class Pool:
    """All candidates, how precisely each is known, and the size of a model of what was measured.

    A model holds a table of every set of columns that was measured together, and the cliques of a junction
    tree: no more than there are columns, and of no more than
    :data:`~dpsynth.model.structure.LARGEST_CLIQUE` cells each. Rows follow tables beyond them too.

    Args:
        candidates: Every set of columns at every resolution.
        columns: Number of columns of the table.
    """

    def __init__(self, candidates: Sequence[Candidate], columns: int) -> None:
        self.candidates = tuple(candidates)
        self._power = np.zeros(len(candidates))  # 1 / sigma**2 of what is known of each, in all
        self._places: dict[ColumnSet, list[int]] = {}
        for i, candidate in enumerate(candidates):
            self._places.setdefault(candidate.columns, []).append(i)
        self._tree = JunctionForest([1] * columns)
        self._held: dict[ColumnSet, int] = {}  # cells of the finest table of each set of two or more columns
        self._most = LARGEST_CLIQUE * columns  # cells of all cliques

    def note(self, columns: ColumnSet, at: Sequence[int], query: Marginal, sigma: float) -> None:
        """Note a measured table: it tells of every candidate whose cells are sums of its own."""
        finest = dict(zip(columns, at, strict=True))
        sizes = dict(zip(columns, query.shape, strict=True))
        for inside in downward_closure([columns]):
            if len(inside) > 1:
                cells = math.prod(sizes[c] for c in inside)
                self._held[inside] = max(cells, self._held.get(inside, 0))
            for i in self._places.get(inside, ()):
                candidate = self.candidates[i]
                if all(a >= finest[c] for c, a in zip(inside, candidate.at, strict=True)):
                    self._power[i] += candidate.query.cells / (query.cells * sigma**2)
        if len(columns) > 1:
            self._tree.sizes = self._states(query)
            self._tree.add(columns)

    def promising(self, sigma: float, *, most_noise: float, room: int, most_sets: int) -> list[int]:
        """Return the positions of the candidates that a measurement at ``sigma`` could teach something.

        Args:
            sigma: Noise of the round.
            most_noise: Expected L1 norm of noise from which on a table tells nothing.
            room: Cells that the model may have.
            most_sets: Most sets of columns.
        """
        able: dict[ColumnSet, list[int]] = {}
        for columns, places in self._places.items():
            for i in places:
                affordable = i == places[0] or NOISE * sigma * self.candidates[i].query.cells <= most_noise
                if affordable and self._power[i] * sigma**2 < 1:
                    able.setdefault(columns, []).append(i)
        found: list[int] = []
        sets = 0
        for columns in sorted(able, key=lambda s: (-self._known_inside(s), len(s), s)):
            fitting = [i for i in able[columns] if self._has_room(self.candidates[i], room)]
            found += fitting
            sets += bool(fitting)
            if sets >= most_sets:
                break
        return sorted(found)

    def _has_room(self, candidate: Candidate, room: int) -> bool:
        columns = candidate.columns
        if len(columns) == 1:
            return True
        known = self._held.get(columns, 0)
        tables = sum(self._held.values()) - known + max(known, candidate.query.cells)
        if tables + self._most <= room or tables > room:
            return tables <= room
        former, self._tree.sizes = self._tree.sizes, self._states(candidate.query)
        try:
            cliques = sum(map(self._tree.cells, self._tree.cliques.values()))
            return tables + cliques + self._tree.price(columns) <= room
        finally:
            self._tree.sizes = former

    def _states(self, query: Marginal) -> tuple[int, ...]:
        """Return the columns' numbers of states once this table is measured too."""
        states = list(self._tree.sizes)
        for column, size in zip(query.columns, query.shape, strict=True):
            states[column] = max(states[column], size)
        return tuple(states)

    def _known_inside(self, columns: ColumnSet) -> int:
        """Count the pairs inside a set of columns that were measured; columns and pairs come first."""
        if len(columns) < 3:
            return _FIRST
        pairs = [s for s in downward_closure([columns], most=2) if len(s) == 2]
        return sum(bool(self._power[self._places[p]].any()) for p in pairs if p in self._places)
