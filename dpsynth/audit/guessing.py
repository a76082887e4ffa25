"""One release, many people: who of two was in the table?

Members and non-members are paired at random. If the holdout is a random part of the population, then, given
who the two of a pair are, which of them was in the table is a fair coin, independent between pairs. So the
people of one release do for an audit what canaries do: each pair is a coin that the release may have leaked,
and a bound for one run holds, however much the guesses hang together. The coin swaps one person for another,
two steps where adding or removing one is what is promised. Of two with the same score one is guessed by lot,
so that the number of guesses is fixed; such pairs show nothing, and the limit of detection is without them.

That bound is what decides. Beside it stand the figures that are easier to read: how many members an attack
detects, and the ceiling of the guarantee at as many false alarms.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.audit.bounds import one_run_epsilon, one_run_mu, wilson
from dpsynth.audit.ceilings import Claim
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.tables import Integers
from dpsynth.privacy.guarantee import Guarantee

__all__ = ["Promise", "judge_guesses", "pairs_needed", "per_unit"]

Floats = npt.NDArray[np.float64]

SHARES = (0.05, 0.25, 1.0)  # of the pairs, the clearest, on which guesses are made; fixed beforehand
ALARMS = 0.1  # of false alarms at which detections are counted
_STRIKING = " That is far more; the bound that does not take people for independent cannot confirm it."
_MOST = 2**14


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """What a release promises for one pair's coin: its guarantee, or two steps of it if it is add-remove.

    Attributes:
        claim: Of the release.
        guarantee: Of the release.
    """

    claim: Claim
    guarantee: Guarantee

    @property
    def _in_mu(self) -> bool:
        return self.claim.calculus == "gdp" and not self.claim.beside

    @property
    def unit(self) -> str:
        """What :attr:`most` is in: ``"mu"`` or ``"epsilon"``."""
        return "mu" if self._in_mu else "epsilon"

    @property
    def most(self) -> float:
        """The greatest value that is promised for one pair."""
        steps = self.claim.swap
        return steps * (math.sqrt(self.claim.amount) if self._in_mu else float(self.guarantee.epsilon))

    @property
    def delta(self) -> float:
        """The delta of a pair, at :attr:`most` in epsilon: ``(1 + e^epsilon) delta`` for two steps."""
        more = 1 + math.exp(min(self.guarantee.epsilon, 700)) if self.claim.swap == 2 else 1.0
        return min(1.0, more * float(self.guarantee.delta))

    def shown(self, pairs: int, guesses: int, correct: int, alpha: float) -> float:
        """Return the lower bound on one pair's mu or epsilon that so many correct guesses show."""
        if self._in_mu:
            return one_run_mu(canaries=pairs, guesses=guesses, correct=correct, alpha=alpha)
        if self.delta >= 1:
            return 0.0
        return one_run_epsilon(
            canaries=pairs, guesses=guesses, correct=correct, delta=self.delta, alpha=alpha
        )


def per_unit(scores: Floats, units: Integers) -> Floats:
    """Return each unit's greatest score, by ascending unit."""
    order = np.argsort(units, kind="stable")
    starts = np.flatnonzero(np.diff(units[order], prepend=-1))
    return np.maximum.reduceat(scores[order], starts)


