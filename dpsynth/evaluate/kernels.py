"""Compiled counting of two tables. Compiled once and cached on disk; imported only by what needs it."""

from __future__ import annotations

from typing import Any, TypeAlias

import numba
import numpy as np
import numpy.typing as npt

__all__ = ["gap"]

Integers: TypeAlias = npt.NDArray[Any]


@numba.njit(cache=True, nogil=True, inline="always")
def _cell(codes: Integers, strides: Integers, row: int) -> Any:
    key = np.int64(0)
    for c in range(strides.size):
        key += np.int64(codes[c, row]) * strides[c]
    return key


@numba.njit(cache=True, nogil=True)
def gap(  # noqa: PLR0917  -- numba compiles positional arguments only
    first: Integers,
    second: Integers,
    strides: Integers,
    weights: tuple[int, int],
    scratch: Integers,
    cells: int,
) -> int:
    """Return ``sum_k |w1 * count1[k] - w2 * count2[k]|`` over the cells of one marginal.

    Args:
        first: Codes, one row of the array for each of the marginal's columns.
        second: The same of the other table.
        strides: Of each column in the numbering of cells.
        weights: What a row of either table counts for; ``w1 * rows1 + w2 * rows2`` must be below ``2**63``.
        scratch: Zeros, at least one for each cell; zeros again afterwards.
        cells: Number of cells.
    """
    for codes, weight in ((first, weights[0]), (second, -weights[1])):
        for i in range(codes.shape[1]):
            scratch[_cell(codes, strides, i)] += weight
    total = np.int64(0)
    if cells < first.shape[1] + second.shape[1]:
        for k in range(cells):
            total += abs(scratch[k])
            scratch[k] = 0
        return total  # type: ignore[return-value]  # numba returns a plain int
    for codes in (first, second):
        for i in range(codes.shape[1]):
            key = _cell(codes, strides, i)
            total += abs(scratch[key])
            scratch[key] = 0
    return total  # type: ignore[return-value]
