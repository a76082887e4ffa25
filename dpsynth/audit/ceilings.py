"""What a guarantee lets the best attacker reach, and whether an attack's rates are beyond it."""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass
from fractions import Fraction

from dpsynth.audit.bounds import rate_upper
from dpsynth.audit.finding import Verdict
from dpsynth.privacy.guarantee import Adjacency, Calculus
from dpsynth.privacy.tradeoff import detection
from dpsynth.release.statement import Statement

__all__ = ["Claim", "Rates", "perfect", "trials_needed", "verdict_of"]

_MOST = 2**22  # trials a side, above which none are named as needed


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What a release claims to have spent at most, in the currency of its ledger.

    Attributes:
        amount: ``mu**2`` (gdp), ``rho`` (zcdp) or epsilon (pure) that the guarantee affords.
        calculus: Which of these it is.
        adjacency: What the guarantee protects.
        beside: The part of delta that is spent beside it.
    """

    amount: Fraction
    calculus: Calculus
    adjacency: Adjacency = "add-remove"
    beside: Fraction = Fraction(0)

    @classmethod
    def of(cls, statement: Statement) -> Claim:
        """Return the claim of a release's statement: all that its guarantee affords, spent or not."""
        return cls(
            amount=Fraction(statement.guarantee.budget(statement.calculus, statement.delta_aside)),
            calculus=statement.calculus,
            adjacency=statement.guarantee.adjacency,
            beside=statement.delta_aside,
        )

    @property
    def swap(self) -> int:
        """Steps between neighbours from one unit in the table to another in its place: 2, or 1 if claimed."""
        return 1 if self.adjacency == "replace-one" else 2

    def ceiling(self, alarms: float, *, steps: int = 1) -> float:
        """Return the most that any test detects with false alarms in a share ``alarms``, rounded up.

        ``f(alarms)`` with ``f = 1 - T`` of :func:`dpsynth.privacy.tradeoff.detection`; for tables that are
        two steps apart ``f(f(alarms))``, since the table in between is a neighbour of both.

        Args:
            alarms: In [0, 1].
            steps: How many neighbours apart the two tables are.
        """
        found = alarms
        for _ in range(steps):
            found = detection(self.amount, self.calculus, found, beside=self.beside)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Rates:
    """How often a test said "in", by what was true. Every trial is a run of its own.

    Attributes:
        detections: Of the trials with the target in the table.
        positives: Number of these trials, at least 1.
        alarms: Of the trials without.
        negatives: Number of these trials, at least 1.
    """

    detections: int
    positives: int
    alarms: int
    negatives: int

    @property
    def detection(self) -> float:
        """Share detected."""
        return self.detections / self.positives

    @property
    def alarm(self) -> float:
        """Share of false alarms."""
        return self.alarms / self.negatives

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the lower limit of the detections and the upper limit of the alarms, both with 1 - alpha.

        Clopper-Pearson with ``alpha / 2`` each.
        """
        missed = rate_upper(count=self.positives - self.detections, trials=self.positives, alpha=alpha / 2)
        return 1 - missed, rate_upper(count=self.alarms, trials=self.negatives, alpha=alpha / 2)

    @property
    def reversed(self) -> Rates:
        """The same trials of the test that looks for the target's absence."""
        return Rates(
            detections=self.negatives - self.alarms,
            positives=self.negatives,
            alarms=self.positives - self.detections,
            negatives=self.positives,
        )

    def beyond(self, claim: Claim, alpha: float) -> bool:
        """Whether a guarantee is broken, with false alarms in at most a share ``alpha``.

        The lower limit of detections is above the ceiling at the upper limit of alarms; or so for the test
        that looks for absence, which the guarantee bounds by the same curve. ``alpha`` is halved between.
        """
        for rates in (self, self.reversed):
            found, alarmed = rates.bounds(alpha / 2)
            if found > claim.ceiling(alarmed):
                return True
        return False


def perfect(trials: int) -> Rates:
    """Return the rates of a test that is never wrong, in so many trials a side."""
    return Rates(detections=trials, positives=trials, alarms=0, negatives=trials)


def verdict_of(rates: Rates, claim: Claim, alpha: float) -> tuple[Verdict, int | None]:
    """Return what rates say of a claim, and how many trials a side a verdict needs.

    A check has power if an attack that is never wrong would have shown a violation in so many trials.

    Returns:
        The verdict; and, of an inconclusive one, the least number of trials a side that has power, or None
        if no number up to 2**22 has.
    """
    if rates.beyond(claim, alpha):
        return Verdict.violation, None
    if perfect(min(rates.positives, rates.negatives)).beyond(claim, alpha):
        return Verdict.consistent, None
    return Verdict.inconclusive, trials_needed(claim, alpha)


@functools.lru_cache(maxsize=64)
def trials_needed(claim: Claim, alpha: float) -> int | None:
    """Return the least number of trials a side at which a perfect attack would show a violation."""
    high = 1
    while not perfect(high).beyond(claim, alpha):
        high *= 2
        if high > _MOST:
            return None
    low = high // 2
    while high - low > 1:
        middle = math.floor((low + high) / 2)
        low, high = (low, middle) if perfect(middle).beyond(claim, alpha) else (middle, high)
    return high
