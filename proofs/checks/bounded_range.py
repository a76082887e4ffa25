"""The exponential mechanism: its exact law on all small neighbours, and the trade-off curves of its family.

With a rational ``b`` in the place of ``e**(epsilon / (2 D))``, the law is rational:
``P_i = b**q_i / sum b**q_j``. What is claimed of ``e**epsilon`` must hold of ``b**(2 D)``, for any ``b > 1``.
"""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import mpmath

from dpsynth.privacy.acts import ExponentialMechanism, price
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.privacy.sensitivity import of_a_distance
from proofs.checks.databases import Rows, counts, neighbours, require
from proofs.checks.pure import touches

__all__ = ["BASE", "law", "run", "scores"]

BASE = Fraction(3, 2)
_REFERENCES = ((0, 0, 0, 0), (1, 0, 2, 0), (2, 1, 0, 1))
_WEIGHTS, _HANDICAPS = (1, 2, 1), (0, 3, 1)


def scores(rows: Rows) -> tuple[int, ...]:
    """Return weighted distances less handicaps, by a loop."""
    table = counts(rows)
    return tuple(
        w * (sum(abs(c - e) for c, e in zip(table, reference, strict=True)) - h)
        for reference, w, h in zip(_REFERENCES, _WEIGHTS, _HANDICAPS, strict=True)
    )


def law(values: tuple[int, ...], base: Fraction = BASE) -> tuple[Fraction, ...]:
    """Return the exact law of the choice among scores."""
    weights = [base**value for value in values]
    return tuple(weight / sum(weights) for weight in weights)


def run() -> list[str]:
    """Check the law and the curves, and say what was checked.

    Raises:
        AssertionError: enumeration finds more than the code says.
    """
    pairs = 0
    for k in (1, 2):
        for adjacency in ("add-remove", "replace-one"):
            promise = Guarantee(epsilon=1.0, delta=0.0, rows_per_unit=k, adjacency=adjacency)  # type: ignore[arg-type]
            sensitivity = of_a_distance(promise) * max(_WEIGHTS)
            allowed = BASE ** (2 * sensitivity)
            for one, two in neighbours(k, promise.sides):
                ratios = [p / q for p, q in zip(law(scores(one)), law(scores(two)), strict=True)]
                require(max(ratios) <= allowed, (promise, one, two))
                require(max(ratios) <= allowed * min(ratios), (promise, one, two))
                pairs += 1
    return [
        f"bounded range: exact ratios of choices on {pairs} pairs of neighbours",
        f"bounded range: {_curves()} trade-off curves of the family above G_mu",
    ]


def _curves() -> int:
    """For losses ``t`` and ``t - epsilon``: the vertex ``(1 - p, q)`` and both lines lie above ``G_mu``."""
    checked = 0
    for epsilon in (1e-3, 0.03, 0.25, 1.0, 2.5, 6.0, 15.0):
        act = ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=2)
        squared = price(act, "gdp")
        with mpmath.workdps(60):
            mu = mpmath.sqrt(mpmath.mpf(squared.numerator) / squared.denominator)
            slack, e = mpmath.mpf(10) ** -50, mpmath.mpf(epsilon)
            for step in range(1, 32):
                t = e * step / 32
                p = (1 - mpmath.exp(t - e)) / (1 - mpmath.exp(-e))  # of the loss t under the first law
                q = mpmath.exp(-t) * p
                for alpha, beta in _points(1 - p, q):
                    require(touches(mu, alpha) <= beta * (1 + slack), (epsilon, step, alpha))
                checked += 1
            p, q = _worst(e)
            require(touches(mu * (1 - mpmath.mpf(10) ** -9), 1 - p) > q, (epsilon, "is over-priced"))
    return checked


def _worst(epsilon: Any) -> tuple[Any, Any]:
    half = 1 / (1 + mpmath.exp(-epsilon / 2))
    return half, 1 - half


def _points(alpha: Any, beta: Any) -> list[tuple[Any, Any]]:
    left = [(alpha * i / 6, 1 + (beta - 1) * i / 6) for i in range(1, 7)]
    return left + [(alpha + (1 - alpha) * i / 6, beta * (1 - mpmath.mpf(i) / 6)) for i in range(1, 6)]
