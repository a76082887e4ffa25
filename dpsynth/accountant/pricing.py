"""What a release costs in a book: between the currencies, and from an exact total back to an epsilon.

A book adds up in one currency a data set. ``gdp``: ``mu**2``; ``zcdp``: ``rho``; ``pure``: epsilon, for a
data set with delta = 0. Every step rounds up a cost and rounds down a budget. Proof: proofs/book.md
"""

from __future__ import annotations

import functools
import math
from fractions import Fraction

from dpsynth.errors import BudgetRefusedError, GuaranteeError
from dpsynth.privacy.acts import Act, ExponentialMechanism, price
from dpsynth.privacy.guarantee import (
    Calculus,
    Guarantee,
    gdp_delta,
    gdp_epsilon,
    zcdp_delta,
    zcdp_epsilon,
)

__all__ = [
    "cost_of_act",
    "cost_of_release",
    "delta_beside",
    "epsilon_within",
    "keeps",
    "least_epsilon",
]

_LARGEST = Fraction(10**12)  # far beyond what any guarantee affords
_WAYS: dict[Calculus, tuple[Calculus, ...]] = {
    "gdp": ("gdp", "pure"),
    "zcdp": ("zcdp", "gdp", "pure"),
    "pure": ("pure",),
}
_LARGEST_EPSILON = 1e4  # of a guarantee
_LARGEST_PURE = 5_000
_NO_PRICE: dict[tuple[Calculus, Calculus], str] = {
    ("zcdp", "gdp"): (
        "the discrete Gaussian has no exact price in Gaussian differential privacy, in which this data set "
        "adds up; fit with the exact noise, or give the table a data set whose calculus is zcdp"
    ),
    ("gdp", "pure"): "Gaussian noise needs a delta, and this data set has none; fit with delta=0",
    ("zcdp", "pure"): "Gaussian noise needs a delta, and this data set has none; fit with delta=0",
}


def cost_of_release(budget: Fraction, calculus: Calculus, currency: Calculus) -> Fraction:
    """Return what a release that may spend ``budget`` in its own calculus costs in a book's currency at most.

    A ``mu``-GDP release is ``mu**2 / 2``-zCDP. An epsilon-DP release is ``mu``-GDP with
    ``Phi(-mu/2) = 1 / (1 + exp(epsilon))``, and ``min(epsilon**2, mu**2) / 2``-zCDP.

    Raises:
        BudgetRefusedError: what is stated in the one calculus says nothing in the other; says why.
        GuaranteeError: a pure epsilon is too large to be converted.

    Privacy: free; rounded up. Proof: proofs/book.md
    """
    if calculus == currency:
        return budget
    if (calculus, currency) == ("gdp", "zcdp"):
        return budget / 2
    if (calculus, currency) in _NO_PRICE:
        raise BudgetRefusedError(_NO_PRICE[calculus, currency])
    mu_squared = _pure_mu_squared(budget)
    return mu_squared if currency == "gdp" else min(budget**2, mu_squared) / 2


def cost_of_act(act: Act, currency: Calculus) -> Fraction:
    """Return what an act costs in a book's currency: the least of its prices there, each of which is valid.

    Raises:
        GuaranteeError: it has no price in this currency, by itself or by way of another.

    Privacy: free; rounded up. Proof: proofs/book.md
    """
    found = []
    for calculus in _WAYS[currency]:
        try:
            found.append(cost_of_release(price(act, calculus), calculus, currency))
        except GuaranteeError:
            continue  # no price this way
    if not found:
        raise GuaranteeError(f"{type(act).__name__} has no price in {currency}; the act is refused")
    return min(found)


def least_epsilon(spent: Fraction, currency: Calculus, delta: float) -> float:
    """Return the least epsilon that covers what was spent, at ``delta``, rounded up.

    Infinite where no epsilon below ``10**9`` does.
    """
    if spent == 0:
        return 0.0
    if spent > _LARGEST:
        return math.inf
    if currency == "pure":
        return _up(spent)
    try:
        return _epsilon(spent, currency, delta)
    except GuaranteeError:
        return math.inf


def epsilon_within(left: Fraction, currency: Calculus, delta: float) -> float:
    """Return an epsilon that ``left`` affords at ``delta``, rounded down to four digits; 0 if none does."""
    epsilon = _four_digits(min(least_epsilon(left, currency, delta), _LARGEST_EPSILON))
    for _ in range(2):
        if epsilon <= 0:
            break
        try:
            if Fraction(Guarantee(epsilon=epsilon, delta=delta).budget(currency)) <= left:
                return epsilon
        except GuaranteeError:  # so little affords nothing
            break
        epsilon = _four_digits(epsilon * 0.9998)
    return 0.0


def keeps(budget: Fraction, currency: Calculus, epsilon: float, delta: float) -> bool:
    """Return whether spending ``budget`` is within (epsilon, delta)-differential privacy.

    Args:
        budget: What may be spent, in ``currency``; at least 0.
        currency: ``"gdp"``, ``"zcdp"`` or ``"pure"``.
        epsilon: Of the guarantee.
        delta: Of the guarantee, without what was set aside of it.
    """
    if budget > _LARGEST:
        return False
    if currency == "pure":
        return budget <= Fraction(epsilon)
    return _delta(budget, currency, epsilon) <= delta


def delta_beside(delta: float, aside: Fraction) -> float:
    """Return ``delta - aside``, rounded down: the delta at which a total is turned into an epsilon.

    Raises:
        GuaranteeError: not everything of it may be set aside, and of 0 nothing.
    """
    rest = Fraction(delta) - aside
    if aside < 0 or rest < 0 or (rest == 0) != (delta == 0):
        raise GuaranteeError(f"what is set aside of delta={delta:g} is from 0 to below it")
    nearest = float(rest)
    return nearest if Fraction(nearest) <= rest else math.nextafter(nearest, 0.0)


@functools.lru_cache(maxsize=4096)
def _delta(budget: Fraction, currency: Calculus, epsilon: float) -> float:
    return (gdp_delta if currency == "gdp" else zcdp_delta)(budget, epsilon)


@functools.lru_cache(maxsize=4096)
def _epsilon(spent: Fraction, currency: Calculus, delta: float) -> float:
    return (gdp_epsilon if currency == "gdp" else zcdp_epsilon)(spent, delta)


def _pure_mu_squared(epsilon: Fraction) -> Fraction:
    """Return ``mu**2`` with ``Phi(-mu/2) = 1 / (1 + exp(epsilon))``, rounded up.

    It is the price of the exponential mechanism whose privacy loss has a range of ``2 * epsilon``: both are
    bounded by the same curve.
    """
    if epsilon > _LARGEST_PURE:
        raise GuaranteeError(f"a pure epsilon above {_LARGEST_PURE} has no price in another currency")
    act = ExponentialMechanism(epsilon=_up(2 * epsilon), sensitivity=1, candidates=1)
    return price(act, "gdp")


def _up(value: Fraction) -> float:
    nearest = float(value)
    return nearest if Fraction(nearest) >= value else math.nextafter(nearest, math.inf)


def _four_digits(value: float) -> float:
    """Return a number rounded down to four significant digits."""
    if not 0 < value < math.inf:
        return 0.0
    unit = Fraction(10) ** (math.floor(math.log10(value)) - 3)
    return float(Fraction(value) // unit * unit)
