"""The discrete Laplace: its exact privacy loss on all small neighbours, and the GDP price of pure epsilon.

``P[x + Z = y]`` is ``((1 - q) / (1 + q))**n q**sum|y_i - x_i|``, so the ratio of two such laws at ``y`` is a
whole power of ``1/q = e**(1/scale)``: losses are whole numbers of ``1/scale``, and nothing is rounded.
"""

from __future__ import annotations

import itertools
from fractions import Fraction
from typing import Any

import mpmath

from dpsynth.privacy.acts import DiscreteLaplace, price
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.sensitivity import of_counts, of_distances
from proofs.checks.databases import counts, neighbours, require

__all__ = ["greatest_loss", "kink", "run", "touches"]

_REFERENCES = ((0, 0, 0, 0), (1, 0, 2, 0), (2, 1, 0, 1))
_PROMISES = tuple(
    Guarantee(epsilon=1.0, delta=0.0, rows_per_unit=k, adjacency=adjacency)  # type: ignore[arg-type]
    for k in (1, 2)
    for adjacency in ("add-remove", "replace-one")
)


def greatest_loss(x: tuple[int, ...], other: tuple[int, ...]) -> int:
    """Return the greatest privacy loss of noisy ``x`` against noisy ``other``, in units of ``1/scale``.

    Outputs beyond the box of both, and one more on each side, have the loss of the nearest in it.
    """
    box = [range(min(a, b) - 1, max(a, b) + 2) for a, b in zip(x, other, strict=True)]
    return max(
        sum(abs(y - b) - abs(y - a) for y, a, b in zip(output, x, other, strict=True))
        for output in itertools.product(*box)
    )


def run() -> list[str]:
    """Check counts, distances and the conversion, and say what was checked.

    Raises:
        AssertionError: enumeration finds more than the code says, or less everywhere.
    """
    pairs = sum(_counts(promise) + _distances(promise) for promise in _PROMISES)
    return [
        f"pure: the exact loss of noisy counts and distances on {pairs} pairs of neighbours",
        f"pure: {_conversions()} epsilons in GDP, above the trade-off curve and touching it at its kink",
    ]


def _counts(promise: Guarantee) -> int:
    booked, worst, pairs = of_counts(promise).l1, 0, 0
    seen: dict[tuple[tuple[int, ...], tuple[int, ...]], int] = {}
    for one, two in neighbours(promise.rows_per_unit, promise.sides):
        key = counts(one), counts(two)
        if key not in seen:
            seen[key] = greatest_loss(*key)
        require(seen[key] <= booked, (promise, one, two))
        worst, pairs = max(worst, seen[key]), pairs + 1
    require(worst == booked, (promise, "is over-booked"))
    require(price(DiscreteLaplace(scale=4.0, sensitivity=booked), "pure") >= Fraction(worst, 4), promise)
    return pairs


def _distances(promise: Guarantee) -> int:
    booked, pairs = of_distances(promise, len(_REFERENCES)).l1, 0
    for one, two in neighbours(promise.rows_per_unit, promise.sides):
        first, second = (
            tuple(sum(abs(c - e) for c, e in zip(counts(rows), table, strict=True)) for table in _REFERENCES)
            for rows in (one, two)
        )
        require(greatest_loss(first, second) <= booked, (promise, one, two))
        pairs += 1
    return pairs


def kink(epsilon: Any) -> Any:
    """Return the type I error at which the trade-off function of pure epsilon has its kink."""
    return 1 / (1 + mpmath.exp(epsilon))


def touches(mu: Any, alpha: Any) -> Any:
    """Return ``G_mu(alpha) = Phi(Phi^-1(1 - alpha) - mu)``."""
    return mpmath.ncdf(mpmath.sqrt(2) * mpmath.erfinv(1 - 2 * alpha) - mu)


def _conversions() -> int:
    """``G_mu`` lies below ``max(0, 1 - e^eps a, e^-eps (1 - a))``; and ``mu`` less a billionth would not."""
    scales = [2.0**-i for i in range(-8, 4)] + [0.3, 0.7, 1.9]
    for scale in scales:
        with mpmath.workdps(60):
            squared = price(DiscreteLaplace(scale=scale, sensitivity=1), "gdp")
            mu = mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator)
            epsilon = 1 / mpmath.mpf(scale)
            corner = kink(epsilon)
            for step in range(1, 40):
                for alpha in (corner * step / 40, corner + (1 - corner) * step / 40, corner):
                    pure = max(1 - mpmath.exp(epsilon) * alpha, mpmath.exp(-epsilon) * (1 - alpha))
                    require(touches(mu, alpha) <= pure * (1 + mpmath.mpf(10) ** -50), (scale, alpha))
            require(touches(mu * (1 - mpmath.mpf(10) ** -9), corner) > corner, (scale, "is over-priced"))
    return len(scales)
