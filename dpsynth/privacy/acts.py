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
from dpsynth.privacy.guarantee import Calculus

__all__ = [
    "Act",
    "DiscreteGaussian",
    "ExponentialMechanism",
    "RoundedGaussian",
    "act_from_dict",
    "act_to_dict",
    "epsilon_for",
    "price",
    "sigma_for",
]

_GRID = 2**100
_LARGEST_SIGMA = 2.0**40
_DIGITS = 50


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundedGaussian:
    """``y = x + round(N(0, sigma**2 I))`` for an integer vector ``x``, sampled exactly.

    It equals ``round(x + N(0, sigma**2 I))``, hence is post-processing of the Gaussian mechanism and
    ``(D / sigma)``-GDP, where ``D**2 = sensitivity_squared`` is the squared L2 sensitivity of ``x``.
    """

    sigma: float
    sensitivity_squared: int

    def __post_init__(self) -> None:
        _check_noise(self.sigma, self.sensitivity_squared)


@dataclass(frozen=True, slots=True, kw_only=True)
class DiscreteGaussian:
    """``y = x + Z``, ``P[Z = z]`` proportional to ``exp(-z**2 / (2 sigma**2))`` on the integers, per cell.

    It is ``D**2 / (2 sigma**2)``-zCDP (arXiv:2004.00010) and has no exact GDP price.
    """

    sigma: float
    sensitivity_squared: int

    def __post_init__(self) -> None:
        _check_noise(self.sigma, self.sensitivity_squared)


@dataclass(frozen=True, slots=True, kw_only=True)
class ExponentialMechanism:
    """Index ``i`` is chosen with probability proportional to ``exp(epsilon * q_i / (2 D))``, exactly.

    ``q`` are integer scores of L-infinity sensitivity ``D = sensitivity``. The privacy loss has a range of
    at most ``epsilon`` (Dong, Durfee, Rogers, arXiv:1909.13830), which prices the act as
    ``mu = 2 Phi^-1(1 / (1 + exp(-epsilon/2)))`` in GDP and as ``epsilon**2 / 8`` in zCDP (Cesar, Rogers,
    arXiv:2004.07223). Proof: proofs/exponential_mechanism.md
    """

    epsilon: float
    sensitivity: int
    candidates: int

    def __post_init__(self) -> None:
        if not (math.isfinite(self.epsilon) and self.epsilon > 0):
            raise GuaranteeError(
                f"the exponential mechanism's epsilon={self.epsilon} is not positive and finite"
            )
        if self.sensitivity < 1 or self.candidates < 1:
            raise GuaranteeError("the exponential mechanism needs a sensitivity and at least one candidate")


Act: TypeAlias = RoundedGaussian | DiscreteGaussian | ExponentialMechanism
_ACTS: dict[str, type[Act]] = {
    a.__name__: a for a in (RoundedGaussian, DiscreteGaussian, ExponentialMechanism)
}


def price(act: Act, calculus: Calculus) -> Fraction:
    """Return what an act costs: ``mu**2`` in ``"gdp"``, ``rho`` in ``"zcdp"``; rounded up to ``2**-100``.

    Raises:
        GuaranteeError: the act has no price in this calculus, or is not an act.
    """
    if isinstance(act, RoundedGaussian):
        mu_squared = _ceil(Fraction(act.sensitivity_squared) / Fraction(act.sigma) ** 2)
        return mu_squared if calculus == "gdp" else _ceil(mu_squared / 2)
    if isinstance(act, DiscreteGaussian) and calculus == "zcdp":
        return _ceil(Fraction(act.sensitivity_squared) / Fraction(act.sigma) ** 2 / 2)
    if isinstance(act, ExponentialMechanism):
        if calculus == "zcdp":
            return _ceil(Fraction(act.epsilon) ** 2 / 8)
        return _bounded_range_mu_squared(act.epsilon)
    raise GuaranteeError(f"{type(act).__name__} has no known price in {calculus}; the act is refused")


def sigma_for(budget: Fraction, sensitivity_squared: int, calculus: Calculus) -> float:
    """Return the least float sigma, rounded up, whose Gaussian act costs at most ``budget``.

    Raises:
        GuaranteeError: the budget is not positive, or asks for a sigma above ``2**40``.
    """
    if budget <= 0:
        raise GuaranteeError("a measurement needs a positive share of the budget")
    exact = Fraction(sensitivity_squared) / (budget if calculus == "gdp" else 2 * budget)
    sigma = math.sqrt(exact) if exact < 2**100 else math.inf
    make = RoundedGaussian if calculus == "gdp" else DiscreteGaussian
    while sigma <= _LARGEST_SIGMA:
        if price(make(sigma=sigma, sensitivity_squared=sensitivity_squared), calculus) <= budget:
            return sigma
        sigma = math.nextafter(sigma, math.inf)
    raise GuaranteeError(
        "the share of the budget is too small: its noise would exceed 2**40 rows; raise epsilon"
    )


def epsilon_for(budget: Fraction, calculus: Calculus) -> float:
    """Return the largest float epsilon, rounded down, whose exponential mechanism costs at most ``budget``.

    Raises:
        GuaranteeError: the budget is not positive, or too small for any float epsilon.
    """
    if budget <= 0:
        raise GuaranteeError("a selection needs a positive share of the budget")
    if calculus == "zcdp":
        epsilon = math.sqrt(8 * budget)
    else:
        import mpmath  # noqa: PLC0415  -- lazy: costs 0.2 s at import

        with mpmath.workdps(_DIGITS):
            half = mpmath.sqrt(mpmath.mpf(budget.numerator) / budget.denominator) / 2
            epsilon = float(2 * (mpmath.log(mpmath.ncdf(half)) - mpmath.log(mpmath.ncdf(-half))))
    while epsilon > 0:
        if price(ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=1), calculus) <= budget:
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
    fields = dict(content)
    kind = _ACTS.get(str(fields.pop("act", None)))
    if kind is None:
        raise GuaranteeError("an entry of the ledger names an act this version does not know")
    types = {
        "sigma": float,
        "epsilon": float,
        "sensitivity_squared": int,
        "sensitivity": int,
        "candidates": int,
    }
    if set(fields) != set(kind.__dataclass_fields__) or any(type(fields[f]) is not types[f] for f in fields):
        raise GuaranteeError(f"an entry of the ledger has the wrong fields for {kind.__name__}")
    return kind(**fields)


def _check_noise(sigma: float, sensitivity_squared: int) -> None:
    if not (math.isfinite(sigma) and 0 < sigma <= _LARGEST_SIGMA):
        raise GuaranteeError(f"sigma={sigma} is outside (0, 2**40]")
    if sensitivity_squared < 1:
        raise GuaranteeError(f"sensitivity_squared={sensitivity_squared} is below 1")


def _ceil(value: Fraction) -> Fraction:
    return Fraction(-(-value.numerator * _GRID // value.denominator), _GRID)


def _bounded_range_mu_squared(epsilon: float) -> Fraction:
    import mpmath  # noqa: PLC0415  -- lazy: costs 0.2 s at import

    with mpmath.workdps(_DIGITS):
        tail = 1 / (1 + mpmath.exp(mpmath.mpf(epsilon) / 2))  # Phi(-mu / 2)
        mu = -2 * mpmath.sqrt(2) * mpmath.erfinv(2 * tail - 1)
        scaled = mpmath.ceil(mu * mu * _GRID * (1 + mpmath.mpf(10) ** -30))
        return Fraction(int(scaled) + 1, _GRID)
