"""What a guarantee promises, worked out by other means than the library's own.

The audited code converts (epsilon, delta) into a budget and spends it. An audit that took its ceiling from
the same conversion would be blind to a fault there; so here it is worked out again, in floats with scipy, and
rounded up by a millionth.
"""

from __future__ import annotations

import math
from fractions import Fraction

from dpsynth.audit.ceilings import Claim
from dpsynth.privacy.curator import Backend
from dpsynth.privacy.guarantee import Guarantee, calculus_of

__all__ = ["mu_of", "promise_of"]

_UP = 1 + 1e-6


def promise_of(guarantee: Guarantee, noise: Backend) -> Claim:
    """Return what a guarantee promises in the calculus of a source of noise, rounded up.

    Args:
        guarantee: All that is promised.
        noise: Source of the noise.

    Privacy: free; a function of public numbers.
    """
    calculus = calculus_of(noise, guarantee.delta)
    amount = float(guarantee.epsilon)
    if calculus == "gdp":
        amount = _mu(guarantee.epsilon, guarantee.delta) ** 2
    elif calculus == "zcdp":
        amount = _rho(guarantee.epsilon, guarantee.delta)
    return Claim(amount=Fraction(amount * _UP), calculus=calculus, adjacency=guarantee.adjacency)


def mu_of(claim: Claim) -> float:
    """Return the mu of Gaussian noise that costs all of a claim: ``mu`` in gdp, ``sqrt(2 rho)`` in zcdp.

    Raises:
        ValueError: the claim is in epsilon alone, which Gaussian noise does not keep.
    """
    if claim.calculus == "pure":
        raise ValueError("no Gaussian noise keeps a promise in epsilon alone")
    return math.sqrt(float(claim.amount) * (1 if claim.calculus == "gdp" else 2))


def _mu(epsilon: float, delta: float) -> float:
    """Return the mu at which ``Phi(mu/2 - epsilon/mu) - e^epsilon Phi(-mu/2 - epsilon/mu) = delta``."""
    from scipy import optimize, special  # noqa: PLC0415  -- lazy: costs 0.3 s at import

    def excess(mu: float) -> float:
        first = float(special.log_ndtr(mu / 2 - epsilon / mu))
        second = epsilon + float(special.log_ndtr(-mu / 2 - epsilon / mu))
        return first + math.log(max(-math.expm1(min(second - first, 0.0)), 1e-300)) - math.log(delta)

    low, high = 1e-3, 1.0
    while excess(low) > 0:
        low /= 2
    while excess(high) < 0:
        high *= 2
    return float(optimize.brentq(excess, low, high, xtol=1e-12, rtol=1e-12))


def _rho(epsilon: float, delta: float) -> float:
    """Return ``max over a > 0 of (ln delta + a epsilon - a ln a + (1 + a) ln(1 + a)) / (a (1 + a))``."""
    from scipy import optimize  # noqa: PLC0415  -- lazy: costs 0.3 s at import

    def negative(t: float) -> float:
        a = math.exp(t)
        top = math.log(delta) + a * epsilon - a * t + (1 + a) * math.log1p(a)
        return -top / (a * (1 + a))

    grid = [x / 4 for x in range(-40, 80)]
    best = min(grid, key=negative)
    found = optimize.minimize_scalar(
        negative, bounds=(best - 0.25, best + 0.25), method="bounded", options={"xatol": 1e-9}
    )
    return -min(float(found.fun), negative(best))
