"""Whether the noise that leaves the doors has the law that is booked, and is independent of all else.

Each residual, answer minus truth, is turned into a number that is exactly standard normal if the residual
has the booked law (:meth:`~dpsynth.audit.draws.Law.normal_scores`). So every test has a p-value that is exact
or an upper bound, at any scale and for any mixture of scales, and all together raise a false alarm in a share
``alpha`` of audits at most (Bonferroni). Every finding says what it would have seen in 99 of 100 cases.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence

import numpy as np

from dpsynth.audit import goodness, independence
from dpsynth.audit.draws import CELLS, Draws, draws_of
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.goodness import Floats, Tested, joined
from dpsynth.privacy.guarantee import calculus_of
from dpsynth.synthesizer import Synthesizer

__all__ = ["findings_of_draws", "noise_findings"]


def noise_findings(
    synthesizer: Synthesizer, *, draws: int = 20_000, fits: int = 4, alpha: float = 1e-3, seed: int = 0
) -> tuple[Finding, ...]:
    """Draw from every door, on made-up rows, and test the noise.

    Args:
        synthesizer: What is audited: its guarantee and source of noise go to fresh doors, and its mechanism
            measures made-up tables on its schema.
        draws: Number of draws from measurements, at least; 20,000 take seconds (OpenDP's noise: about ten).
        fits: Number of the mechanism's fits, without the model.
        alpha: False-alarm rate of all findings together.
        seed: Of the made-up rows and of the tests' own chance, never of noise.

    Returns:
        One finding a test: ``noise.scale.DOOR`` and ``noise.law.DOOR`` for each door, ``noise.centre``,
        ``noise.tails``, ``noise.lattice``, ``noise.empty_cells``, ``noise.totals``, ``noise.across_cells``,
        ``noise.across_tables``, ``noise.across_runs`` and ``noise.duplicates``.

    Raises:
        ValueError: ``draws`` or ``fits`` is below 1, or ``alpha`` outside (0, 1/2).

    Privacy: free; no row but the audit's own is read.
    """
    if draws < 1 or fits < 1:
        raise ValueError(f"draws={draws!r} or fits={fits!r} is below 1")
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    turns = 2 * math.ceil(max(draws, 2) / CELLS / 2)
    found = draws_of(synthesizer, turns=turns, fits=fits, rng=rng)
    doors = ["measure", "score", "count"]
    if calculus_of(synthesizer.noise, synthesizer.guarantee.delta) != "pure":
        doors.append("discover")
    return findings_of_draws(found, doors=doors, alpha=alpha, rng=rng, seconds=time.perf_counter() - start)


def findings_of_draws(
    draws: Sequence[Draws],
    *,
    doors: Sequence[str],
    alpha: float,
    rng: np.random.Generator,
    seconds: float = 0.0,
) -> tuple[Finding, ...]:
    """Test the noise in answers of whatever software.

    Args:
        draws: The answers, in the order in which they came, run by run.
        doors: Those whose scale and law are tested one by one.
        alpha: False-alarm rate of all findings together, in (0, 1/2).
        rng: For the tests' own chance.
        seconds: What it took to get the answers; shared among the findings.

    Raises:
        ValueError: alpha is out of range.
    """
    if not 0 < alpha < 0.5:
        raise ValueError(f"alpha={alpha!r} is not between 0 and 1/2")
    start = time.perf_counter()
    tests = 2 * len(doors) + 10  # p-values below, where the tails have two
    each = alpha / tests
    residuals = [_residuals(d) for d in draws]
    scores = [d.law.normal_scores(r, rng) for d, r in zip(draws, residuals, strict=True)]
    found: list[Tested] = []
    for door in doors:
        own = [i for i, d in enumerate(draws) if d.door == door]
        z = joined([scores[i] for i in own])
        found.append(goodness.scale(f"noise.scale.{door}", z, [draws[i] for i in own], each, rng))
        found.append(goodness.law(f"noise.law.{door}", z, each))
    everything = joined(scores)
    found += [
        goodness.lattice(draws),
        goodness.centre(everything, each),
        goodness.tails(everything, each),
        goodness.empty_cells(draws, scores, each, rng),
        independence.totals(scores, each),
        independence.correlation(
            "noise.across_cells",
            "neighbouring cells of a table",
            independence.neighbouring_cells(scores),
            each,
        ),
        independence.correlation(
            "noise.across_tables", "two tables of one run", independence.tables_of_a_run(draws, scores), each
        ),
        independence.correlation(
            "noise.across_runs", "two runs", independence.pairs_of_runs(draws, scores), each
        ),
        independence.duplicates(draws, residuals, each),
    ]
    took = (seconds + time.perf_counter() - start) / len(found)
    return tuple(_finding(test, tests, alpha, took) for test in found)


def _finding(test: Tested, tests: int, alpha: float, seconds: float) -> Finding:
    verdict = Verdict.consistent if test.enough else Verdict.inconclusive
    if test.p is not None and test.p < alpha / tests:
        verdict = Verdict.violation
    adjusted = None if test.p is None else min(1.0, test.p * tests)
    value = adjusted if test.unit == "p-value" else test.value
    if value is None:
        verdict = Verdict.inconclusive
    details = {"p_value": adjusted, **test.details}
    return Finding(
        check=test.check,
        level=Level.unit,
        summary=test.said,
        verdict=verdict,
        value=value,
        unit=test.unit,
        interval=test.interval,
        confidence=1 - alpha,
        trials=test.trials,
        seconds=seconds,
        details=details,
    )


def _residuals(draws: Draws) -> Floats:
    """Return answer minus truth; 0 where the answer is no number."""
    answer = np.asarray(draws.answer)
    if answer.dtype.kind in "iu":
        return (answer.astype(np.int64) - draws.exact).astype(np.float64)
    noise = answer.astype(np.float64) - draws.exact
    return np.where(np.isfinite(noise), noise, 0.0)
