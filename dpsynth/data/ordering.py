"""Columns that are compared: cut where each other's bins are cut, and drawn so that their order holds.

Columns compared with each other, directly or through others, get *common cuts*: each bin lies in one interval
between two cuts, and an interval holds at most one bin of a column. Their grids are nested (whole numbers in
tenths in hundredths; days; moments of one grid), and every bound is a cut; so all columns with a bin in some
interval have a value there in common. Hence codes whose intervals are in order can always be drawn in order:
columns in different intervals are, wherever they fall, and those in one are drawn one after the other.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.data.lattice import Lattice
from dpsynth.data.numeric import Drawn, NumericCoder
from dpsynth.schema.columns import Real

__all__ = ["Ordering", "common_cuts"]

Ints = npt.NDArray[np.int64]

_MOST_UNITS = 2**62


@dataclass(frozen=True, slots=True, eq=False)
class Ordering:
    """Columns of numbers or times that are compared, cut alike.

    Attributes:
        coders: By column, the lower of two compared ones before the higher.
        units: By column, how many common units (the finest step of all) one of its own units is.
        pairs: The columns compared: the first is at most the second.
        cuts: First value of each interval, in common units, increasing.
    """

    coders: Mapping[str, NumericCoder]
    units: Mapping[str, int]
    pairs: tuple[tuple[str, str], ...]
    cuts: Ints

    def intervals(self, name: str) -> Ints:
        """Return the interval of each bin of a column."""
        coder = self.coders[name]
        first = (coder.origin + coder.lattice.bounds()[0] * coder.step) * self.units[name]
        return np.searchsorted(self.cuts, first, side="right").astype(np.int64)

    def settle(
        self,
        codes: Mapping[str, npt.NDArray[np.integer[Any]]],
        drawn: Mapping[str, Drawn],
        rng: np.random.Generator,
    ) -> dict[str, Drawn]:
        """Draw anew where compared columns are in one interval, so that their order holds.

        From the lowest column on, each is the least of as many even draws as there are columns in a row above
        it, so that columns of one grid come out like even draws that were sorted.

        Args:
            codes: Codes of each column.
            drawn: Their points, each drawn from its own bin.
            rng: Source of chance.

        Returns:
            The points of all columns, in their bins as before.
        """
        place = {name: np.append(self.intervals(name), -1)[self._bins(name, codes[name])] for name in codes}
        tops: dict[str, Ints] = {}
        depths: dict[str, Ints] = {}
        for name in reversed(list(self.coders)):
            first, beyond = (np.append(ends, 0) for ends in self.coders[name].lattice.reach())
            top = beyond[self._bins(name, codes[name])] - 1
            depth = np.ones(top.size, dtype=np.int64)
            for other in (high for low, high in self.pairs if low == name):
                both = (place[name] == place[other]) & (place[name] >= 0)
                limit = self._index(name, self._value(other, tops[other]), up=False)
                top = np.where(both, np.minimum(top, limit), top)
                depth = np.where(both, np.maximum(depth, depths[other] + 1), depth)
            tops[name], depths[name] = top, depth
        settled: dict[str, Drawn] = {}
        for name, coder in self.coders.items():
            first = np.append(coder.lattice.reach()[0], 0)
            low = first[self._bins(name, codes[name])]
            tied = depths[name] > 1
            for other in (below for below, high in self.pairs if high == name):
                both = (place[name] == place[other]) & (place[name] >= 0)
                limit = self._index(name, settled[other].points * self.units[other], up=True)
                low, tied = np.where(both, np.maximum(low, limit), low), tied | both
            points = drawn[name].points.copy()
            rows = np.flatnonzero(tied)
            index = _least(low[rows], tops[name][rows], depths[name][rows], rng)
            points[rows] = coder.origin + index * coder.step
            settled[name] = Drawn(points, drawn[name].null)
        return settled

    def _bins(self, name: str, codes: npt.NDArray[np.integer[Any]]) -> Ints:
        """Return the bin of each row, the number of bins where the column is missing."""
        return np.minimum(codes.astype(np.int64), self.coders[name].lattice.size)

    def _value(self, name: str, index: Ints) -> Ints:
        coder = self.coders[name]
        return (coder.origin + index * coder.step) * self.units[name]

    def _index(self, name: str, values: Ints, *, up: bool) -> Ints:
        """Return the point of a column's grid next to a value: not below it (``up``) or not above it."""
        coder, unit = self.coders[name], self.units[name]
        step, above = coder.step * unit, values - coder.origin * unit
        return -(-above // step) if up else above // step


def _least(low: Ints, top: Ints, draws: Ints, rng: np.random.Generator) -> Ints:
    """Return the least of so many whole numbers, each equally likely from ``low`` to ``top``."""
    least = rng.integers(low, top, endpoint=True)
    for k in range(2, int(draws.max(initial=1)) + 1):
        more = np.flatnonzero(draws >= k)
        least[more] = np.minimum(least[more], rng.integers(low[more], top[more], endpoint=True))
    return least


def common_cuts(
    coders: Mapping[str, NumericCoder],
    pairs: Sequence[tuple[str, str]],
    needed: Mapping[str, Iterable[int]],
) -> list[Ordering]:
    """Cut the columns that are compared at common values.

    A column's own equal-width bins count only outside the ranges of narrower columns, whose bins are finer;
    what the schema asks for (bounds, spikes, edges) and what rules need is kept everywhere.

    Args:
        coders: All columns of numbers or times.
        pairs: Which are compared; without a cycle.
        needed: Points of a column that must start a bin.

    Returns:
        One ordering for each set of columns compared with each other.

    Raises:
        ValueError: a column's values, in the finest of the steps, need more than 62 bits.
    """
    orderings = []
    for names in _components(pairs):
        chosen = {name: coders[name] for name in names}
        decimals = {n: c.spec.decimals if isinstance(c.spec, Real) else 0 for n, c in chosen.items()}
        units = {name: 10 ** (max(decimals.values()) - decimals[name]) for name in names}
        for name, coder in chosen.items():
            if max(map(abs, _ends(coder, units[name]))) >= _MOST_UNITS:
                raise ValueError(
                    f"{name!r} has bounds too wide to compare to {max(decimals.values())} decimals; narrow "
                    "its bounds, or use fewer decimals in the other column"
                )
        cuts = _gathered(chosen, units, needed)
        cut = {n: replace(c, lattice=_cut_at(c, units[n], cuts)) for n, c in chosen.items()}
        inside = tuple(pair for pair in pairs if pair[0] in cut)
        orderings.append(Ordering(cut, units, inside, np.array(cuts, dtype=np.int64)))
    return orderings


def _components(pairs: Sequence[tuple[str, str]]) -> Iterator[list[str]]:
    """Give the columns compared with each other, the lower of a pair before the higher."""
    part = {name: name for pair in pairs for name in pair}
    for low, high in pairs:
        old, new = part[high], part[low]
        part |= {name: new for name, which in part.items() if which == old}
    sorter: TopologicalSorter[str] = TopologicalSorter({name: [] for name in part})
    for low, high in pairs:
        sorter.add(high, low)
    order = list(sorter.static_order())
    for which in dict.fromkeys(part.values()):
        yield [name for name in order if part[name] == which]


def _ends(coder: NumericCoder, unit: int) -> tuple[int, int]:
    """Return a column's least value, and the first beyond its greatest, in common units."""
    return coder.origin * unit, (coder.origin + coder.lattice.length * coder.step) * unit


def _gathered(
    coders: Mapping[str, NumericCoder], units: Mapping[str, int], needed: Mapping[str, Iterable[int]]
) -> list[int]:
    cuts: set[int] = set()
    covered: list[tuple[int, int]] = []
    spans = {name: _ends(coder, units[name]) for name, coder in coders.items()}
    for name in sorted(coders, key=lambda n: (spans[n][1] - spans[n][0], n)):
        coder, unit = coders[name], units[name]
        asked = set(needed.get(name, ()))
        for first, beyond in zip(*(ends.tolist() for ends in coder.lattice.bounds()), strict=True):
            start, end = ((coder.origin + point * coder.step) * unit for point in (first, beyond))
            single = beyond - first == 1
            if single or first in asked or coder.spec.edges is not None or not _inside(start, covered):
                cuts.add(start)
            if single:
                cuts.add(end)
        covered.append(spans[name])
    return sorted(cuts)


def _inside(value: int, spans: Sequence[tuple[int, int]]) -> bool:
    return any(low <= value < high for low, high in spans)


def _cut_at(coder: NumericCoder, unit: int, cuts: Sequence[int]) -> Lattice:
    """Return the column's grid, cut at common values and nowhere else."""
    step, low = coder.step * unit, coder.origin * unit
    starts = {0} | {-((low - cut) // step) for cut in cuts if low < cut}
    inside = sorted(start for start in starts if start < coder.lattice.length)
    return Lattice(coder.lattice.length, np.array(inside, dtype=np.int64))
