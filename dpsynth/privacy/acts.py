"""What can be done to the private rows, as values; and what each act costs.

An act says what was done, never who did it or why. Its meaning never changes: a new meaning is a new
class. :func:`price` reads an act and refuses what it does not know. Prices are exact rationals rounded
up to a multiple of ``2**-100``, so a ledger's total does not depend on the order of the sum.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, TypeAlias

from dpsynth.errors import GuaranteeError
from dpsynth.privacy.guarantee import CALCULI, Calculus
from dpsynth.privacy.precise import precise, real, upper_quantile
from dpsynth.privacy.ranges import LARGEST_SIGMA, SMALLEST_SIGMA, check_noise, is_count, is_real
from dpsynth.privacy.sensitivity import Sensitivity
from dpsynth.privacy.thresholds import Thresholded, ThresholdedDiscreteGaussian, ThresholdedGaussian

__all__ = [
    "Act",
    "DiscreteGaussian",
    "DiscreteLaplace",
    "ExponentialMechanism",
    "Noise",
    "RoundedGaussian",
    "Thresholded",
    "ThresholdedDiscreteGaussian",
    "ThresholdedGaussian",
    "act_from_dict",
    "act_to_dict",
    "delta_of",
    "epsilon_for",
    "noise_for",
    "price",
    "scale_for",
    "share",
    "sigma_for",
    "threshold_for",
]

_GRID = 2**100
_LARGEST_EPSILON = 1e4
_LARGEST_SHARE = Fraction(10**8)  # more than the price of any selection
_BITS = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedGaussian:
    """``y = x + round(N(0, sigma**2 I))`` for an integer vector ``x``, sampled exactly.

    It equals ``round(x + N(0, sigma**2 I))``, hence is post-processing of the Gaussian mechanism and
    ``(D / sigma)``-GDP, where ``D**2 = sensitivity_squared`` is the squared L2 sensitivity of ``x``.
    """

    sigma: float
    sensitivity_squared: int

    def __post_init__(self) -> None:
        check_noise(self.sigma, self.sensitivity_squared)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteGaussian:
    """``y = x + Z``, ``P[Z = z]`` proportional to ``exp(-z**2 / (2 sigma**2))`` on the integers, per cell.

    It is ``D**2 / (2 sigma**2)``-zCDP (arXiv:2004.00010) and has no exact GDP price.
    """

    sigma: float
    sensitivity_squared: int

    def __post_init__(self) -> None:
        check_noise(self.sigma, self.sensitivity_squared)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteLaplace:
    """``y = x + Z``, ``P[Z = z]`` proportional to ``exp(-|z| / scale)`` on the integers, per cell, exactly.

    It is ``D / scale``-differentially private, where ``D = sensitivity`` is the L1 sensitivity of ``x``. Any
    ``epsilon``-DP act is ``mu``-GDP with ``mu = -2 Phi^-1(1 / (1 + exp(epsilon)))``, and
    ``epsilon**2 / 2``-zCDP. Proof: proofs/discrete_laplace.md
    """

    scale: float
    sensitivity: int

    def __post_init__(self) -> None:
        if not (is_real(self.scale) and SMALLEST_SIGMA <= self.scale <= LARGEST_SIGMA):
            raise GuaranteeError("scale is outside [2**-40, 2**40]")
        if not is_count(self.sensitivity):
            raise GuaranteeError("the discrete Laplace's sensitivity is not a whole number of at least 1")

    @property
    def sigma(self) -> float:
        """Standard deviation of ``Z``: ``1 / (sqrt(2) sinh(1 / (2 scale)))``, about ``sqrt(2) scale``.

        At least ``2**-40``: below a scale of about 1/54 the true one is too small to be told from none.
        """
        half = min(1 / (2 * self.scale), 700.0)
        return max(1 / (math.sqrt(2) * math.sinh(half)), SMALLEST_SIGMA)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialMechanism:
    """Index ``i`` is chosen with probability proportional to ``exp(epsilon * q_i / (2 D))``, exactly.

    ``q`` are integer scores of L-infinity sensitivity ``D = sensitivity``. The privacy loss has a range of
    at most ``epsilon`` (Dong, Durfee, Rogers, arXiv:1909.13830), which prices the act as
    ``mu = 2 Phi^-1(1 / (1 + exp(-epsilon/2)))`` in GDP and as ``epsilon**2 / 8`` in zCDP (Cesar, Rogers,
    arXiv:2004.07223). It is ``epsilon``-differentially private. Proof: proofs/exponential_mechanism.md
    """

    epsilon: float
    sensitivity: int
    candidates: int

    def __post_init__(self) -> None:
        if not (is_real(self.epsilon) and 0 < self.epsilon <= _LARGEST_EPSILON):
            raise GuaranteeError(
                f"the exponential mechanism's epsilon is outside (0, {_LARGEST_EPSILON:g}], "
                "where it is not priced"
            )
        if not (is_count(self.sensitivity) and is_count(self.candidates)):
            raise GuaranteeError("the exponential mechanism needs a sensitivity and at least one candidate")


Noise: TypeAlias = RoundedGaussian | DiscreteGaussian | DiscreteLaplace
Act: TypeAlias = Noise | ExponentialMechanism | Thresholded
_ACTS: dict[str, type[Act]] = {
    a.__name__: a
    for a in (
        RoundedGaussian,
        DiscreteGaussian,
        DiscreteLaplace,
        ExponentialMechanism,
        ThresholdedGaussian,
        ThresholdedDiscreteGaussian,
    )
}


def price(act: Act, calculus: Calculus) -> Fraction:
    """Return an act's cost: ``mu**2`` in gdp, ``rho`` in zcdp, epsilon in pure; rounded up to ``2**-100``.

    Raises:
        GuaranteeError: the act has no price in this calculus, is not an act, or the calculus is unknown.
    """
    if calculus not in CALCULI:
        raise GuaranteeError(f"calculus={calculus!r} is none of {', '.join(CALCULI)}")
    if isinstance(act, (RoundedGaussian, ThresholdedGaussian)) and calculus != "pure":
        mu_squared = _ceil(Fraction(act.sensitivity_squared) / Fraction(act.sigma) ** 2)
        return mu_squared if calculus == "gdp" else _ceil(mu_squared / 2)
    if isinstance(act, (DiscreteGaussian, ThresholdedDiscreteGaussian)) and calculus == "zcdp":
        return _ceil(Fraction(act.sensitivity_squared) / Fraction(act.sigma) ** 2 / 2)
    if isinstance(act, DiscreteLaplace):
        epsilon = Fraction(act.sensitivity) / Fraction(act.scale)
        return {"pure": _ceil, "zcdp": lambda e: _ceil(e**2 / 2), "gdp": _pure_mu_squared}[calculus](epsilon)
    if isinstance(act, ExponentialMechanism):
        epsilon = Fraction(act.epsilon)
        if calculus == "gdp":
            return _bounded_range_mu_squared(epsilon)
        return _ceil(epsilon**2 / 8 if calculus == "zcdp" else epsilon)
    raise GuaranteeError(f"{type(act).__name__} has no known price in {calculus}; the act is refused")


def delta_of(act: Act) -> Fraction:
    """Return what an act spends of delta beside its price, rounded up: 0 where the law is priced as a whole.

    But for an event of this probability, independent of all before it, the act is as good as its price
    says. Proof: proofs/composition.md, and proofs/discover.md for thresholds.

    Raises:
        GuaranteeError: it is not an act.
    """
    if not isinstance(act, Act):
        raise GuaranteeError(f"{type(act).__name__} is not an act")
    return _chance_above(act) if isinstance(act, Thresholded) else Fraction(0)


def share(budget: Fraction | float) -> Fraction:
    """Return a share of the budget as an exact fraction, rounded down to a multiple of ``2**-100``.

    Prices are such multiples, so nothing is lost; and a price can meet the share without a long search.

    Raises:
        GuaranteeError: the share is not a number, not finite, or below ``2**-100``.
    """
    if not isinstance(budget, Fraction) and not is_real(budget):
        raise GuaranteeError("a share of the budget is a finite number")
    exact = Fraction(Fraction(budget) * _GRID // 1, _GRID)
    if exact <= 0:
        raise GuaranteeError("an act needs a positive share of the budget, of at least 2**-100")
    return exact


def sigma_for(budget: Fraction | float, sensitivity_squared: int, calculus: Calculus) -> float:
    """Return the least float sigma, within a few ulps above, whose Gaussian act costs at most ``budget``.

    Raises:
        GuaranteeError: the budget is not positive, asks for a sigma outside [``2**-40``, ``2**40``], or the
            sensitivity is below 1.
    """
    affordable = share(budget)
    exact = Fraction(sensitivity_squared) / (affordable if calculus == "gdp" else 2 * affordable)
    sigma = math.sqrt(exact) if 0 < exact < 2**100 else math.inf
    make = RoundedGaussian if calculus == "gdp" else DiscreteGaussian
    while sigma <= LARGEST_SIGMA:
        if price(make(sigma=sigma, sensitivity_squared=sensitivity_squared), calculus) <= affordable:
            return sigma
        sigma = math.nextafter(sigma, math.inf)
    raise GuaranteeError(
        "the share of the budget is too small: its noise would exceed 2**40 rows; raise epsilon"
    )


def threshold_for(make: type[Thresholded], sigma: float, rows: int, delta: Fraction) -> int:
    """Return the least threshold at which a thresholded act's delta is at most ``delta``.

    Args:
        make: The kind of act.
        sigma: Standard deviation of its noise, in rows.
        rows: Most rows of one unit.
        delta: What may be spent of delta.

    Raises:
        GuaranteeError: ``delta`` is not positive and at least ``2**-100``, or ``sigma`` or ``rows`` is out of
            range.
    """
    affordable = share(delta)

    def spends_too_much(threshold: int) -> bool:
        act = make(sigma=sigma, sensitivity_squared=rows**2, rows=rows, threshold=threshold)
        return delta_of(act) > affordable

    low, high = 0, 1
    while spends_too_much(high):
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if spends_too_much(middle) else (low, middle)
    return high


def scale_for(budget: Fraction | float, sensitivity: int) -> float:
    """Return the least float scale, within an ulp above, whose discrete Laplace costs at most ``budget``.

    Raises:
        GuaranteeError: the budget is not positive, asks for a scale above ``2**40``, or the sensitivity is
            below 1.
    """
    affordable = share(budget)
    exact = Fraction(sensitivity) / affordable
    scale = max(float(exact), SMALLEST_SIGMA) if exact < 2**41 else math.inf
    while scale <= LARGEST_SIGMA:
        if price(DiscreteLaplace(scale=scale, sensitivity=sensitivity), "pure") <= affordable:
            return scale
        scale = math.nextafter(scale, math.inf)
    raise GuaranteeError(
        "the share of the budget is too small: its noise would exceed 2**40 rows; raise epsilon"
    )


def noise_for(budget: Fraction | float, moved: Sensitivity, calculus: Calculus) -> Noise:
    """Return the least noise that a budget affords: discrete Laplace in pure, rounded Gaussian in gdp.

    Raises:
        GuaranteeError: as :func:`sigma_for` and :func:`scale_for`.
    """
    if calculus == "pure":
        return DiscreteLaplace(scale=scale_for(budget, moved.l1), sensitivity=moved.l1)
    make = RoundedGaussian if calculus == "gdp" else DiscreteGaussian
    sigma = sigma_for(budget, moved.l2_squared, calculus)
    return make(sigma=sigma, sensitivity_squared=moved.l2_squared)


def epsilon_for(budget: Fraction | float, calculus: Calculus) -> float:
    """Return the largest float epsilon, rounded down, whose exponential mechanism costs at most ``budget``.

    At most 10000, and within a few ulps of the largest for any budget above ``2**-60``.

    Raises:
        GuaranteeError: the budget is not positive, or too small for a selection.
    """
    affordable = min(share(budget), _LARGEST_SHARE)
    if calculus == "pure":
        epsilon = float(min(affordable, Fraction(_LARGEST_EPSILON)))
    elif calculus == "zcdp":
        epsilon = min(math.sqrt(8 * affordable), _LARGEST_EPSILON)
    else:
        with precise(_BITS) as mp:
            half = mp.sqrt(max(real(mp, affordable) - mp.mpf(2) / _GRID, 0)) / 2
            epsilon = min(float(2 * (mp.log(mp.ncdf(half)) - mp.log(mp.ncdf(-half)))), _LARGEST_EPSILON)
    for _ in range(8):
        if epsilon <= 0:
            break
        if price(ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=1), calculus) <= affordable:
            return epsilon
        epsilon = math.nextafter(epsilon, 0.0)
    raise GuaranteeError("the share of the budget is too small for a selection; raise epsilon")


def act_to_dict(act: Act) -> dict[str, Any]:
    """Return an act as plain JSON values."""
    fields = {name: getattr(act, name) for name in act.__dataclass_fields__}
    return {"act": type(act).__name__, **fields}


def act_from_dict(content: dict[str, Any]) -> Act:
    """Rebuild an act from :func:`act_to_dict`.

    Raises:
        GuaranteeError: the act's name is unknown or a field is missing, superfluous or out of range.
    """
    if not isinstance(content, dict):
        raise GuaranteeError("an entry of the ledger is not a mapping")
    fields = dict(content)
    kind = _ACTS.get(str(fields.pop("act", None)))
    if kind is None:
        raise GuaranteeError("an entry of the ledger names an act this version does not know")
    types = {
        "sigma": float,
        "scale": float,
        "epsilon": float,
        "sensitivity_squared": int,
        "sensitivity": int,
        "candidates": int,
        "rows": int,
        "threshold": int,
    }
    if set(fields) != set(kind.__dataclass_fields__) or any(type(fields[f]) is not types[f] for f in fields):
        raise GuaranteeError(f"an entry of the ledger has the wrong fields for {kind.__name__}")
    return kind(**fields)


def _ceil(value: Fraction) -> Fraction:
    return Fraction(-(-value.numerator * _GRID // value.denominator), _GRID)


def _chance_above(act: Thresholded) -> Fraction:
    """Return the greatest chance that a count of one unit's own exceeds the threshold, rounded up.

    Let ``p(c)`` be the chance that ``c`` plus noise exceeds the threshold. Over all ways to split at most
    ``rows`` rows among such counts the chance that one exceeds it is greatest for one row each or for all
    rows together: ``max(1 - (1 - p(1))**rows, p(rows))``.

    For the rounded Gaussian ``p(c) = Q((threshold + 1/2 - c) / sigma)``; for the discrete one this is bounded
    by ``Q((threshold - c) / sigma)`` (Canonne, Kamath, Steinke 2020, Proposition 25).
    """
    half = Fraction(1, 2) if isinstance(act, ThresholdedGaussian) else Fraction(0)
    with precise(_BITS) as mp:

        def chance(count: int) -> Any:
            return mp.ncdf(-(act.threshold - count + real(mp, half)) / mp.mpf(act.sigma))

        apart = -mp.expm1(act.rows * mp.log1p(-chance(1)))
        exact = max(apart, chance(act.rows)) * (1 + mp.mpf(2) ** -200)
        return min(Fraction(1), Fraction(int(mp.ceil(exact * _GRID)) + 1, _GRID))


def _pure_mu_squared(epsilon: Fraction) -> Fraction:
    """Return ``mu**2`` with ``Phi(-mu/2) = 1 / (1 + exp(epsilon))``: the price of any epsilon-DP act.

    Raises:
        GuaranteeError: epsilon is above 10000, where it is not priced.
    """
    if epsilon > _LARGEST_EPSILON:
        raise GuaranteeError(f"an epsilon above {_LARGEST_EPSILON:g} has no known price in gdp")
    return _bounded_range_mu_squared(2 * epsilon)


def _bounded_range_mu_squared(epsilon: Fraction) -> Fraction:
    """Return ``mu**2`` with ``Phi(-mu/2) = 1 / (1 + exp(epsilon/2))``, rounded up.

    ``x = mu/2`` solves ``Q(x) = tail``. Whatever the solver's error, the price is that of ``x + width``, and
    it is returned only once ``Q(x + width) <= tail`` has been seen; ``width`` starts at ``2**-110``.
    """
    with precise(_BITS) as mp:
        tail = 1 / (1 + mp.exp(real(mp, epsilon) / 2))
        x = upper_quantile(mp, tail)
        width = max(1, x) * mp.mpf(2) ** -110
        while mp.ncdf(-x - width) > tail:
            width *= 2
        return Fraction(int(mp.ceil(4 * (x + width) ** 2 * _GRID)) + 1, _GRID)
