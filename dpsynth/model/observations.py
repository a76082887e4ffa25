"""What was measured of each set of columns, brought to one noisy table a set.

A table over some columns is also a table over fewer of them, with more noise. So each set of two or more
columns may have been observed several times: on its own, and inside larger sets; at one resolution or at
several. Nested observations are combined by generalised least squares; what is left is one table for each
set, at the finest resolution, with its noise.

References: Mullins et al. 2024 (GReM-MLE) for tables of one resolution, where the combination below is the
same thing; Hay et al. 2010, section 4, for the step between two resolutions.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.model.groups import coarser_group, sum_groups
from dpsynth.privacy.curator import Measurement

__all__ = ["TableObservation", "observed_tables"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class TableObservation:
    """A noisy joint table of some columns.

    Attributes:
        columns: Positions of the columns, increasing.
        groups: Group of each code, for each column.
        values: Noisy counts, one axis a column.
        variance: Noise variance of each value (the mean, where values differ in theirs).
    """

    columns: tuple[int, ...]
    groups: tuple[Groups, ...]
    values: Floats
    variance: float

    def margin(self, columns: tuple[int, ...]) -> TableObservation:
        """Return what this tells of some of its columns (increasing)."""
        kept = [self.columns.index(c) for c in columns]
        away = tuple(i for i in range(len(self.columns)) if i not in kept)
        values = self.values.sum(axis=away)
        growth = self.values.size / values.size
        return TableObservation(columns, tuple(self.groups[i] for i in kept), values, self.variance * growth)

    def coarsened(self, groups: Sequence[Groups]) -> TableObservation:
        """Return this at the coarser of its own and another resolution, column by column.

        Where groups merge unequal numbers of cells, the variance is the mean.
        """
        values, kept = self.values, []
        for axis, (own, other) in enumerate(zip(self.groups, groups, strict=True)):
            if other.max() < own.max():
                values = sum_groups(values, coarser_group(own, other), axis)
            kept.append(other if other.max() < own.max() else own)
        growth = self.values.size / values.size
        return TableObservation(self.columns, tuple(kept), values, self.variance * growth)


def observed_tables(tables: Sequence[Measurement]) -> list[TableObservation]:
    """Return one observation of each set of two or more columns that was measured or is inside one that was.

    Args:
        tables: Measurements of two or more columns each; a column's groupings are nested.

    Returns:
        Pairs first, then larger sets; sets of one size in increasing order of their columns.
    """
    found: dict[tuple[int, ...], list[TableObservation]] = {}
    for table in tables:
        whole = _increasing(table)
        for size in range(2, len(whole.columns) + 1):
            for part in itertools.combinations(whole.columns, size):
                found.setdefault(part, []).append(whole if part == whole.columns else whole.margin(part))
    return [_combined(found[columns]) for columns in sorted(found, key=lambda c: (len(c), c))]


def _increasing(table: Measurement) -> TableObservation:
    order = np.argsort(table.query.columns)
    return TableObservation(
        tuple(table.query.columns[i] for i in order),
        tuple(table.query.groups[i] for i in order),
        table.values.astype(np.float64).transpose(order),
        table.sigma**2,
    )


def _combined(observations: Sequence[TableObservation]) -> TableObservation:
    """Combine observations of one set of columns at the resolution of the finest.

    One that is coarser in some column tells of sums of cells: the cells of a sum are moved together, by the
    share of the sum's variance that the combination takes from it. One that is finer in another column is
    used as far as both can tell.
    """
    finest = max(observations, key=lambda o: (o.values.size, -o.variance))
    values, variance = finest.values, np.full(finest.values.shape, finest.variance)
    for other in observations:
        if other is finest:
            continue
        coarse = other.coarsened(finest.groups)
        parts = [coarser_group(a, b) for a, b in zip(finest.groups, coarse.groups, strict=True)]
        sums, spread = values, variance
        for axis, part in enumerate(parts):
            sums, spread = sum_groups(sums, part, axis), sum_groups(spread, part, axis)
        trust = spread / (spread + coarse.variance)
        step, shrink = trust * (coarse.values - sums) / spread, trust / spread
        where = np.ix_(*parts)
        values = values + variance * step[where]
        variance = variance * (1.0 - variance * shrink[where])
    return TableObservation(finest.columns, finest.groups, values, float(variance.mean()))
