"""Smooth curves through noisy counts of an ordered column, each cell told by the others.

A curve ``exp(g)`` is never negative, and follows a tail of few rows as well as a peak of many. ``g`` has
small second differences ``d``: of ``N`` rows in ``n`` cells with noise ``s``, the fit minimises
``sum (y - exp(g))**2 / s**2 + (N / (n s))**2 b**4 sum d**2``, and bends within about ``b`` cells. Cells far
above their neighbours are left out. Post-processing.

References: Eilers, Marx 1996, "Flexible Smoothing with B-splines and Penalties", Statistical Science 11(2);
Craven, Wahba 1979 (leaving one out of a linear smoother).
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["smooth_curves"]

Floats = npt.NDArray[np.float64]

_WIDTHS = (2.0, 3.5, 6.0, 10.0, 18.0)  # cells within which a curve bends
_STEPS = 12
_LONGEST = 2.0  # step of a logarithm
_CLOSE = 1e-4  # relative gain at which a fit ends
_REACH = 7  # cells averaged to start from
_OUTSTANDING = 4.0  # deviations above its neighbours from which a cell says nothing of them
_OWN = 0.95  # most that a cell may tell of itself
_LEAST = 1e-3  # rows
_RIDGE = 1e-6  # keeps a fit to empty cells regular


def smooth_curves(values: Floats, noise: Floats, neighbours: Floats, total: float) -> list[Floats]:
    """Return curves of several widths through noisy counts, the value of each cell told by the others alone.

    Args:
        values: Noisy counts, shape ``(cells,)``.
        noise: Variance of the noise in each.
        neighbours: For each cell about what its neighbours have, at least 0.
        total: Rows of all cells together, positive.

    Returns:
        Positive arrays of the shape of ``values``.
    """
    n = values.size
    bends = np.diff(np.eye(n), 2, axis=0)
    used = values - neighbours < np.maximum(_OUTSTANDING * np.sqrt(noise), 2.0 * neighbours)
    trust = used * (noise.mean() / noise) / np.square(total / n)
    window = np.ones(min(_REACH, n))
    seen = np.convolve(np.where(used, np.maximum(values, 0.0), 0.0), window, mode="same")
    seen /= np.maximum(np.convolve(used.astype(np.float64), window, mode="same"), 1.0)
    start = np.log(np.maximum(seen, 0.02 * total / n))
    return [_without_own(values, trust, start, width**4 * (bends.T @ bends)) for width in _WIDTHS]


def _without_own(values: Floats, trust: Floats, start: Floats, penalty: Floats) -> Floats:
    """Fit one curve by Gauss-Newton steps; return it less what each cell tells of itself."""

    def distance(logs: Floats) -> float:
        misfit = trust @ np.square(values - np.exp(logs)) + logs @ penalty @ logs
        return float(misfit)

    logs, reached = start, distance(start)
    for _ in range(_STEPS):
        curve = np.exp(logs)
        slope = trust * (curve - values) * curve + penalty @ logs
        step = np.clip(np.linalg.solve(_curvature(curve, trust, penalty), slope), -_LONGEST, _LONGEST)
        size, now = 1.0, distance(logs - step)
        while now >= reached and size > _CLOSE:
            size /= 2
            now = distance(logs - size * step)
        if now >= reached:
            break
        gained, logs, reached = reached - now, logs - size * step, now
        if gained < _CLOSE * reached:
            break
    curve = np.exp(logs)
    inverse = np.linalg.inv(_curvature(curve, trust, penalty))
    own = np.minimum(trust * np.square(curve) * np.diag(inverse), _OWN)
    told: Floats = np.maximum(values - (values - curve) / (1.0 - own), _LEAST)
    return np.where(trust > 0, told, np.maximum(curve, _LEAST))


def _curvature(curve: Floats, trust: Floats, penalty: Floats) -> Floats:
    curvature: Floats = np.diag(trust * np.square(curve) + _RIDGE) + penalty
    return curvature
