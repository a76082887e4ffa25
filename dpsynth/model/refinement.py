"""What the rows of a model should follow: its tables, told of single codes wherever that is affordable.

Tables are estimated at the resolution that the budget affords, and not for all pairs. A model tells more: of
every pair of columns, code by code, what its estimates, its columns and its other tables imply. Rows that
follow only the estimates would leave that to chance.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.estimates import Estimate

__all__ = ["followed_tables"]

Floats = npt.NDArray[np.float64]

_LARGEST_PAIR = 2**17  # cells of one pair's table
_MOST_CELLS = 2**22  # of all pairs' tables together: 64 MiB while rows are polished
_IMPLIED = 0.3  # what a pair counts that only follows from others: less where it contradicts them
_LARGER = 0.2  # what a set of three or more columns counts: they are many, and each holds three pairs
_MOST_PAIRS = 2_000  # above this only pairs that were estimated: each costs a walk through the model


def followed_tables(
    domain: Domain,
    estimates: Sequence[Estimate],
    distributions: Callable[[Sequence[tuple[int, ...]]], Sequence[Floats]],
) -> tuple[list[Estimate], list[float]]:
    """Return the tables that the rows of a model should follow, and what each is to count.

    These are the tables of all pairs of columns at full resolution, those estimated first, as far as they
    have no more than 2**17 cells each and 2**22 together; all estimated pairs beyond that at their own
    groupings; and all estimates of three and more columns. Where there are more than 2000 pairs of columns,
    those that were not estimated are left out. A pair that was not estimated counts 0.3, another pair 1, a
    larger set of columns 0.2.

    Args:
        domain: The columns.
        estimates: Estimated tables of two or more columns.
        distributions: The model's joint distributions of sets of columns, at full resolution.
    """
    estimated = {e.columns: e for e in estimates if len(e.columns) == 2}
    pairs = list(estimated)
    if len(domain) * (len(domain) - 1) // 2 <= _MOST_PAIRS:
        known = {frozenset(pair) for pair in estimated}
        pairs += [p for p in itertools.combinations(range(len(domain)), 2) if frozenset(p) not in known]
    fine, left = [], _MOST_CELLS
    for pair in pairs:
        cells = domain.cells(pair)
        if cells <= min(left, _LARGEST_PAIR):
            left -= cells
            fine.append(pair)
    codes = [np.arange(size) for size in domain.sizes]
    coarse = [e for e in estimates if e.columns not in fine]
    told = [
        Estimate(pair, tuple(codes[c] for c in pair), table)
        for pair, table in zip(fine, distributions(fine), strict=True)
    ]
    weights = [1.0 if pair in estimated else _IMPLIED for pair in fine]
    return [*coarse, *told], [1.0 if len(e.columns) == 2 else _LARGER for e in coarse] + weights
