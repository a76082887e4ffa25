"""The guarantee, and the three currencies it is spent in.

Gaussian differential privacy (GDP): a ``mu``-GDP mechanism is as hard to see through as telling ``N(0, 1)``
from ``N(mu, 1)``; under (also fully adaptive) composition ``mu**2`` adds. Zero-concentrated differential
privacy (zCDP): ``rho`` adds; it prices noise that is not exactly Gaussian, such as the discrete Gaussian.
Without any delta, the currency is epsilon itself, which adds (pure differential privacy).

The first two are converted to (epsilon, delta) with 300 bits and then rounded to the safe side: a budget
down, a delta or an epsilon up. Proof: proofs/composition.md

References:
    Dong, Roth, Su 2022, "Gaussian Differential Privacy" (arXiv:1905.02383): conversion and composition.
    Smith, Thakurta 2022 (arXiv:2210.17520): fully adaptive GDP filter. Canonne, Kamath, Steinke 2020, "The
    Discrete Gaussian for Differential Privacy" (arXiv:2004.00010): conversion of zCDP.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Literal, TypeAlias, get_args

from dpsynth.errors import GuaranteeError
from dpsynth.privacy.precise import precise, real

__all__ = [
    "CALCULI",
    "CURRENCIES",
    "Adjacency",
    "Backend",
    "Calculus",
    "Guarantee",
    "calculus_of",
    "gdp_budget",
    "gdp_delta",
    "gdp_epsilon",
    "zcdp_budget",
    "zcdp_delta",
    "zcdp_epsilon",
]

Calculus: TypeAlias = Literal["gdp", "zcdp", "pure"]
Adjacency: TypeAlias = Literal["add-remove", "replace-one"]
Backend: TypeAlias = Literal["exact", "opendp"]
CALCULI: tuple[Calculus, ...] = get_args(Calculus)
CURRENCIES: dict[Calculus, str] = {"gdp": "mu^2", "zcdp": "rho", "pure": "epsilon"}

_BITS = 300
_MARGIN = 2.0**-140  # added to every delta: far above the error of 300 bits, far below any delta in use
_LARGEST_EPSILON = 1e4
_LARGEST_BUDGET = 1e12


@dataclass(frozen=True, slots=True, kw_only=True)
class Guarantee:
    """(epsilon, delta)-differential privacy for adding or removing one privacy unit, or for replacing one.

    Attributes:
        epsilon: In (0, 10000].
        delta: In [0, 1); should be well below one over the number of units. 0 is pure differential privacy.
        unit: ``"row"``, or the name of the column whose value identifies the unit.
        rows_per_unit: Most rows one unit has among those counted.
        adjacency: Which tables are neighbours: ``"add-remove"``, those that differ by one unit's rows, there
            or not; ``"replace-one"``, those where one unit's rows stand in the place of another's.

    Raises:
        GuaranteeError: a number is outside its range, or not a number.
    """

    epsilon: float
    delta: float
    unit: str = "row"
    rows_per_unit: int = 1
    adjacency: Adjacency = "add-remove"

    def __post_init__(self) -> None:
        _require_number("epsilon", self.epsilon)
        _require_number("delta", self.delta)
        if not 0.0 < self.epsilon <= _LARGEST_EPSILON:
            raise GuaranteeError(
                f"epsilon={self.epsilon} is outside (0, {_LARGEST_EPSILON:g}]; "
                "common choices lie between 0.1 and 10"
            )
        if not 0.0 <= self.delta < 1.0:
            raise GuaranteeError(
                f"delta={self.delta} is outside [0, 1); choose a number far below one over the number of "
                "people, such as 1e-9, or 0 for pure differential privacy"
            )
        if not isinstance(self.unit, str) or not self.unit:
            raise GuaranteeError("the unit is 'row' or the name of a column")
        if type(self.rows_per_unit) is not int or self.rows_per_unit < 1:
            raise GuaranteeError(f"rows_per_unit={self.rows_per_unit!r} is not a whole number of at least 1")
        if self.adjacency not in get_args(Adjacency):
            raise GuaranteeError(f"adjacency={self.adjacency!r} is neither 'add-remove' nor 'replace-one'")

    @property
    def sides(self) -> int:
        """In how many ways one unit's rows can differ at once: they come or go (1), or both (2)."""
        return 1 if self.adjacency == "add-remove" else 2

    def budget(self, calculus: Calculus, delta_aside: Fraction = Fraction(0)) -> float:
        """Return the most ``mu**2`` (gdp), ``rho`` (zcdp) or epsilon (pure) this affords, rounded down.

        Args:
            calculus: The currency.
            delta_aside: A part of delta to be spent otherwise; the budget is what the rest affords.

        Raises:
            GuaranteeError: the calculus is unknown, the guarantee affords nothing, or ``delta_aside`` is not
                a fraction from 0 to below delta.
        """
        if calculus not in CALCULI:
            raise GuaranteeError(f"calculus={calculus!r} is none of {', '.join(CALCULI)}")
        delta = self.delta_beside(delta_aside)
        if calculus == "pure":
            return float(self.epsilon)
        if self.delta == 0:
            raise GuaranteeError(f"delta=0 affords nothing in {calculus}: its noise needs a delta; use pure")
        return _afforded(calculus, self.epsilon, delta)

    def delta_beside(self, delta_aside: Fraction) -> float:
        """Return ``delta - delta_aside``, rounded down.

        Raises:
            GuaranteeError: ``delta_aside`` is not a fraction from 0 to below delta.
        """
        known = isinstance(delta_aside, Fraction) and delta_aside >= 0
        if not known or (delta_aside and delta_aside >= Fraction(self.delta)):
            raise GuaranteeError(
                f"what is set aside of delta={self.delta:g} is no Fraction from 0 to below delta"
            )
        rest = Fraction(self.delta) - delta_aside
        delta = float(rest)
        return delta if Fraction(delta) <= rest else math.nextafter(delta, 0.0)

    def __str__(self) -> str:
        who = (
            "one row" if self.unit == "row" else f"all rows of one {self.unit} (at most {self.rows_per_unit})"
        )
        how = f"adding or removing {who}"
        if self.adjacency == "replace-one":
            how = f"replacing {who} by {'another' if self.unit == 'row' else 'those of another'}"
        return f"({self.epsilon:g}, {self.delta:g})-differential privacy for {how}"


