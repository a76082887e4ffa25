"""Thresholded counts, by enumeration: every way to spread one unit's rows, whole answers on small tables.

Nothing of ``dpsynth.privacy.acts`` is used but what is checked: tails are summed or integrated anew, at 60
digits, and partitions are listed.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import mpmath
import numpy as np
import numpy.typing as npt

from dpsynth.privacy.acts import ThresholdedDiscreteGaussian, ThresholdedGaussian, delta_of, price
from dpsynth.privacy.guarantee import gdp_delta

__all__ = ["chance_of", "excess", "greatest_chance", "partitions", "replaced", "run"]


def partitions(total: int, largest: int | None = None) -> Iterator[tuple[int, ...]]:
    """Give every multiset of positive whole numbers with this sum."""
    if total == 0:
        yield ()
    for first in range(min(total, total if largest is None else largest), 0, -1):
        for rest in partitions(total - first, first):
            yield (first, *rest)


def chance_of(counts: tuple[int, ...], sigma: float, threshold: int, *, discrete: bool) -> Any:
    """Return the chance that one of some counts exceeds the threshold with its noise added; 60 digits."""
    with mpmath.workdps(60):
        none: Any = mpmath.mpf(1)
        for count in counts:
            none *= 1 - (_discrete_tail if discrete else _rounded_tail)(threshold - count + 1, sigma)
        return 1 - none


def greatest_chance(rows: int, sigma: float, threshold: int, *, discrete: bool = False) -> Any:
    """Return the greatest such chance over all ways to spread at most ``rows`` rows."""
    spread = (p for total in range(1, rows + 1) for p in partitions(total))
    return max(chance_of(p, sigma, threshold, discrete=discrete) for p in spread)


def _rounded_tail(least: int, sigma: float) -> Any:
    """The chance that ``round(N(0, sigma**2))`` is at least ``least``."""
    x = (mpmath.mpf(least) - mpmath.mpf(1) / 2) / mpmath.mpf(sigma)
    return mpmath.erfc(x / mpmath.sqrt(2)) / 2


def _discrete_tail(least: int, sigma: float) -> Any:
    """The chance that a discrete Gaussian is at least ``least``: its terms, summed."""
    reach = int(16 * sigma) + abs(least) + 4
    weight = {
        z: mpmath.exp(-(mpmath.mpf(z) ** 2) / (2 * mpmath.mpf(sigma) ** 2)) for z in range(-reach, reach + 1)
    }
    return sum(w for z, w in weight.items() if z >= least) / sum(weight.values())


def excess(
    shared: tuple[int, int],
    own: tuple[tuple[int, ...], tuple[int, ...]],
    sigma: float,
    threshold: int,
    epsilon: float,
) -> float:
    """Return ``max_E P_0(E) - e**epsilon P_1(E)`` of whole answers on two small tables, in double precision.

    Args:
        shared: Count in each table of a label that both have.
        own: Counts, in each table, of labels that only it has.
        sigma: Scale of the rounded Gaussian.
        threshold: What a noisy count must exceed.
        epsilon: At least 0.
    """
    first, second = (_answers(s, o, sigma, threshold) for s, o in zip(shared, own, strict=True))
    absent_first, absent_second = _silent(own[0], sigma, threshold), _silent(own[1], sigma, threshold)
    alone = 1.0 - absent_first  # answers with a label that the second table cannot give
    gap = absent_first * first - np.exp(epsilon) * absent_second * second
    return alone + float(np.maximum(gap, 0).sum())


def _answers(count: int, _own: tuple[int, ...], sigma: float, threshold: int) -> npt.NDArray[np.float64]:
    """Law of the shared label's answer: not there, then every noisy count above the threshold."""
    reach = threshold + 1 + int(12 * sigma) + 40
    tails = [float(_rounded_tail(z - count, sigma)) for z in range(threshold + 1, reach + 1)]
    return np.array([1 - tails[0], *(a - b for a, b in itertools.pairwise(tails))])


def _silent(own: tuple[int, ...], sigma: float, threshold: int) -> float:
    return 1.0 - float(chance_of(own, sigma, threshold, discrete=False))


def run() -> list[str]:
    """Check both, and say what was checked.

    Raises:
        AssertionError: enumeration finds more than the code says.
    """
    return [
        f"thresholding: {_deltas()} deltas against every partition of up to 6 rows",
        f"thresholding: {_losses()} privacy losses of whole answers within price and delta",
    ]


def _deltas() -> int:
    checked = 0
    for sigma, rows, over in itertools.product((0.4, 3.7), range(1, 7), (0, 4)):
        threshold = rows + over + 1
        terms: dict[str, Any] = {
            "sigma": sigma, "sensitivity_squared": rows**2, "rows": rows, "threshold": threshold,
        }  # fmt: skip
        stated = delta_of(ThresholdedGaussian(**terms))
        bound = delta_of(ThresholdedDiscreteGaussian(**terms))
        exact, grid = greatest_chance(rows, sigma, threshold), 2.0**-98
        with mpmath.workdps(60):
            said = mpmath.mpf(stated.numerator) / stated.denominator
            _require(exact <= said <= exact * (1 + 1e-12) + grid, terms)
            discrete = greatest_chance(rows, sigma, threshold, discrete=True)
            _require(discrete <= mpmath.mpf(bound.numerator) / bound.denominator, terms)
        checked += 2
    return checked


def _losses() -> int:
    losses = 0
    for sigma, rows, epsilon in itertools.product((1.5, 3.0), (1, 2, 3), (0.2, 1.0, 2.5)):
        threshold = rows + 4
        act = ThresholdedGaussian(sigma=sigma, sensitivity_squared=rows**2, rows=rows, threshold=threshold)
        allowed = gdp_delta(price(act, "gdp"), epsilon) + float(delta_of(act))
        for there in range(rows + 1):
            for split in partitions(rows - there):
                for common in (1, threshold):
                    pair, own = (common, common + there), ((), split)
                    for flip in (1, -1):
                        found = excess(pair[::flip], own[::flip], sigma, threshold, epsilon)
                        _require(found <= allowed + 1e-13, (sigma, rows, epsilon, there, split, common))
                        losses += 1
    return losses


def _require(holds: object, case: object) -> None:
    if not holds:
        raise AssertionError(f"enumeration finds more than the code says: {case}")


def replaced(rows: int, sigma: float, epsilon: float, threshold: int) -> tuple[float, float]:
    """Return the excess where one unit's own labels replace another's, and what price and delta allow."""
    act = ThresholdedGaussian(sigma=sigma, sensitivity_squared=rows**2, rows=rows, threshold=threshold)
    own = ((1,) * rows, (rows,))
    return excess((3, 3), own, sigma, threshold, epsilon), gdp_delta(price(act, "gdp"), epsilon) + float(
        Fraction(delta_of(act))
    )