def judge_guesses(
    check: str,
    inside: Floats,
    outside: Floats,
    promise: Promise,
    *,
    alpha: float,
    rng: np.random.Generator,
    note: str,
    started: float,
) -> Finding:
    """Judge an attack on one release by its scores of members and of non-members.

    Args:
        check: Name of the finding.
        inside: A score for each person of the training rows; higher says "in".
        outside: The same for people of the holdout that the attack did not use otherwise.
        promise: What is claimed of one pair.
        alpha: Rate of false violations.
        rng: Of the pairing, and of who sets the threshold.
        note: What the attack can and cannot show.
        started: ``time.perf_counter()`` when it began.

    Returns:
        A confidential finding: the share of members detected, its Wilson interval, the share of non-members
        taken for members, and the guarantee's ceiling at that share.
    """
    pairs = min(inside.size, outside.size)
    gaps = rng.permutation(inside)[:pairs] - rng.permutation(outside)[:pairs]
    right = np.where(gaps == 0, rng.random(pairs) < 0.5, gaps > 0)  # guesses are of a fixed number
    clearest, told = right[np.argsort(-np.abs(gaps), kind="stable")], int((gaps != 0).sum())
    lower, limit, most = 0.0, 0.0, promise.most
    for share in SHARES:
        guesses = max(1, math.ceil(share * pairs))
        correct, able = int(clearest[:guesses].sum()), min(guesses, told)
        lower = max(lower, promise.shown(pairs, guesses, correct, alpha / len(SHARES)))
        limit = max(limit, promise.shown(pairs, guesses, able, alpha / len(SHARES)))
    verdict = Verdict.violation if lower > most else Verdict.consistent
    if lower <= most and limit <= most:
        verdict = Verdict.inconclusive
    shuffled = rng.permutation(outside)
    half = outside.size // 2
    threshold = np.quantile(shuffled[:half], 1 - ALARMS) if half else 0.0
    found = int((inside > threshold).sum())
    alarmed = float((shuffled[half:] > threshold).mean())
    ceiling = promise.claim.ceiling(alarmed, steps=promise.claim.swap)
    interval = wilson(count=found, trials=inside.size, alpha=alpha)
    striking = verdict is Verdict.consistent and interval[0] > ceiling
    details: dict[str, object] = {
        "note": note,
        "bound": {"unit": promise.unit, "lower": lower, "claimed_for_a_pair": most, "limit": limit},
        "right_of_untied_pairs": float((gaps > 0).sum() / max(1, (gaps != 0).sum())),
        "tied_pairs": float((gaps == 0).mean()),
        "ceiling_of_one_step": promise.claim.ceiling(alarmed),
    }
    needed = pairs_needed(promise, alpha) if verdict is Verdict.inconclusive else None
    if verdict is Verdict.inconclusive:
        details["pairs_needed"] = needed
    return Finding(
        check=check,
        level=Level.data,
        summary=_summary(found / inside.size, alarmed, ceiling, verdict, needed=needed, told=told)
        + (_STRIKING if striking else ""),
        verdict=Verdict.inconclusive if striking else verdict,
        value=found / inside.size,
        unit="detection rate",
        interval=interval,
        confidence=1 - alpha,
        trials=pairs,
        ceiling=ceiling,
        limit=None,
        baseline=alarmed,
        publishable=False,
        seconds=time.perf_counter() - started,
        details=details,
    )


@functools.lru_cache(maxsize=64)
def pairs_needed(promise: Promise, alpha: float) -> int | None:
    """Return the least number of pairs at which guesses that are all right show a violation; None if none do.

    Exact up to a sixteenth, upwards.
    """

    def enough(pairs: int) -> bool:
        return promise.shown(pairs, pairs, pairs, alpha / len(SHARES)) > promise.most

    return least_enough(enough, _MOST)


def least_enough(enough: Callable[[int], bool], most: int) -> int | None:
    """Return about the least number that is enough, at most a sixteenth too large; None above ``most``."""
    high = 1
    while not enough(high):
        high *= 2
        if high > most:
            return None
    low = high // 2
    while high - low > max(1, high // 16):
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _summary(
    found: float, alarmed: float, ceiling: float, verdict: Verdict, *, needed: int | None, told: int
) -> str:
    text = (
        f"It takes {found:.1%} of the members and {alarmed:.1%} of the others for members; "
        f"the guarantee allows {ceiling:.1%} at so many false alarms"
    )
    if verdict is Verdict.violation:
        return f"{text}. Guessing who of two was in the table is right more often than promised."
    if verdict is Verdict.inconclusive:
        many = "more pairs than can be had" if needed is None else f"at least {needed} pairs"
        apart = " that it tells apart" if needed is not None and needed > told else ""
        return f"{text}. For a verdict it takes {many} of a member and a non-member{apart}."
    return f"{text}."
