"""Rows that follow every estimated table, also those that no clique could hold.

A junction tree is limited by its largest clique, and drawing rows adds the error of rounding. Both are mended
on the rows themselves: single values are changed, one at a time, whenever that brings all estimated
tables (and all columns) nearer to their estimates. Post-processing; no row of the private table is
involved.

Reference: after the record-wise updates of Zhang et al. 2021 (PrivSyn, GUM, section 5) and Liu et al. 2023
(Private-GSD, arXiv:2306.03257); here a greedy descent with exact incremental costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.model.estimates import Estimate

__all__ = ["polish_rows"]

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WORTHWHILE = 0.003
_SHORTEST = 4096  # proposals of a round: a few of them failing by chance says nothing
_MOST_VISITS = 3e8  # table cells looked at in all: some ten seconds


def polish_rows(
    columns: Sequence[Codes],
    nodes: Sequence[Floats],
    estimates: Sequence[Estimate],
    rng: np.random.Generator,
    *,
    effort: float = 10.0,
) -> list[Codes]:
    """Return the rows after at most ``effort * n * d`` proposed changes, each made if it lowers the distance.

    The distance is the sum of squared differences between the rows' counts and the estimates scaled to the
    number of rows, over all one-way tables and all estimated tables.

    Args:
        columns: Codes of ``n`` rows, one array a column.
        nodes: One-way distribution of each column.
        estimates: Estimated tables of two or more columns, at their own groupings.
        rng: Source of chance.
        effort: Most proposals for each value of the table. A round of one for each, or of 4096 where the
            table has fewer values, ends the polishing when fewer than 3 in 1,000 were accepted. Large
            tables with many estimates get fewer rounds, at least one.

    Returns:
        New arrays, one a column. A value in them occurs in that column of the rows given.
    """
    n, d = columns[0].size, len(columns)
    if not n or not estimates:
        return [column.copy() for column in columns]
    from dpsynth.model.kernels import polish  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

    excess = [np.bincount(c, minlength=p.size) - n * p for c, p in zip(columns, nodes, strict=True)]
    column_start = _starts([p.size for p in nodes])
    partners: list[list[tuple[int, int]]] = [[] for _ in range(d)]
    member_start = np.cumsum([0, *(len(e.columns) for e in estimates)])
    for t, estimate in enumerate(estimates):
        codes = [g[columns[c]] for c, g in zip(estimate.columns, estimate.groups, strict=True)]
        cells = np.ravel_multi_index(codes, estimate.table.shape)
        excess.append(np.bincount(cells, minlength=estimate.table.size) - n * estimate.table.ravel())
        for place, column in enumerate(estimate.columns, member_start[t]):
            partners[column].append((t, place))
    padded = np.zeros((2, d, max(map(len, partners))), dtype=np.int64)
    for column, tables in enumerate(partners):
        padded[:, column, : len(tables)] = np.array(tables, dtype=np.int64).reshape(-1, 2).T
    groups = [g for e in estimates for g in e.groups]
    rows = np.stack(columns, axis=1).astype(np.int32)
    problem = (
        rows,
        np.concatenate(excess),
        column_start,
        sum(p.size for p in nodes) + _starts([e.table.size for e in estimates]),
        member_start,
        np.array([c for e in estimates for c in e.columns]),
        np.array([step for e in estimates for step in _strides(e.table.shape)]),
        np.concatenate(groups).astype(np.int32),
        _starts([g.size for g in groups]),
        np.array([len(p) for p in partners]),
        padded[0],
        padded[1],
    )
    affordable = max(1.0, _MOST_VISITS / (n * len(groups)))
    left = int(min(effort, affordable) * n * d)
    while left > 0:
        proposals = min(left, max(n * d, _SHORTEST))
        accepted = polish(*problem, proposals, int(rng.integers(1, 2**63)))
        left -= proposals
        if accepted < _WORTHWHILE * proposals:
            break
    return [rows[:, c].astype(np.int64) for c in range(d)]


def _starts(sizes: Sequence[int]) -> Codes:
    starts: Codes = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    return starts


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