def calculus_of(backend: Backend, delta: float) -> Calculus:
    """Return the currency in which a source of noise is accounted: without a delta, epsilon itself."""
    if delta == 0:
        return "pure"
    return "gdp" if backend == "exact" else "zcdp"


@functools.lru_cache(maxsize=256)
def _afforded(calculus: Calculus, epsilon: float, delta: float) -> float:
    """Return the budget of either, remembered: a search with 300 bits takes longer than a small fit."""
    return (gdp_budget if calculus == "gdp" else zcdp_budget)(epsilon, delta)


def gdp_delta(mu_squared: float | Fraction, epsilon: float) -> float:
    """Return the delta of a mu-GDP mechanism at ``epsilon``, rounded up.

    ``delta = Phi(-epsilon/mu + mu/2) - exp(epsilon) * Phi(-epsilon/mu - mu/2)``.

    Args:
        mu_squared: ``mu**2``, at least 0; a fraction is taken exactly.
        epsilon: At least 0.

    Raises:
        GuaranteeError: an argument is negative or not finite.
    """
    _require_spent("mu_squared", mu_squared)
    _require_spent("epsilon", epsilon)
    return _gdp_delta(mu_squared, epsilon)


def gdp_budget(epsilon: float, delta: float) -> float:
    """Return the largest ``mu**2`` whose delta at ``epsilon`` is at most ``delta``, rounded down.

    The float returned satisfies ``gdp_delta(budget, epsilon) <= delta``.

    Raises:
        GuaranteeError: no positive float satisfies it.
    """
    budget = _largest(lambda b: _gdp_delta(b, epsilon) <= delta, _LARGEST_BUDGET)
    return _usable(budget, epsilon, delta)


def gdp_epsilon(mu_squared: float | Fraction, delta: float) -> float:
    """Return the least epsilon at which a mu-GDP mechanism has a delta of at most ``delta``, rounded up.

    Raises:
        GuaranteeError: ``mu_squared`` is negative or not finite, or no epsilon below 10**9 is enough.
    """
    _require_spent("mu_squared", mu_squared)
    return _least(lambda e: _gdp_delta(mu_squared, e) <= delta)


def zcdp_delta(rho: float | Fraction, epsilon: float) -> float:
    """Return a delta that every rho-zCDP mechanism has at ``epsilon``, rounded up.

    ``min over alpha > 1 of exp((alpha-1)(alpha*rho-epsilon)) / (alpha-1) * (1 - 1/alpha)**alpha``; any alpha
    gives a valid delta, so the search for the best one cannot err on the unsafe side.

    Raises:
        GuaranteeError: an argument is negative or not finite.
    """
    _require_spent("rho", rho)
    _require_spent("epsilon", epsilon)
    return _zcdp_delta(rho, epsilon)


