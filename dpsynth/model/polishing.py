"""Rows that follow every estimated pair, also those that no clique could hold.

A junction tree is limited by its largest clique, and drawing rows adds the error of rounding. Both are mended
on the rows themselves: single values are changed, one at a time, whenever that brings the tables of all
estimated pairs (and all columns) nearer to their estimates. Post-processing; no row of the private table is
involved.

Reference: after the record-wise updates of Zhang et al. 2021 (PrivSyn, GUM, section 5) and Liu et al. 2023
(Private-GSD, arXiv:2306.03257); here a greedy descent with exact incremental costs.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.model.estimates import Edge

__all__ = ["polish_rows"]

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]

_WORTHWHILE = 0.003
_SHORTEST = 4096  # proposals of a round: a few of them failing by chance says nothing
_MOST_VISITS = 3e8  # table cells looked at in all: some ten seconds


def polish_rows(
    columns: Sequence[Codes],
    nodes: Sequence[Floats],
    edges: Sequence[Edge],
    rng: np.random.Generator,
    *,
    effort: float = 10.0,
) -> list[Codes]:
    """Return the rows after at most ``effort * n * d`` proposed changes, each made if it lowers the distance.

    The distance is the sum of squared differences between the rows' counts and the estimates scaled to the
    number of rows, over all one-way tables and all edges' tables.

    Args:
        columns: Codes of ``n`` rows, one array a column.
        nodes: One-way distribution of each column.
        edges: Estimated pair tables, at their own groupings.
        rng: Source of chance.
        effort: Most proposals for each value of the table. A round of one for each, or of 4096 where the
            table has fewer values, ends the polishing when fewer than 3 in 1,000 were accepted. Large
            tables with many pairs get fewer rounds, at least one.

    Returns:
        New arrays, one a column. A value in them occurs in that column of the rows given.
    """
    n, d = columns[0].size, len(columns)
    if not n or not edges:
        return [column.copy() for column in columns]
    from dpsynth.model.kernels import polish  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

    excess = [np.bincount(c, minlength=p.size) - n * p for c, p in zip(columns, nodes, strict=True)]
    column_start = _starts([p.size for p in nodes])
    partners: list[list[int]] = [[] for _ in range(d)]
    for t, edge in enumerate(edges):
        cells = edge.first_groups[columns[edge.first]] * edge.table.shape[1]
        cells = cells + edge.second_groups[columns[edge.second]]
        excess.append(np.bincount(cells, minlength=edge.table.size) - n * edge.table.ravel())
        partners[edge.first].append(t)
        partners[edge.second].append(t)
    padded = np.zeros((d, max(map(len, partners))), dtype=np.int64)
    for column, tables in enumerate(partners):
        padded[column, : len(tables)] = tables
    group_sizes = [g.size for e in edges for g in (e.first_groups, e.second_groups)]
    rows = np.stack(columns, axis=1).astype(np.int32)
    problem = (
        rows,
        np.concatenate(excess),
        column_start,
        sum(p.size for p in nodes) + _starts([e.table.size for e in edges]),
        np.array([e.table.shape[1] for e in edges]),
        np.array([(e.first, e.second) for e in edges]),
        np.concatenate([g for e in edges for g in (e.first_groups, e.second_groups)]).astype(np.int32),
        _starts(group_sizes).reshape(-1, 2),
        np.array([len(p) for p in partners]),
        padded,
    )
    affordable = max(1.0, _MOST_VISITS / (2 * n * len(edges)))
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
