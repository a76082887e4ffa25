"""Ceilings on what an attacker can do to one person, computed from what was spent; each rounded up.

They hold whatever else the attacker knows, all other rows included, and for attacks that nobody has thought
of yet.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from dpsynth.privacy.guarantee import Calculus, Guarantee
from dpsynth.privacy.tradeoff import advantage, delta_at, detection, epsilon_at

__all__ = ["ALARMS", "BASELINES", "PRIORS", "Bounds", "deltas_about", "epsilons_about"]

ALARMS = (0.001, 0.01)
PRIORS = (0.01, 0.1)
BASELINES = (0.01, 0.1, 0.5)
_DELTAS = (1e-3, 1e-5, 1e-6, 1e-9, 1e-12)
_LARGEST = 10**300
_SHARES = (0.25, 0.5, 0.75, 1.0)  # of the promised epsilon, at which the table gives deltas


@dataclass(frozen=True, slots=True, kw_only=True)
class Bounds:
    """What an amount spent lets the best attacker do to one privacy unit. All are upper bounds.

    Attributes:
        calculus: ``"gdp"``, ``"zcdp"`` or ``"pure"``.
        amount: ``mu**2``, ``rho`` or ``epsilon``, exact.
        beside: A delta spent beside it.
        advantage: Most by which a membership test's detections exceed its false alarms.
        detections: For each rate of false alarms in :data:`ALARMS`, the most that a membership test detects.
        beliefs: For each prior in :data:`PRIORS`: how often an accusation is right at most, by an attacker
            who takes the person to be in the table with that probability beforehand and whose rate of false
            alarms is at least 1 %.
        successes: For each baseline in :data:`BASELINES`: the chance of guessing a secret of a person in the
            table, or of rebuilding their row, if it could be guessed with that chance without their data.
    """

    calculus: Calculus
    amount: Fraction
    beside: Fraction
    advantage: float
    detections: tuple[float, ...]
    beliefs: tuple[float, ...]
    successes: tuple[float, ...]

    @classmethod
    def of(cls, amount: Fraction | float, calculus: Calculus, beside: Fraction | float = 0) -> Bounds:
        """Compute the bounds of an amount.

        Raises:
            GuaranteeError: as :func:`dpsynth.privacy.tradeoff.detection`.
        """
        return _bounds(Fraction(amount), calculus, Fraction(beside))

    @property
    def mu(self) -> float | None:
        """The mu of Gaussian differential privacy, rounded up; None in another calculus."""
        return _least_float(self.amount, math.sqrt, lambda x: x * x) if self.calculus == "gdp" else None

    @property
    def rho(self) -> float:
        """The rho of zCDP that this implies, rounded up: ``mu**2 / 2``, or ``epsilon**2 / 2`` in pure."""
        rho = {"gdp": self.amount / 2, "zcdp": self.amount, "pure": self.amount**2 / 2}[self.calculus]
        return _least_float(rho, float, lambda x: x)

    def epsilon(self, delta: float) -> float:
        """Return the least epsilon at ``delta``, rounded up; infinite where there is none."""
        return _epsilon_at(self.amount, self.calculus, delta, self.beside)

    def delta(self, epsilon: float) -> float:
        """Return the delta at ``epsilon``, rounded up."""
        return _delta_at(self.amount, self.calculus, epsilon, self.beside)

    def to_dict(self, guarantee: Guarantee) -> dict[str, Any]:
        """Return the bounds as plain JSON values, with the (epsilon, delta) curve about a guarantee."""
        equivalent = {} if self.mu is None else {"mu": _finite(self.mu)}
        return {
            **equivalent,
            "rho": _finite(self.rho),
            **({"delta_beside": float(self.beside)} if self.beside else {}),
            "membership": {
                "advantage": self.advantage,
                "detection": [
                    {"false_alarms": a, "detected": d} for a, d in zip(ALARMS, self.detections, strict=True)
                ],
                "belief": [
                    {"prior": p, "false_alarms": ALARMS[-1], "right": b}
                    for p, b in zip(PRIORS, self.beliefs, strict=True)
                ],
            },
            "guessing": [
                {"baseline": b, "success": s} for b, s in zip(BASELINES, self.successes, strict=True)
            ],
            "curve": {
                "epsilon_at_delta": [
                    {"delta": d, "epsilon": _finite(self.epsilon(d))} for d in deltas_about(guarantee)
                ],
                "delta_at_epsilon": [
                    {"epsilon": e, "delta": self.delta(e)} for e in epsilons_about(guarantee)
                ],
            },
        }


@functools.lru_cache(maxsize=256)
def _bounds(amount: Fraction, calculus: Calculus, beside: Fraction) -> Bounds:
    detections = tuple(detection(amount, calculus, alarms, beside=beside) for alarms in ALARMS)
    return Bounds(
        calculus=calculus,
        amount=amount,
        beside=beside,
        advantage=advantage(amount, calculus, beside=beside),
        detections=detections,
        beliefs=tuple(_belief(prior, detections[-1], ALARMS[-1]) for prior in PRIORS),
        successes=tuple(detection(amount, calculus, b, beside=beside) for b in BASELINES),
    )


@functools.lru_cache(maxsize=4096)
def _epsilon_at(amount: Fraction, calculus: Calculus, delta: float, beside: Fraction) -> float:
    return epsilon_at(amount, calculus, delta, beside=beside)


@functools.lru_cache(maxsize=4096)
def _delta_at(amount: Fraction, calculus: Calculus, epsilon: float, beside: Fraction) -> float:
    return delta_at(amount, calculus, epsilon, beside=beside)


def _belief(prior: float, detected: float, alarms: float) -> float:
    """Return ``prior * detected / (prior * detected + (1 - prior) * alarms)``, rounded up."""
    right = Fraction(prior) * Fraction(detected)
    share = right / (right + (1 - Fraction(prior)) * Fraction(alarms))
    return _least_float(share, float, lambda x: x)


def _least_float(
    exact: Fraction, guess: Callable[[Fraction], float], back: Callable[[Fraction], Fraction]
) -> float:
    """Return a float ``x`` near ``guess(exact)`` with ``back(x) >= exact``; infinite beyond 10**300.

    What is above 0 and below ``10**-300``, where floats are coarse, counts as that.
    """
    if exact > _LARGEST:
        return math.inf
    if exact > 0:
        exact = max(exact, Fraction(1, _LARGEST))
    value = guess(exact)
    while back(Fraction(value)) < exact:
        value = math.nextafter(value, math.inf)
    return value


def _finite(value: float) -> float | None:
    return value if math.isfinite(value) else None


def deltas_about(guarantee: Guarantee) -> list[float]:
    """Return usual deltas and the guarantee's own, largest first: where a table gives epsilons."""
    return sorted({*_DELTAS, float(guarantee.delta)} - {0.0}, reverse=True)


def epsilons_about(guarantee: Guarantee) -> list[float]:
    """Return epsilons from 0 to the guarantee's: where a table gives deltas."""
    return [0.0, *(share * float(guarantee.epsilon) for share in _SHARES)]
