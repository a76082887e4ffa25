"""Sums over groups of codes: how a marginal at one resolution becomes one at a coarser."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["group_sums"]


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
