"""Tables of three and more columns: what they add to the pairs inside them.

What a table over ``k`` columns tells of fewer columns is used where those are estimated. What is left is its
pure interaction, the part of the table whose margins are all zero. It is shrunk by empirical Bayes around the
table of greatest entropy that agrees with all estimated tables of ``k - 1`` of the columns; without signal
that table is the answer. Post-processing.

References: Mullins et al. 2024 (residual subspaces); Darroch, Speed 1983 (additive and multiplicative
interactions); Deming, Stephan 1940 (the fit to margins).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.model.denoise import shrink_towards
from dpsynth.model.estimates import Estimate
from dpsynth.model.groups import coarser_group, group_sums, sum_groups
from dpsynth.model.observations import TableObservation

__all__ = ["estimate_interaction", "fit_to_margins", "interaction_of", "with_margins"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

_SWEEPS = 25
_CLOSE = 1e-5  # L1 gap, as a share of all rows, at which a fit to margins is good enough
_FLOOR = 1e-12  # of a margin's cells: a hard zero that another margin contradicts stops the fit


def estimate_interaction(
    observed: TableObservation,
    nodes: Sequence[Floats],
    estimates: Mapping[tuple[int, ...], Estimate],
    total: float,
) -> Estimate:
    """Return the joint distribution of three or more columns from a noisy table of them.

    Args:
        observed: The noisy table.
        nodes: One-way distribution of every column.
        estimates: By their columns, the estimated tables of all but one of these columns.
        total: Number of rows.

    Returns:
        A distribution at the table's resolution; its one-way margins are those of ``nodes``.
    """
    margins = [group_sums(g, nodes[c]) for c, g in zip(observed.columns, observed.groups, strict=True)]
    parts = [e for c, e in estimates.items() if len(c) == len(observed.columns) - 1 and _inside(c, observed)]
    targets = [_Margin(observed, part) for part in parts]
    product = _outer(margins)
    expected = fit_to_margins(product, targets)
    deviation = interaction_of(observed.values / total - expected)
    estimate = shrink_towards(expected * total, deviation * total, observed.variance**0.5) / total
    # The product keeps a little mass everywhere, so that no margin meets a table that cannot follow it.
    fitted = fit_to_margins(np.maximum(estimate, 0.0) + 1e-9 * product, targets)
    return Estimate(observed.columns, observed.groups, with_margins(fitted, margins))


class _Margin:
    """An estimated table as a margin of a larger one: how to sum the larger one to it and back."""

    __slots__ = ("away", "lift", "parts", "table")

    def __init__(self, observed: TableObservation, part: Estimate) -> None:
        axes = [observed.columns.index(c) for c in part.columns]
        self.away = tuple(i for i in range(len(observed.columns)) if i not in axes)
        table, self.parts = part.table, []
        for place, (axis, groups) in enumerate(zip(axes, part.groups, strict=True)):
            own = observed.groups[axis]
            if own.max() < groups.max():  # the estimate is finer than the table: sum it
                table = sum_groups(table, coarser_group(groups, own), place)
                groups = own  # noqa: PLW2901  -- the margin's resolution is the coarser of the two
            self.parts.append(coarser_group(own, groups))
        self.table = np.maximum(table, _FLOOR) / np.maximum(table, _FLOOR).sum()
        self.lift = np.ix_(*self.parts)

    def sums(self, table: Floats) -> Floats:
        """Return what a larger table sums to here."""
        found: Floats = table.sum(axis=self.away)
        for axis, groups in enumerate(self.parts):
            found = sum_groups(found, groups, axis)
        return found

    def scaled(self, table: Floats, ratio: Floats) -> Floats:
        """Return a larger table with each cell multiplied by the ratio of its cell here."""
        result: Floats = table * np.expand_dims(ratio[self.lift], self.away)
        return result


def _inside(columns: tuple[int, ...], observed: TableObservation) -> bool:
    return set(columns) <= set(observed.columns)


def fit_to_margins(start: Floats, margins: Sequence[_Margin], *, sweeps: int = _SWEEPS) -> Floats:
    """Return the table nearest to ``start`` in relative entropy that has these margins, nearly.

    Args:
        start: Non-negative, of sum about 1.
        margins: What to agree with.
        sweeps: Most rounds over all margins.
    """
    table = start
    for _ in range(sweeps):
        gap = 0.0
        for margin in margins:
            found = margin.sums(table)
            gap += float(np.abs(found - margin.table).sum())
            ratio = np.divide(margin.table, found, out=np.zeros_like(found), where=found > 0)
            table = margin.scaled(table, ratio)
        if gap < _CLOSE * len(margins):
            break
    return table


def interaction_of(table: Floats) -> Floats:
    """Return the part of a table that none of its margins tells of: all its margins are zero."""
    for axis in range(table.ndim):
        table = table - table.mean(axis=axis, keepdims=True)
    return table


def with_margins(table: Floats, margins: Sequence[Floats]) -> Floats:
    """Return a table with exactly these one-way margins, near ``table``.

    Sweeps of rescaling; then each axis is scaled down where it has too much, and the product of what the axes
    miss is added. Reference: Altschuler, Weed, Rigollet 2017, Algorithm 2, for any number of axes.
    """
    axes = range(table.ndim)
    others = [tuple(i for i in axes if i != axis) for axis in axes]

    def along(axis: int, factor: Floats) -> Floats:
        return factor.reshape([-1 if i == axis else 1 for i in axes])

    for most in (np.inf, np.inf, np.inf, 1.0):
        for axis, margin in enumerate(margins):
            found = table.sum(axis=others[axis])
            ratio = np.divide(margin, found, out=np.zeros_like(margin), where=found > 0)
            table = table * along(axis, np.minimum(ratio, most))
    short = [np.maximum(m - table.sum(axis=others[axis]), 0.0) for axis, m in enumerate(margins)]
    missing = max(float(s.sum()) for s in short)
    if missing > 0:
        table = table + missing * _outer([s / missing for s in short])
    result: Floats = table / table.sum()
    return result


def _outer(factors: Sequence[Floats]) -> Floats:
    product = np.ones(())
    for factor in factors:
        product = np.multiply.outer(product, factor)
    return product
