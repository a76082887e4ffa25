"""Whether choices by lot follow their law: how often each candidate is chosen, on a table of the audit's own.

A replay computes from the scores what a choice may cost, and takes the lot itself on trust. Here the door is
asked one question many times, and each candidate's frequency is held against
``exp(epsilon q_i / (2 D)) / sum_j exp(epsilon q_j / (2 D))``, with the epsilon that was booked, and with the
scores ``q`` and their sensitivity ``D`` computed outside.
"""

from __future__ import annotations

import time

import numpy as np
import numpy.typing as npt
from scipy.stats import binom

from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.domain import Axis, Domain
from dpsynth.privacy.acts import ExponentialMechanism, price
from dpsynth.privacy.curator import Curator, Marginal
from dpsynth.privacy.guarantee import Adjacency, Backend, Guarantee, calculus_of
from dpsynth.privacy.sealed import CodedTable

__all__ = ["choice_findings"]

Floats = npt.NDArray[np.float64]

_ROWS = 18
_MOVED = (9, 6, 3, 0)  # rows of each candidate that are not where its reference has them
_WEIGHTS = (1, 2, 3, 4)  # of its score, which is then 18, 24, 18, 0
_NATS = 1.3  # of the booked law, from the next best to the best
_POWER = 0.99
_SAID = {
    Verdict.violation: "Choices by lot do not follow the law that is booked",
    Verdict.consistent: "Choices by lot follow the law that is booked",
    Verdict.inconclusive: "So few choices cannot tell the law that is booked from one of twice its epsilon",
}


def choice_findings(
    *,
    draws: int = 500,
    alpha: float = 1e-3,
    delta: float = 1e-5,
    noise: Backend = "exact",
    adjacency: Adjacency = "add-remove",
) -> tuple[Finding, ...]:
    """Ask the door for one choice many times, and test the frequency of every candidate.

    Args:
        draws: Number of choices.
        alpha: False-alarm rate of the whole test, at most.
        delta: Of the guarantee; 0 for pure epsilon.
        noise: Source of noise, which decides the calculus.
        adjacency: Which tables are neighbours; it decides the sensitivity.

    Returns:
        One finding. A violation where a candidate's count has a binomial tail below its share of ``alpha``;
        inconclusive where so few draws would not show a law of twice the epsilon in 99 cases of 100.

    Raises:
        ValueError: ``draws`` is below 1, or ``alpha`` outside (0, 1).

    Privacy: free; the audit's own table.

    Reference: McSherry, Talwar 2007, "Mechanism Design via Differential Privacy" (FOCS).
    """
    if draws < 1 or not 0 < alpha < 1:
        raise ValueError(f"draws={draws!r} is below 1, or alpha={alpha!r} is not between 0 and 1")
    start = time.perf_counter()
    guarantee = Guarantee(epsilon=10_000.0, delta=delta, adjacency=adjacency)
    scores = 2.0 * np.array(_MOVED) * np.array(_WEIGHTS)
    sensitivity = guarantee.sides * max(_WEIGHTS)
    epsilon = _NATS * 2 * sensitivity / (scores.max() - np.sort(scores)[-2])
    counts, booked = _counts(draws, epsilon, guarantee, noise)
    law = _softmax(booked * scores / (2 * sensitivity))
    each = alpha / (2 * law.size)  # of one tail of one candidate
    tails = np.minimum(binom.cdf(counts, draws, law), binom.sf(counts - 1, draws, law))
    verdict = Verdict.consistent
    if _power(draws, law, _softmax(booked * scores / sensitivity), each) < _POWER:
        verdict = Verdict.inconclusive
    if tails.min() < each:
        verdict = Verdict.violation
    best = int(scores.argmax())
    finding = Finding(
        check="noise.choices",
        level=Level.unit,
        summary=f"{_SAID[verdict]}: of {draws}, {counts[best] / draws:.1%} were the best candidate, by law "
        f"{law[best]:.1%}.",
        verdict=verdict,
        value=float(min(1.0, 2 * law.size * tails.min())),
        unit="p-value",
        confidence=1 - alpha,
        trials=draws,
        seconds=time.perf_counter() - start,
        details={"epsilon": booked, "law": law.tolist(), "counts": counts.tolist()},
    )
    return (finding,)


def _counts(
    draws: int, epsilon: float, guarantee: Guarantee, noise: Backend
) -> tuple[npt.NDArray[np.int64], float]:
    """Return how often each candidate was chosen, and the epsilon that was booked for a choice."""
    act = ExponentialMechanism(epsilon=epsilon, sensitivity=1, candidates=len(_MOVED))
    budget = price(act, calculus_of(noise, guarantee.delta))
    domain = Domain(tuple(Axis(f"c{i}", 2) for i in range(len(_MOVED))))
    codes = [(np.arange(_ROWS) < moved).astype(np.uint8) for moved in _MOVED]
    queries = [Marginal((i,), (np.arange(2),)) for i in range(len(_MOVED))]
    all_zero = np.array([_ROWS, 0], dtype=np.int64)
    counts = np.zeros(len(_MOVED), dtype=np.int64)
    curator = Curator(CodedTable(domain, codes), guarantee, backend=noise)
    booked = set()
    for _ in range(draws):
        if curator.left < budget:
            curator = Curator(CodedTable(domain, codes), guarantee, backend=noise)
        counts[
            curator.select(queries, lambda _: all_zero, budget=budget, purpose="audit", weights=_WEIGHTS)
        ] += 1
        done = curator.entries[-1].act
        booked.add(done.epsilon if isinstance(done, ExponentialMechanism) else 0.0)
    return counts, max(booked)


def _power(draws: int, law: Floats, other: Floats, each: float) -> float:
    """Return the least chance with which a candidate's count shows the other law, over the best candidate."""
    best = int(law.argmax())
    bound = binom.isf(each, draws, law[best]) + 1  # least count whose upper tail is below its share
    return float(binom.sf(bound - 1, draws, other[best]))


def _softmax(nats: Floats) -> Floats:
    weights = np.exp(nats - nats.max())
    share: Floats = weights / weights.sum()
    return share
