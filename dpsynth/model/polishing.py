"""Rows that follow every estimated table, also those that no clique could hold.

A junction tree is limited by its largest clique, and drawing rows adds the error of rounding. Both are mended
on the rows themselves: single values are changed, one at a time, whenever that brings all estimated
tables (and all columns) nearer to their estimates. Post-processing; no row of the private table is
involved.

What counts in the end are absolute differences. A square divided by the standard deviation of the count
stands in for one: cells of few rows weigh as much as they add to a total variation distance, and a change
of one row is still seen in every cell.

Reference: after the record-wise updates of Zhang et al. 2021 (PrivSyn, GUM, section 5) and Liu et al. 2023
(Private-GSD, arXiv:2306.03257); here a greedy descent with exact incremental costs.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.model.estimates import Estimate
from dpsynth.rules import Rule

__all__ = ["EFFORT", "polish_rows"]

Codes = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
_Numbers: TypeAlias = npt.NDArray[Any]
_Problem: TypeAlias = tuple[
    Floats, Floats, Codes, Codes, Codes, Codes, Codes, _Numbers, Codes, Codes, Codes, Codes, int
]

EFFORT = 30.0  # most proposals for each value
_WORTHWHILE = 0.003
_SHORTEST = 4096  # proposals of a round: a few of them failing by chance says nothing
_FEWEST_ROUNDS = 3.0  # with fewer, tables of three and more columns would take what the pairs need
_MOST_VISITS = 5e8  # table cells looked at in all: some ten seconds
_POOL = 4096  # values of each column that a round proposes
_SINGLE = 5.0  # weight of a one-way table: each column is in many pairs, which together outweigh it
_SETTLING = 4.0  # by how much one-way tables weigh more at the end
_REACH = 16  # rows looked at, at the end, for each that has to change
_SETTLED, _LEAST_OFF = 0.0005, 64  # share of rows, and rows, by which columns may be off at the end
_FEW = 3.0  # rows added to every expected count, so that an empty cell has a finite weight


def polish_rows(
    columns: Sequence[Codes],
    nodes: Sequence[Floats],
    estimates: Sequence[Estimate],
    rng: np.random.Generator,
    *,
    weights: Sequence[float] | None = None,
    rules: Sequence[Rule] = (),
    effort: float = EFFORT,
) -> list[Codes]:
    """Return the rows after at most ``effort * n * d`` proposed changes, each made if it lowers the distance.

    The distance is ``sum w (count - n p)**2 / sqrt(n p + 3)`` over the cells of all one-way tables and all
    estimated tables, where ``p`` is a cell's estimated probability and ``w`` its table's weight.

    Args:
        columns: Codes of ``n`` rows, one array a column.
        nodes: One-way distribution of each column.
        estimates: Estimated tables of two or more columns, at their own groupings.
        rng: Source of chance.
        weights: Positive weight of each estimate; 1 if not given. One-way tables have weight 5.
        rules: Kept by every row given, and by every row returned.
        effort: Most proposals for each value of the table. A round of one for each, or of 4096 where the
            table has fewer values, ends the polishing when fewer than 3 in 1,000 were accepted. Large
            tables with many estimates get fewer rounds, at least one; where that would be fewer than three,
            only columns and pairs are followed. Then, where a column is still off by more than 64 rows
            and 5 in 10,000, one-way tables weigh 20 in a last look at as many rows as offer a choice.

    Returns:
        New arrays, one a column. A value in them occurs in that column of the rows given.
    """
    n, d = columns[0].size, len(columns)
    if not n or not estimates:
        return [column.copy() for column in columns]
    from dpsynth.model.kernels import polish  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

    rows = np.stack(columns, axis=1).astype(np.int32)
    known = [1.0] * len(estimates) if weights is None else weights
    if _rounds(n, estimates) < _FEWEST_ROUNDS:
        kept = [i for i, e in enumerate(estimates) if len(e.columns) == 2] or range(len(estimates))
        estimates, known = [estimates[i] for i in kept], [known[i] for i in kept]
    problem = _problem(columns, nodes, estimates, known, rules)
    affordable = max(1.0, _rounds(n, estimates))
    most, whole = int(min(effort, affordable) * n * d), max(n * d, _SHORTEST)
    for done in range(0, most, whole):
        pool = np.take_along_axis(rows, rng.integers(0, n, (_POOL, d)), axis=0).T.copy()
        proposals = min(most - done, whole)
        seed = int(rng.integers(1, 2**63))
        accepted = polish(rows, *problem, pool, done % (n * d), proposals, seed)
        if accepted < _WORTHWHILE * proposals:
            break
    for _ in range(2):
        _settle(rows, nodes, problem, rng)
    return [rows[:, c].astype(np.int64) for c in range(d)]


def _settle(
    rows: npt.NDArray[np.int32], nodes: Sequence[Floats], problem: _Problem, rng: np.random.Generator
) -> None:
    """Bring columns that are still off nearer to their distributions; changes ``rows`` and the excess.

    Where pairs are many and rounds few, the pairs together move more rows than a column can take. One-way
    tables weigh four times as much here, and only codes that are missing are proposed, to as few rows as
    offer a choice.
    """
    from dpsynth.model.kernels import polish  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

    n, excess = len(rows), problem[0]
    ends = np.cumsum([p.size for p in nodes])
    missing = [np.maximum(-excess[end - p.size : end] - 1.0, 0.0) for p, end in zip(nodes, ends, strict=True)]
    for column, short in enumerate(missing):  # a code that no row had stays absent
        short[np.bincount(rows[:, column], minlength=short.size) == 0] = 0.0
    most = max(float(short.sum()) for short in missing)
    if most <= max(_SETTLED * n, _LEAST_OFF):
        return
    seen = rng.permutation(n)[: math.ceil(_REACH * most)]
    pool = rows[rng.integers(0, n, _POOL)].T.copy()
    for column, short in enumerate(missing):
        if short.any():
            pool[column] = rng.choice(short.size, _POOL, p=short / short.sum())
    weight = problem[1].copy()
    weight[: ends[-1]] *= _SETTLING
    part = rows[seen]
    polish(part, excess, weight, *problem[2:], pool, 0, part.size, int(rng.integers(1, 2**63)))
    rows[seen] = part


def _rounds(n: int, estimates: Sequence[Estimate]) -> float:
    """Return how many rounds of one proposal for each value are affordable."""
    return _MOST_VISITS / (n * sum(len(e.columns) for e in estimates))


def _problem(
    columns: Sequence[Codes],
    nodes: Sequence[Floats],
    estimates: Sequence[Estimate],
    weights: Sequence[float],
    rules: Sequence[Rule],
) -> _Problem:
    """Return the arrays that :func:`dpsynth.model.kernels.polish` works on, in its order."""
    n, d = columns[0].size, len(columns)
    counts = [np.bincount(c, minlength=p.size) for c, p in zip(columns, nodes, strict=True)]
    partners: list[list[tuple[int, int]]] = [[] for _ in range(d)]
    for estimate in estimates:
        codes = [g[columns[c]] for c, g in zip(estimate.columns, estimate.groups, strict=True)]
        cells = np.ravel_multi_index(codes, estimate.table.shape)
        counts.append(np.bincount(cells, minlength=estimate.table.size))
    held = [*(e.columns for e in estimates), *(r.columns for r in rules)]
    shapes = [*(e.table.shape for e in estimates), *(r.allowed.shape for r in rules)]
    member_start = np.cumsum([0, *map(len, held)])
    for t in (*range(len(estimates), len(held)), *range(len(estimates))):  # rules refuse early
        for place, column in enumerate(held[t], member_start[t]):
            partners[column].append((t, place))
    padded = np.zeros((2, d, max(map(len, partners))), dtype=np.int64)
    for column, tables in enumerate(partners):
        padded[:, column, : len(tables)] = np.array(tables, dtype=np.int64).reshape(-1, 2).T
    groups = [*(g for e in estimates for g in e.groups), *(g for r in rules for g in r.classes)]
    expected = n * np.concatenate([*nodes, *(e.table.ravel() for e in estimates)])
    singles = [_SINGLE] * sum(p.size for p in nodes)
    weight = np.concatenate([singles, np.repeat(weights, [e.table.size for e in estimates])])
    return (
        np.concatenate([np.concatenate(counts) - expected, *(1.0 - r.allowed.ravel() for r in rules)]),
        weight / np.sqrt(expected + _FEW),
        _starts([p.size for p in nodes]),
        sum(p.size for p in nodes) + _starts([math.prod(shape) for shape in shapes]),
        member_start,
        np.array([c for members in held for c in members]),
        np.array([step for shape in shapes for step in _strides(shape)]),
        np.concatenate(groups).astype(np.int32),
        _starts([g.size for g in groups]),
        np.array([len(p) for p in partners]),
        padded[0],
        padded[1],
        len(estimates),
    )


def _starts(sizes: Sequence[int]) -> Codes:
    starts: Codes = np.cumsum([0, *sizes[:-1]], dtype=np.int64)
    return starts


def _strides(shape: tuple[int, ...]) -> list[int]:
    return [math.prod(shape[axis + 1 :]) for axis in range(len(shape))]
