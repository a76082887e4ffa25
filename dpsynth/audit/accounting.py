"""A second accountant: prices, deltas and conversions of the first, computed again by other means.

The library's own accountant works with exact fractions and 300 bits; this one with scipy's normal
distribution in double precision, from the formulas as published. A price, a delta or an epsilon that is below
this one's by more than rounding breaks the promise; one that is above is on the safe side.
"""

from __future__ import annotations

import math
import time
from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import expit, log_ndtr, ndtr, ndtri

from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.privacy import acts, guarantee

__all__ = ["accounting_findings"]

_ROUNDING = 1e-6  # relative, of one accountant against the other
_SIGMAS = (0.5, 3.0, 40.0)
_SQUARES = (1, 2, 9)  # squared sensitivities
_EPSILONS = (0.01, 0.5, 2.0, 10.0)
_ROWS = (1, 2, 3, 10)
_DELTAS = (1e-3, 1e-5, 1e-9)


def accounting_findings() -> tuple[Finding, ...]:
    """Compute prices of acts, deltas of thresholds and conversions to (epsilon, delta) anew, over a grid.

    Returns:
        Three findings, ``accounting.price``, ``accounting.threshold`` and ``accounting.conversion``: the
        least ratio of what is booked to what is due, which is to be 1 or more but for rounding.

    Privacy: free; no rows at all.

    Reference: Dong, Roth, Su 2022 (GDP); Dong, Durfee, Rogers 2020 (bounded range); Canonne, Kamath, Steinke
    2020 (zCDP, discrete Gaussian).
    """
    return (
        _finding("accounting.price", "Prices of acts", _prices()),
        _finding("accounting.threshold", "Deltas of thresholds", _thresholds()),
        _finding("accounting.conversion", "Budgets of guarantees", _conversions()),
    )


def _finding(check: str, what: str, pairs: Iterator[tuple[str, float, float]]) -> Finding:
    """Weigh what is booked against what is due, over cases."""
    start = time.perf_counter()
    ratios = {case: booked / due if due > 0 else math.inf for case, booked, due in pairs}
    worst = min(ratios, key=lambda case: ratios[case])
    broken = [case for case, ratio in ratios.items() if not ratio >= 1 - _ROUNDING]
    said = f"{what} agree with a second accountant in {len(ratios)} cases"
    if broken:
        said = f"{what} are wrong in {len(broken)} of {len(ratios)} cases, first in {broken[0]}"
    return Finding(
        check=check,
        level=Level.unit,
        summary=f"{said}.",
        verdict=Verdict.violation if broken else Verdict.consistent,
        value=ratios[worst],
        unit="ratio",
        trials=len(ratios),
        baseline=1.0,
        seconds=time.perf_counter() - start,
        details={"worst": worst, "broken": broken},
    )


def _prices() -> Iterator[tuple[str, float, float]]:
    for sigma in _SIGMAS:
        for square in _SQUARES:
            gaussian = acts.RoundedGaussian(sigma=sigma, sensitivity_squared=square)
            discrete = acts.DiscreteGaussian(sigma=sigma, sensitivity_squared=square)
            due = square / sigma**2
            yield f"{gaussian} in gdp", float(acts.price(gaussian, "gdp")), due
            yield f"{gaussian} in zcdp", float(acts.price(gaussian, "zcdp")), due / 2
            yield f"{discrete} in zcdp", float(acts.price(discrete, "zcdp")), due / 2
            laplace = acts.DiscreteLaplace(scale=sigma, sensitivity=square)
            yield f"{laplace} in pure", float(acts.price(laplace, "pure")), square / sigma
            yield f"{laplace} in zcdp", float(acts.price(laplace, "zcdp")), (square / sigma) ** 2 / 2
            due = float(2 * ndtri(expit(-square / sigma))) ** 2
            yield f"{laplace} in gdp", float(acts.price(laplace, "gdp")), due
    for epsilon in _EPSILONS:
        choice = acts.ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=5)
        bounded = (2 * ndtri(expit(-epsilon / 2))) ** 2
        yield f"{choice} in gdp", float(acts.price(choice, "gdp")), float(bounded)
        yield f"{choice} in zcdp", float(acts.price(choice, "zcdp")), epsilon**2 / 8
        yield f"{choice} in pure", float(acts.price(choice, "pure")), epsilon


def _thresholds() -> Iterator[tuple[str, float, float]]:
    """Every way to spread a unit's rows over labels of its own is tried, for the few rows there are."""
    for sigma in _SIGMAS:
        for rows in _ROWS:
            for make, half in ((acts.ThresholdedGaussian, 0.5), (acts.ThresholdedDiscreteGaussian, 0.0)):
                act = make(
                    sigma=sigma, sensitivity_squared=rows**2, rows=rows, threshold=rows + math.ceil(5 * sigma)
                )
                chance = [float(ndtr(-(act.threshold - c + half) / sigma)) for c in range(rows + 1)]
                due = max(-math.expm1(sum(math.log1p(-chance[c]) for c in split)) for split in _splits(rows))
                booked = float(acts.delta_of(act))
                yield f"{act}", booked, due


def _splits(rows: int, most: int | None = None) -> Iterator[tuple[int, ...]]:
    """Give every way to write a number of rows as a falling sum."""
    if rows == 0:
        yield ()
    for first in range(min(rows, rows if most is None else most), 0, -1):
        for rest in _splits(rows - first, first):
            yield (first, *rest)


def _conversions() -> Iterator[tuple[str, float, float]]:
    """A guarantee's delta is set against that of the budget it is said to afford."""
    for epsilon in _EPSILONS:
        for delta in _DELTAS:
            promise = guarantee.Guarantee(epsilon=epsilon, delta=delta)
            yield f"{promise} in gdp", delta, _gdp_delta(promise.budget("gdp"), epsilon)
            yield f"{promise} in zcdp", delta, _zcdp_delta(promise.budget("zcdp"), epsilon)
        pure = guarantee.Guarantee(epsilon=epsilon, delta=0.0)
        yield f"{pure} in pure", epsilon, pure.budget("pure")


def _gdp_delta(mu_squared: float, epsilon: float) -> float:
    mu = math.sqrt(mu_squared)
    inside = float(log_ndtr(-epsilon / mu + mu / 2))
    outside = epsilon + float(log_ndtr(-epsilon / mu - mu / 2))
    return math.exp(inside) * -math.expm1(outside - inside)


def _zcdp_delta(rho: float, epsilon: float) -> float:
    """Return the least of the bound over orders; a search that ended early would alarm, and hide nothing."""

    def exponent(log_order: float) -> float:
        order = 1 + math.exp(log_order)
        return (order - 1) * (order * rho - epsilon) - math.log(order - 1) + order * math.log1p(-1 / order)

    best = minimize_scalar(exponent, bounds=(-30.0, 30.0), method="bounded", options={"xatol": 1e-12})
    return float(np.exp(best.fun))
