"""What a budget means against an attacker: bounds read off the trade-off function.

An attacker sees everything that was released and tests one hypothesis, "this person was in the table",
against another, "this person was not". With a false alarm in a share ``alpha`` of cases, a test detects at
most ``1 - T(alpha)``, where ``T`` is the trade-off function of what was spent:

- gdp, ``mu**2 = m``: ``1 - T(alpha) = Phi(Phi^-1(alpha) + sqrt(m))``
- zcdp, ``rho``: the largest ``p`` whose coin differs from a coin of ``alpha`` by at most ``a * rho`` in Renyi
  divergence of order ``a``, either way, for every ``a > 1``
- pure, ``epsilon``: ``min(e^epsilon alpha, 1 - e^-epsilon (1 - alpha))``

A ``delta`` spent beside a budget (for thresholds) raises false alarms and detections by at most as much.
Every bound is computed with 300 bits and rounded up: an attacker does no better. Proof: proofs/tradeoff.md

References:
    Dong, Roth, Su 2022 (arXiv:1905.02383), trade-off functions. Kairouz, Oh, Viswanath 2015
    (arXiv:1311.0776), the region of epsilon and delta. Kulynych et al. 2025 (arXiv:2507.06969), one curve for
    membership, attribute inference and reconstruction.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from typing import Any

from dpsynth.errors import GuaranteeError
from dpsynth.privacy.guarantee import Calculus, gdp_delta, gdp_epsilon, zcdp_delta, zcdp_epsilon
from dpsynth.privacy.precise import precise, real, upper_quantile

__all__ = ["advantage", "delta_at", "detection", "epsilon_at"]

_BITS = 300
_MARGIN = 2.0**-100  # added to every bound: far above the error of 300 bits, far below any that is read
_LARGEST = 1e12
_LARGEST_EPSILON = 1e9


def detection(
    amount: float | Fraction, calculus: Calculus, alpha: float, *, beside: Fraction | float = 0.0
) -> float:
    """Return the most that any test detects with false alarms in a share ``alpha``, rounded up.

    Args:
        amount: What was spent: ``mu**2`` (gdp), ``rho`` (zcdp) or ``epsilon`` (pure); at least 0.
        calculus: Which of these it is.
        alpha: The rate of false alarms, in [0, 1]; or the chance of success without the person's data.
        beside: A delta spent beside the budget, in [0, 1).

    Returns:
        The bound on the rate of detections; or on the chance of success with the person's data.

    Raises:
        GuaranteeError: an argument is out of range, or the calculus is unknown.

    Privacy: free; a function of public numbers.
    """
    _require(amount, calculus, beside)
    if not 0.0 <= alpha <= 1.0:
        raise GuaranteeError(f"alpha={alpha!r} is not a rate between 0 and 1")
    with precise(_BITS) as mp:
        extra = real(mp, beside)
        rate = real(mp, alpha) + extra
        if rate >= 1 or amount > _LARGEST:
            return 1.0
        if rate <= 0:
            return 0.0
        return _up(mp, _CURVES[calculus](mp, real(mp, amount), rate) + extra)


def advantage(amount: float | Fraction, calculus: Calculus, *, beside: Fraction | float = 0.0) -> float:
    """Return the most by which any test's detections exceed its false alarms, rounded up.

    ``max over alpha of (1 - T(alpha) - alpha)``, the total variation distance: ``2 Phi(mu/2) - 1`` in gdp,
    ``(e^epsilon - 1) / (e^epsilon + 1)`` in pure.

    Args:
        amount: As :func:`detection`.
        calculus: As :func:`detection`.
        beside: As :func:`detection`.

    Raises:
        GuaranteeError: as :func:`detection`.

    Privacy: free.
    """
    _require(amount, calculus, beside)
    if amount > _LARGEST:
        return 1.0
    with precise(_BITS) as mp:
        spent, extra = real(mp, amount), real(mp, beside)
        if calculus == "gdp":
            found = mp.erf(mp.sqrt(spent / 8))
        elif calculus == "pure":
            found = mp.tanh(spent / 2)
        else:
            found = 2 * _renyi(mp, spent, lambda p: (p, 1 - p), 0.5) - 1
        return _up(mp, found + extra)


def delta_at(
    amount: float | Fraction, calculus: Calculus, epsilon: float, *, beside: Fraction | float = 0.0
) -> float:
    """Return the delta of what was spent at ``epsilon``, rounded up.

    Args:
        amount: As :func:`detection`.
        calculus: As :func:`detection`; in pure the delta is ``(e^amount - e^epsilon) / (e^amount + 1)``.
        epsilon: At least 0.
        beside: As :func:`detection`; added.

    Raises:
        GuaranteeError: as :func:`detection`.

    Privacy: free.
    """
    _require(amount, calculus, beside)
    if calculus != "pure":
        found = (gdp_delta if calculus == "gdp" else zcdp_delta)(amount, epsilon)
        with precise(_BITS) as mp:
            return _up(mp, real(mp, found) + real(mp, beside)) if beside else found
    with precise(_BITS) as mp:
        spent, at = real(mp, amount), real(mp, epsilon)
        if at >= spent:
            return _up(mp, real(mp, beside)) if beside else 0.0
        return _up(mp, (1 - mp.exp(at - spent)) / (1 + mp.exp(-spent)) + real(mp, beside))


def epsilon_at(
    amount: float | Fraction, calculus: Calculus, delta: float, *, beside: Fraction | float = 0.0
) -> float:
    """Return the least epsilon at which what was spent has at most ``delta``, rounded up; else infinity.

    Args:
        amount: As :func:`detection`.
        calculus: As :func:`detection`.
        delta: At least 0, below 1.
        beside: As :func:`detection`; taken off ``delta`` first.

    Raises:
        GuaranteeError: as :func:`detection`.

    Privacy: free.
    """
    _require(amount, calculus, beside)
    left = Fraction(delta) - Fraction(beside)
    allowed = float(left)
    allowed = allowed if Fraction(allowed) <= left else math.nextafter(allowed, -math.inf)
    if calculus == "pure" and allowed >= 0:
        with precise(_BITS) as mp:
            spent, free = real(mp, amount), real(mp, allowed)
            scale = 1 - free * (1 + mp.exp(-spent))  # (e^amount - e^epsilon) / (e^amount + 1) = free
            found = spent + mp.log(scale) if scale > mp.exp(-spent) else mp.zero
            return min(math.nextafter(float(found), math.inf), _above(float(spent), amount)) if found else 0.0
    if allowed <= 0 or amount > _LARGEST:
        return math.inf
    try:
        return (gdp_epsilon if calculus == "gdp" else zcdp_epsilon)(amount, allowed)
    except GuaranteeError:
        return math.inf


def _gaussian(mp: Any, spent: Any, rate: Any) -> Any:
    low = rate <= mp.mpf(0.5)
    quantile = upper_quantile(mp, rate if low else 1 - rate)
    return mp.ncdf(mp.sqrt(spent) + (-quantile if low else quantile))


def _pure(mp: Any, spent: Any, rate: Any) -> Any:
    return min(mp.exp(spent) * rate, 1 - mp.exp(-spent) * (1 - rate))


def _concentrated(mp: Any, spent: Any, rate: Any) -> Any:
    ways: tuple[Callable[[Any], tuple[Any, Any]], ...] = (lambda p: (p, rate), lambda p: (rate, p))
    return min(_renyi(mp, spent, way, float(rate)) for way in ways)


_CURVES: dict[Calculus, Callable[[Any, Any, Any], Any]] = {
    "gdp": _gaussian,
    "zcdp": _concentrated,
    "pure": _pure,
}


def _renyi(mp: Any, rho: Any, coins: Callable[[Any], tuple[Any, Any]], low: float) -> Any:
    """Return a ``p`` at or above the largest whose two coins are within ``a * rho`` at some order ``a``.

    Each order gives a valid bound, so the search for a good one, in floats, cannot err on the unsafe side;
    the bound of the order found is then settled with many digits.

    Args:
        mp: The context.
        rho: What was spent.
        coins: From ``p`` to two probabilities of heads that drift apart as ``p`` grows from ``low``.
        low: Where the two are alike.
    """

    def reach(t: float) -> float:
        order = 1 + math.exp(t)
        reached: float = _bisect(
            lambda p: not _within(math, order, float(rho), *map(float, coins(p))), 1.0, low, 45
        )
        return reached

    best = min((t / 2 for t in range(-32, 41)), key=reach)
    step = 0.5
    while step > 1e-5:
        best = min((best - step, best, best + step), key=reach)
        step /= 2
    order = 1 + mp.exp(mp.mpf(best))
    return _bisect(lambda p: not _within(mp, order, rho, *coins(p)), mp.one, mp.mpf(low), 120)


def _within(lib: Any, order: Any, rho: Any, p: Any, q: Any) -> bool:
    """Whether ``(p^a q^(1-a) + (1-p)^a (1-q)^(1-a)) <= exp(a (a-1) rho)``, a hair generously."""
    most = order * (order - 1) * rho + _MARGIN
    terms = []
    for x, y in ((p, q), (1 - p, 1 - q)):
        if x > 0 and y <= 0:
            return False
        if x > 0:
            terms.append(order * lib.log(x) + (1 - order) * lib.log(y))
    top = max(terms)
    return bool(top + lib.log(sum(lib.exp(term - top) for term in terms)) <= most)


def _bisect(holds: Callable[[Any], bool], inside: Any, outside: Any, steps: int) -> Any:
    """Return a place at which ``holds`` was seen true (or the start), near the edge of where it is."""
    for _ in range(steps):
        middle = (inside + outside) / 2
        if holds(middle):
            inside = middle
        else:
            outside = middle
    return inside


def _require(amount: float | Fraction, calculus: str, beside: float | Fraction) -> None:
    if calculus not in _CURVES:
        raise GuaranteeError(f"calculus={calculus!r} is none of {', '.join(_CURVES)}")
    if not 0 <= amount < math.inf:
        raise GuaranteeError("what was spent is a finite number of at least 0")
    if not 0 <= beside < 1:
        raise GuaranteeError(f"beside={float(beside)!r} is not a delta in [0, 1)")


def _up(mp: Any, value: Any) -> float:
    """Return a float that is certainly not below ``value``; at most 1."""
    bound: float = math.nextafter(float(value + mp.mpf(_MARGIN)), math.inf)
    return min(1.0, bound)


def _above(value: float, exact: float | Fraction) -> float:
    return value if Fraction(value) >= Fraction(exact) else math.nextafter(value, math.inf)
