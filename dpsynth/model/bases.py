"""What the pairs of one column have in common.

A column's dependences on all other columns tend to run along few directions of its codes: a gradient over
age, one occupation against the rest. Side by side, the noisy deviations from independence of all pairs of
a column give those directions far better than any single pair does. Each pair is then looked at in the bases
of its two columns, where its signal is concentrated in few coefficients and the noise is spread over all, and
the coefficients are shrunk by empirical Bayes, more where both columns have little signal. Post-processing.

References: Gavish, Donoho 2017 (shrinkage in the singular basis of one table); Efron, Morris 1973 (borrowing
strength across related problems).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.model.denoise import posterior_gain

__all__ = ["Residual", "shared_deviations"]

Floats = npt.NDArray[np.float64]

_POWERS = (0.5, 1.0, 1.5, 2.0)
_SCALES = np.geomspace(1e-4, 1e3, 15)


@dataclass(frozen=True, slots=True, eq=False)
class Residual:
    """A pair's noisy deviation from independence.

    Attributes:
        columns: The two columns.
        groups: For each, the group of each code.
        values: Noisy counts minus the product of the columns, margins removed; shape ``(a, b)``.
        sigma: Standard deviation of the noise in each cell.
    """

    columns: tuple[int, ...]
    groups: tuple[npt.NDArray[np.int64], ...]
    values: Floats
    sigma: float


def shared_deviations(residuals: Sequence[Residual]) -> list[Floats]:
    """Return for each pair an estimate of its deviation from independence, in the bases of its columns.

    With ``U_a`` the left singular vectors of all deviations of column ``a`` side by side, in units of their
    noise, ``lambda_a`` the mean squares along them less one, and ``Z = U_a' (D / sigma) U_b``: the
    coefficients ``Z`` get a scale mixture prior, of variances proportional to powers of
    ``sqrt(lambda_a lambda_b)``.

    Args:
        residuals: All pairs that were measured.
    """
    bases: dict[tuple[int, int], tuple[Floats, Floats]] = {}
    for residual in residuals:
        for side, column in enumerate(residual.columns):
            key = (column, residual.values.shape[side])
            if key not in bases:
                bases[key] = _basis(residuals, column, residual.groups[side], key[1])
    return [_estimate(residual, bases) for residual in residuals]


def _basis(
    residuals: Sequence[Residual], column: int, groups: npt.NDArray[np.int64], size: int
) -> tuple[Floats, Floats]:
    """Return the directions of a column at one resolution, and the signal's mean square along each.

    Pairs measured at this resolution or a finer one count; a finer one is summed to this, and scaled so that
    its noise has unit variance again.
    """
    blocks = []
    for residual in residuals:
        if column not in residual.columns:
            continue
        side = residual.columns.index(column)
        block = (residual.values if side == 0 else residual.values.T) / residual.sigma
        finer = block.shape[0]
        if finer < size:
            continue
        if finer > size:
            coarser = np.zeros(finer, dtype=np.int64)
            coarser[residual.groups[side]] = groups
            summed = np.zeros((size, block.shape[1]))
            np.add.at(summed, coarser, block)
            block = summed / np.sqrt(np.bincount(coarser, minlength=size))[:, None]
        blocks.append(block)
    together = np.hstack(blocks)
    squares, directions = np.linalg.eigh(together @ together.T / together.shape[1])
    return directions, np.maximum(squares - 1.0, 1e-3)


def _estimate(residual: Residual, bases: dict[tuple[int, int], tuple[Floats, Floats]]) -> Floats:
    (first, second), (height, width) = residual.columns, residual.values.shape
    (left, rows), (right, columns) = bases[first, height], bases[second, width]
    seen = left.T @ (residual.values / residual.sigma) @ right
    signal = np.sqrt(np.outer(rows, columns)).ravel()
    prior = np.concatenate([_SCALES[:, None] * signal[None, :] ** power for power in _POWERS])
    gain = posterior_gain(seen.ravel(), prior).reshape(seen.shape)
    deviation: Floats = residual.sigma * (left @ (gain * seen) @ right.T)
    return deviation
