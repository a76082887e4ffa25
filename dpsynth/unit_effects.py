"""What a bound on rows per unit cuts, as far as a noisy histogram of rows per unit tells.

All of it is post-processing of noisy counts: nothing here reads a row.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.privacy.guarantee import Calculus, Guarantee, calculus_of

__all__ = [
    "LEVEL",
    "BoundEffect",
    "Interval",
    "effects_of",
    "expected_noise",
    "share_of",
    "sum_of",
    "width_of",
]

LEVEL = 0.95
_NORMAL = 1.959964  # standard deviations of a two-sided interval at that level
_LAPLACE = 2.119  # likewise for Laplace noise; sums of it need less

_Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and where the true figure lies, in 95 of 100 such purchases: for the noise alone.

    Attributes:
        estimate: The figure computed from noisy counts.
        low: Lower end.
        high: Upper end.
    """

    estimate: float
    low: float
    high: float

    def to_dict(self) -> dict[str, float]:
        """Return the interval as plain JSON values."""
        return {"estimate": self.estimate, "low": self.low, "high": self.high}


@dataclass(frozen=True, slots=True, kw_only=True)
class BoundEffect:
    """What a bound would do to the table, as far as the noisy histogram tells.

    Attributes:
        max_rows: The bound, ``k``.
        units_cut: Share of the units with more than ``k`` rows, which lose some.
        rows_lost: Share of the rows that would be dropped; at least so much, where units have more rows than
            the histogram tells apart.
        noise: Expected absolute noise in one table of the coming fit, in rows; it grows with ``k``.
        error: Rows lost plus ``noise``: the expected L1 distance of that table from the true one, at most.
    """

    max_rows: int
    units_cut: Interval
    rows_lost: Interval
    noise: float
    error: float


def effects_of(counts: _Floats, width: float, noise: float) -> Iterable[BoundEffect]:
    """Give, for each bound, what it cuts; ``noise`` is that of a table at a bound of one row."""
    rows = np.arange(1, counts.size + 1, dtype=np.float64)
    ones = np.ones_like(rows)
    for bound in range(1, counts.size):
        lost = np.maximum(rows - bound, 0.0)
        yield BoundEffect(
            max_rows=bound,
            units_cut=share_of(counts, (rows > bound).astype(np.float64), ones, width),
            rows_lost=share_of(counts, lost, rows, width),
            noise=bound * noise,
            error=max(float(lost @ counts), 0.0) + bound * noise,
        )


def expected_noise(coming: Guarantee, tables: int) -> float:
    """Return the expected absolute noise in a count of a fit that divides its budget among so many tables."""
    calculus = calculus_of("exact", coming.delta)
    each = coming.budget(calculus) / tables / coming.sides
    return 1 / each if calculus == "pure" else math.sqrt(2 / math.pi / each)


def width_of(sigma: float, calculus: Calculus) -> float:
    """Return half the length of a count's interval; the noise's rounding is covered."""
    return (_LAPLACE if calculus == "pure" else _NORMAL) * math.sqrt(sigma**2 + 0.25)


def sum_of(counts: _Floats, weights: _Floats, width: float) -> Interval:
    """Return a weighted sum of the true counts, with its interval; a sum is not negative."""
    value, half = float(weights @ counts), width * math.sqrt(float(weights @ weights))
    return Interval(max(value, 0.0), max(value - half, 0.0), max(value + half, 0.0))


def share_of(counts: _Floats, part: _Floats, whole: _Floats, width: float) -> Interval:
    """Return the ratio of two weighted sums of the true counts, with Fieller's interval, within 0 and 1.

    The interval holds each ratio ``r`` for which ``(part - r whole) @ counts`` is within ``z`` standard
    deviations of zero; all of [0, 1] where the whole itself is. ``width`` is ``z`` times the deviation of the
    noise in one count.

    Reference: Fieller 1954, "Some Problems in Interval Estimation", J. R. Stat. Soc. B 16.
    """
    top, bottom = float(part @ counts), float(whole @ counts)
    square = bottom**2 - width**2 * float(whole @ whole)
    estimate = min(max(top / max(bottom, 1.0), 0.0), 1.0)
    if square <= 0 or bottom <= 0:
        return Interval(estimate, 0.0, 1.0)
    middle = top * bottom - width**2 * float(part @ whole)
    root = math.sqrt(max(middle**2 - square * (top**2 - width**2 * float(part @ part)), 0.0))
    low, high = ((middle + sign * root) / square for sign in (-1, 1))
    return Interval(estimate, min(max(low, 0.0), estimate), max(min(high, 1.0), estimate))
