"""Sums over groups of codes: how a marginal at one resolution becomes one at a coarser."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["coarser_group", "group_sums", "sum_groups"]


def group_sums(
    groups: npt.NDArray[np.int64], values: npt.NDArray[np.float64], size: int | None = None
) -> npt.NDArray[np.float64]:
    """Return the sum of ``values`` over each group.

    Args:
        groups: Group, from 0, of each value.
        values: Array of the same length.
        size: Number of groups; as many as occur if not given.
    """
    return np.bincount(groups, weights=values, minlength=size or 0).astype(np.float64)


def sum_groups(
    table: npt.NDArray[np.float64], groups: npt.NDArray[np.int64], axis: int
) -> npt.NDArray[np.float64]:
    """Return a table with the entries of each group along one axis added up.

    Args:
        table: Any number of axes.
        groups: Group, from 0 and without gaps, of each entry along ``axis``.
        axis: The axis.

    Returns:
        Array of the shape of ``table``, but with as many entries along ``axis`` as there are groups.
    """
    size = int(groups.max()) + 1
    if np.array_equal(groups, np.arange(groups.size)):
        return table
    member = np.zeros((size, groups.size))
    member[groups, np.arange(groups.size)] = 1.0
    return np.moveaxis(np.tensordot(member, table, axes=(1, axis)), 0, axis)


def coarser_group(fine: npt.NDArray[np.int64], coarse: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """Return the coarse group of each fine group.

    Args:
        fine: Group of each code.
        coarse: Group of each code at a resolution that the fine one is nested in.
    """
    result = np.zeros(int(fine.max()) + 1, dtype=np.int64)
    result[fine] = coarse
    return result
