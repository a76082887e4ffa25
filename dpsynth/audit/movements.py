"""How far two neighbouring tables' true answers to one call are apart, and what that costs, computed anew.

Prices here are worked out from published formulas in double precision, not by the library's accountant.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import expit, log_ndtr, ndtri

from dpsynth.audit.trace import Call, Norm

__all__ = ["loss_of", "moved", "newcomers", "price_of", "promised"]

Floats = npt.NDArray[np.float64]


def moved(a: Call, b: Call) -> float:
    """Return how far apart two exact vectors are, in the norm of the call's noise.

    Args:
        a: The call on one table.
        b: The same call on the other. Of labelled cells those are compared that both tables have.

    Returns:
        An L2 or L1 distance, or of scores the greatest difference; in rows.
    """
    difference = _difference(a, b)
    if not difference.size:
        return 0.0
    if a.norm == "l2":
        return math.sqrt(float(np.square(difference).sum()))
    return float(np.abs(difference).sum() if a.norm == "l1" else np.abs(difference).max())


def loss_of(a: Call, b: Call) -> tuple[float, float]:
    """Return the span and the greatest absolute value of a choice's privacy loss over all candidates.

    ``ln p_i - ln p'_i`` with ``p_i`` proportional to ``exp(scale * q_i / (2 * sensitivity))``. Differences of
    scores are taken exactly, before anything is rounded.
    """
    shifts = a.scale / (2 * a.sensitivity) * _difference(a, b)
    losses = shifts + _log_sum(b) - _log_sum(a) + a.scale / (2 * a.sensitivity) * float(_top(b) - _top(a))
    return float(losses.max() - losses.min()), float(np.abs(losses).max())


def price_of(a: Call, b: Call, calculus: str) -> float:
    """Return what a call costs for these two tables alone.

    The square of the distance over sigma in gdp (half of it in zcdp), the distance over the scale in pure; of
    a choice what its loss's span costs. Infinite where something moved and no noise was added.
    """
    if a.norm == "range":
        span, greatest = loss_of(a, b)
        return greatest if calculus == "pure" else _cost("range", span, calculus)
    distance = moved(a, b)
    if distance == 0:
        return 0.0
    return _cost(a.norm, distance / a.scale, calculus) if a.scale > 0 else math.inf


def promised(call: Call, calculus: str) -> float:
    """Return what a call costs at most, for its sensitivity and its noise as they were booked."""
    if call.norm == "range":
        return _cost("range", call.scale, calculus)
    return _cost(call.norm, call.sensitivity / call.scale, calculus) if call.scale > 0 else math.inf


def newcomers(a: Call, b: Call) -> tuple[float, int]:
    """Return the chance that a cell which only one table has passes its threshold, and that cell's rows.

    Of rounded Gaussian noise ``1 - prod (1 - Q((threshold + 1/2 - c) / sigma))``; of the discrete Gaussian
    about that, with ``threshold + 1``. The greater of both tables' chances, and of their numbers of rows in
    such cells together.
    """
    worst, most = 0.0, 0
    for here, there in ((a, b), (b, a)):
        known = {*(there.labels or ())}
        own = [int(n) for label, n in zip(here.labels or (), here.exact, strict=True) if label not in known]
        half = 0.5 if here.asked.get("law") == "ThresholdedGaussian" else 1.0
        limit = float(here.asked["threshold"])
        stays = sum(float(log_ndtr((limit + half - n) / here.scale)) for n in own)
        worst, most = max(worst, -math.expm1(stays)), max(most, sum(own))
    return worst, most


def _cost(norm: Norm, ratio: float, calculus: str) -> float:
    """Return the price of noise at a ratio of distance to scale, or of a choice whose loss spans it."""
    if calculus == "pure":
        return math.inf if norm == "l2" else ratio
    if norm == "l2":
        return ratio**2 if calculus == "gdp" else ratio**2 / 2
    if calculus == "zcdp":
        return ratio**2 / 2 if norm == "l1" else ratio**2 / 8
    return float(2 * ndtri(expit(ratio if norm == "l1" else ratio / 2))) ** 2


def _difference(a: Call, b: Call) -> Floats:
    """Return exact differences, cell by cell."""
    if a.labels is not None and b.labels is not None:
        other = dict(zip(b.labels, b.exact.tolist(), strict=True))
        pairs = [(n, other[m]) for m, n in zip(a.labels, a.exact.tolist(), strict=True) if m in other]
        return np.array([n - o for n, o in pairs], dtype=np.float64)
    return np.asarray(a.exact - b.exact, dtype=np.float64).ravel()


def _top(call: Call) -> float | int:
    top: float | int = max(call.exact.tolist())
    return top


def _log_sum(call: Call) -> float:
    """Return ``ln sum exp`` of a choice's exponents, less the greatest of them."""
    top = _top(call)
    below = np.array([q - top for q in call.exact.tolist()], dtype=np.float64)
    return float(np.log(np.exp(call.scale / (2 * call.sensitivity) * below).sum()))
