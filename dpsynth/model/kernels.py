"""Compiled inner loops. Compiled once and cached on disk; imported only by what needs them."""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["marginalise", "polish", "scale_to"]

Floats: TypeAlias = npt.NDArray[np.float64]
Integers: TypeAlias = npt.NDArray[Any]


@numba.njit(cache=True, nogil=True)
def marginalise(table: Floats, index: Integers, out: Floats) -> None:
    """Set ``out[k]`` to the sum of ``table[i]`` over ``index[i] == k``."""
    out[:] = 0.0
    for i in range(table.size):
        out[index[i]] += table[i]


@numba.njit(cache=True, nogil=True)
def scale_to(table: Floats, index: Integers, target: Floats, scratch: Floats) -> float:
    """Rescale ``table`` so that its marginal is ``target``; return the L1 gap there was before.

    Cells whose marginal is zero stay zero.
    """
    scratch[:] = 0.0
    for i in range(table.size):
        scratch[index[i]] += table[i]
    gap = 0.0
    for k in range(target.size):
        gap += abs(scratch[k] - target[k])
        scratch[k] = target[k] / scratch[k] if scratch[k] > 0.0 else 0.0
    for i in range(table.size):
        table[i] *= scratch[index[i]]
    return gap


@numba.njit(cache=True, nogil=True)
def polish(  # noqa: C901, PLR0917  -- one inner loop; numba compiles positional arguments only
    rows: Integers,
    excess: Floats,
    weight: Floats,
    column_start: Integers,
    table_start: Integers,
    member_start: Integers,
    members: Integers,
    strides: Integers,
    groups: Integers,
    group_start: Integers,
    degree: Integers,
    partners: Integers,
    places: Integers,
    tables: int,
    pool: Integers,
    first: int,
    proposals: int,
    seed: int,
) -> int:
    """Change single values of rows whenever that lowers the weighted squared distance to all targets.

    A proposal takes the next value of the table, row by row, and a new one for it at random from the column's
    pool. It moves one row in one column's counts and in every table of that column; what it changes of
    ``sum weight * (counts - target)**2`` is read off ``excess = counts - target`` in two cells of each. Rules
    are laid out like tables, after them: a proposal that would put a row into a cell of positive excess there
    is refused.

    Args:
        rows: Codes, shape ``(n, d)``; changed in place.
        excess: One-way excesses of all columns, then those of all tables, flattened; changed in place. For a
            rule, 1 where no row may be, else 0; not changed.
        weight: What the square of each excess counts.
        column_start: Offset of each column's one-way excess in ``excess``.
        table_start: Offset of each table in ``excess``.
        member_start: Offset of each table's columns in ``members``; one more than there are tables.
        members: The columns of each table, concatenated.
        strides: For each member, how far apart in the table two neighbouring groups of it are.
        groups: Group of each code, for each member, concatenated.
        group_start: Offset of each member in ``groups``.
        degree: Number of tables of each column.
        partners: Numbers of those tables, shape ``(d, most tables)``.
        places: The column's own place in ``members`` for each of them, of the same shape.
        tables: How many of the tables are targets; those after them are rules.
        pool: Codes to propose, shape ``(d, any)``.
        first: The value to start at, counted row by row.
        proposals: How many changes to try.
        seed: A non-zero 64-bit integer.

    Returns:
        The number of proposals accepted.
    """
    n, d = rows.shape
    state = np.uint64(seed)
    accepted = 0
    lowered = np.empty(partners.shape[1] + 1, dtype=np.int64)
    raised = np.empty(partners.shape[1] + 1, dtype=np.int64)
    row, column = first // d, first % d - 1
    for _ in range(proposals):
        column += 1
        if column == d:
            column, row = 0, (row + 1) % n
        state, word = _next_word(state)
        old, new = rows[row, column], pool[column, _below(word >> np.uint64(32), pool.shape[1])]
        if old == new:
            continue
        lowered[0], raised[0] = column_start[column] + old, column_start[column] + new
        cells = 1
        for j in range(degree[column]):
            t = partners[column, j]
            own = places[column, j]
            before, after = groups[group_start[own] + old], groups[group_start[own] + new]
            if before != after:
                offset = table_start[t]
                for i in range(member_start[t], member_start[t + 1]):
                    if i != own:
                        offset += groups[group_start[i] + rows[row, members[i]]] * strides[i]
                if t < tables:
                    lowered[cells] = offset + before * strides[own]
                    raised[cells] = offset + after * strides[own]
                    cells += 1
                elif excess[offset + after * strides[own]] > 0.0:
                    cells = 0
                    break
        change = 0.0
        for j in range(cells):
            low, high = lowered[j], raised[j]
            change += weight[low] * (0.5 - excess[low]) + weight[high] * (0.5 + excess[high])
        if change < 0.0:
            accepted += 1
            rows[row, column] = new
            for j in range(cells):
                excess[lowered[j]] -= 1.0
                excess[raised[j]] += 1.0
    return accepted


@numba.njit(cache=True, nogil=True, inline="always")
def _next_word(state: np.uint64) -> tuple[np.uint64, np.uint64]:
    """Step a xorshift64* generator (Marsaglia 2003, Vigna 2016)."""
    state ^= state >> np.uint64(12)
    state ^= state << np.uint64(25)
    state ^= state >> np.uint64(27)
    return state, state * np.uint64(2685821657736338717)


@numba.njit(cache=True, nogil=True, inline="always")
def _below(word: np.uint64, bound: int) -> int:
    """Return an integer below ``bound`` from 32 random bits (Lemire 2019)."""
    return int((word * np.uint64(bound)) >> np.uint64(32))