def zcdp_budget(epsilon: float, delta: float) -> float:
    """Return the largest rho whose delta at ``epsilon`` is at most ``delta``, rounded down.

    The float returned satisfies ``zcdp_delta(budget, epsilon) <= delta``.

    Raises:
        GuaranteeError: no positive float satisfies it.
    """
    rho = _largest(lambda r: _zcdp_delta(r, epsilon) <= delta, _LARGEST_BUDGET)
    return _usable(rho, epsilon, delta)


def zcdp_epsilon(rho: float | Fraction, delta: float) -> float:
    """Return the least epsilon at which every rho-zCDP mechanism has at most ``delta``, rounded up.

    Raises:
        GuaranteeError: ``rho`` is negative or not finite, or no epsilon below 10**9 is enough.
    """
    _require_spent("rho", rho)
    return _least(lambda e: _zcdp_delta(rho, e) <= delta)


def _gdp_delta(mu_squared: float | Fraction, epsilon: float) -> float:
    if mu_squared > _LARGEST_BUDGET:
        return 1.0
    with precise(_BITS) as mp:  # delta grows with mu and falls with epsilon: clamping errs on the safe side
        mu = mp.sqrt(max(real(mp, mu_squared), mp.mpf(2) ** -400))
        eps = mp.mpf(min(epsilon, _LARGEST_BUDGET))
        exact = mp.ncdf(-eps / mu + mu / 2) - mp.exp(eps) * mp.ncdf(-eps / mu - mu / 2)
        return _up(exact + _MARGIN)


def _zcdp_delta(rho: float | Fraction, epsilon: float) -> float:
    if rho > _LARGEST_BUDGET:
        return 1.0
    slope, epsilon = float(rho), min(epsilon, _LARGEST_BUDGET)

    def rising(t: float) -> bool:
        """Whether log delta rises at ``t = log(alpha - 1)``: its derivative in alpha is increasing."""
        return (1 + 2 * math.exp(t)) * slope - epsilon - math.log1p(math.exp(-t)) > 0

    best = _bisect(rising, 60.0, -40.0)
    with precise(_BITS) as mp:
        a1 = mp.mpf(math.exp(best))
        exponent = a1 * ((1 + a1) * real(mp, rho) - mp.mpf(epsilon))
        return _up(mp.exp(exponent + a1 * mp.log(a1) - (1 + a1) * mp.log(1 + a1)) + _MARGIN)


def _require_number(name: str, value: object) -> None:
    try:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
    except OverflowError:
        raise GuaranteeError(f"{name} is an integer too large to be a float") from None
    if not good:
        raise GuaranteeError(f"{name}={value!r} is not a finite number")


def _require_spent(name: str, value: object) -> None:
    if not isinstance(value, Fraction):
        _require_number(name, value)
    if value < 0:  # type: ignore[operator]
        raise GuaranteeError(f"{name} is negative")


def _usable(budget: float, epsilon: float, delta: float) -> float:
    if budget <= 0:
        raise GuaranteeError(
            f"epsilon={epsilon:g}, delta={delta:g} affords no measurement at all; raise epsilon or delta"
        )
    return budget


def _up(value: Any) -> float:
    """Return a float that is certainly not below ``value``, and at most two ulps above it; at most 1."""
    return min(1.0, math.nextafter(float(value), math.inf))


def _largest(holds: Callable[[float], Any], top: float) -> float:
    """Return a float at which the downward-closed ``holds`` is true, within one ulp of the largest."""
    low, high = 0.0, 2.0**-60
    while high < top and holds(high):
        low, high = high, high * 2
    return _bisect(holds, low, high)


def _least(holds: Callable[[float], Any]) -> float:
    """Return a float at which the upward-closed ``holds`` is true, within one ulp of the least."""
    if holds(0.0):
        return 0.0
    low, high = 0.0, 2.0**-60
    while not holds(high):
        low, high = high, high * 2
        if high > 1e9:
            raise GuaranteeError("no epsilon below 1e9 belongs to this budget and delta")
    return _bisect(holds, high, low)


def _bisect(holds: Callable[[float], Any], inside: float, outside: float) -> float:
    while True:
        middle = (inside + outside) / 2
        if middle in (inside, outside):
            return inside
        if holds(middle):
            inside = middle
        else:
            outside = middle
