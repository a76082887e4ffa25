"""Many made-up people in one fit, each in or out by a coin of its own: what does the fit tell of the coins?

Each canary has a reserved code in every column, of which only it has rows; so nobody's cells are touched but
its own, and one fit of the production configuration tells of all coins at once. It is done on a copy, in a
domain that is wider by the reserved codes, and nothing of it is for use: canaries are in it.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from dpsynth.audit.bounds import one_run_epsilon, one_run_mu
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.promised import mu_of, promise_of
from dpsynth.data.codec import Codec
from dpsynth.data.source import open_source
from dpsynth.data.withheld import reading
from dpsynth.domain import Axis, Domain
from dpsynth.errors import InputError
from dpsynth.mechanisms.mechanism import ignore_progress
from dpsynth.model.structure import fit_model
from dpsynth.privacy.curator import Curator, Measurement
from dpsynth.privacy.guarantee import calculus_of
from dpsynth.privacy.sealed import CodedTable
from dpsynth.synthesizer import Synthesizer

__all__ = ["canary_findings"]

_SHOWN: Final = 0.05  # level of the bounds that are shown; verdicts have a stricter one
_SHARES: Final = (1 / 20, 1 / 10, 1 / 4, 1 / 2, 1)  # of the canaries, that are guessed
_BEYOND: Final = 1.5  # times the claim: what right guesses alone must be able to show
_MADE_UP: Final = 2_000  # rows where none are given
_MANY: Final = 20  # times as many synthetic rows as the model has: less chance of the sample's own
_MOST_DRAWN: Final = 200_000

Codes = npt.NDArray[Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class _Run:
    """One fit with canaries. As private as the rows.

    Attributes:
        coins: Whether each canary was in.
        scores: By view, a number for each canary that is greater where it seems to be in.
        strength: The mu that a canary's own cells were measured with, on average.
    """

    coins: npt.NDArray[np.bool_]
    scores: dict[str, Floats]
    strength: float


@reading
def canary_findings(
    synthesizer: Synthesizer,
    rows: Any = None,
    *,
    canaries: int = 5_000,
    guesses: int | None = None,
    alpha: float = 1e-3,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """Fit once with canaries among the rows, and bound the guarantee by what can be guessed of them.

    The attacker of the white-box view sees the noisy measurements, that of the black-box view many synthetic
    rows. Each guesses the coins it is surest of, half of them "in" and half "out". Rules across columns are
    left out of the copy; the mechanism, its guarantee and its noise are those of production. Under
    ``"replace-one"`` an ordinary unit stands in the place of a canary that is out.

    Args:
        synthesizer: What is audited.
        rows: The rows among which canaries are put, as for a fit; by default 2,000 made-up ones.
        canaries: Number of canaries, at least 40.
        guesses: Number of coins that are guessed, even. By default a share of the canaries that follows from
            the claim: the least of 1/20, 1/10, 1/4, 1/2 and all at which right guesses alone would show one
            and a half times the claim, since few guesses are surer, and many can show more.
        alpha: Chance of a false VIOLATION in each finding, in (0, 1/2).
        seed: Of the coins, of made-up rows and of synthetic rows; never of noise.

    Returns:
        For each view a lower bound on epsilon (Steinke, Nasr, Jagielski 2023, with its delta term) and, where
        the claim is in Gaussian differential privacy, one on mu (Mahloujifar, Melis, Chaudhuri 2024). Shown
        at 95 %; a violation where the bound at ``1 - alpha`` is above the claim; inconclusive where right
        guesses alone would not be, or no canary left a trace. With rows of level data and confidential, else
        of level mechanism.

    Raises:
        InputError: the schema leaves something to be bought, or a number is out of range.
        DataError: as a fit.

    Privacy: not private; never to be released. The coins, the noisy answers and the synthetic rows stay here.
    """
    fits = guesses is None or (2 <= guesses <= canaries and guesses % 2 == 0)
    if not (canaries >= 40 and fits and 0 < alpha < 0.5):
        raise InputError(
            f"canaries={canaries}, guesses={guesses}, alpha={alpha}: at least 40 canaries, an even number of "
            "guesses among them and an alpha between 0 and 1/2 are needed"
        )
    if synthesizer.to_buy is not None:
        raise InputError("canaries have reserved codes, so their schema cannot leave values to be bought")
    start = time.perf_counter()
    rng = np.random.default_rng(seed)
    run = _fit(synthesizer, rows, canaries, rng)
    found = []
    for view, scores in run.scores.items():
        for unit, ceiling in _claims(synthesizer).items():
            bound = _Bound(unit, canaries, float(synthesizer.guarantee.delta))
            share = bound.guesses(ceiling, alpha) if guesses is None else guesses
            correct = _correct(scores, run.coins, share, rng)
            blind = bool(np.ptp(scores) == 0)
            finding = _finding(
                f"canaries.{view}.{unit}", bound, (share, correct), ceiling, alpha, blind=blind
            )
            details = {**finding.details, "mu_of_a_canary": run.strength}
            secret = rows is not None
            found.append(
                dataclasses.replace(
                    finding,
                    details=details,
                    level=Level.data if secret else Level.mechanism,
                    publishable=not secret,
                )
            )
    took = (time.perf_counter() - start) / len(found)
    return tuple(dataclasses.replace(f, seconds=took) for f in found)


@dataclass(frozen=True, slots=True)
class _Bound:
    """One of the two bounds, for a number of canaries."""

    unit: str
    canaries: int
    delta: float

    def __call__(self, guesses: int, correct: int, alpha: float) -> float:
        """Return the lower bound that so many right guesses show."""
        seen = {"canaries": self.canaries, "guesses": guesses, "correct": correct}
        if self.unit == "mu":
            return one_run_mu(alpha=alpha, **seen)
        return one_run_epsilon(alpha=alpha, delta=self.delta, **seen)

    def guesses(self, ceiling: float, alpha: float) -> int:
        """Return how many coins to guess: a function of what is public."""
        numbers = [2 * int(self.canaries * share / 2) for share in _SHARES]
        enough = (n for n in numbers if self(n, n, alpha) >= _BEYOND * ceiling)
        return next(enough, numbers[-1])


def _claims(synthesizer: Synthesizer) -> dict[str, float]:
    """Return what is claimed, by unit."""
    promise = synthesizer.guarantee
    calculus = calculus_of(synthesizer.noise, promise.delta)
    gaussian = {"mu": mu_of(promise_of(promise, synthesizer.noise))} if calculus == "gdp" else {}
    return {"epsilon": float(promise.epsilon), **gaussian}


def _finding(
    check: str, bound: _Bound, seen: tuple[int, int], ceiling: float, alpha: float, *, blind: bool
) -> Finding:
    """Return what so many guesses, and so many right ones, say of a claim; all are by lot if ``blind``."""
    guesses, correct = seen
    lower, strict = bound(guesses, correct, _SHOWN), bound(guesses, correct, alpha)
    limit = bound(guesses, guesses, alpha)
    if strict > ceiling:
        verdict, end = Verdict.violation, "which is above the claim"
    elif blind:
        verdict, end = Verdict.inconclusive, "but nothing was seen of any canary: all guesses are by lot"
    elif limit > ceiling:
        verdict, end = Verdict.consistent, f"and right guesses alone would have shown {limit:.3g}"
    else:
        verdict, end = Verdict.inconclusive, f"but right guesses alone would have shown {limit:.3g}: no test"
    return Finding(
        check=check,
        level=Level.mechanism,
        summary=f"In one fit {correct} of {guesses} coins of canaries were guessed: {bound.unit} is at least "
        f"{lower:.3g} (claimed: at most {ceiling:.3g}), {end}.",
        verdict=verdict,
        value=lower,
        unit=bound.unit,
        interval=(lower, math.inf),
        confidence=1 - _SHOWN,
        trials=guesses,
        ceiling=ceiling,
        limit=limit,
        baseline=0.0,
        details={
            "canaries": bound.canaries,
            "guesses": guesses,
            "correct": correct,
            "alpha": alpha,
            "bound_at_alpha": strict,
        },
    )


def _fit(synthesizer: Synthesizer, rows: Any, canaries: int, rng: np.random.Generator) -> _Run:
    """Fit the copy with its canaries; what comes of it are the scores."""
    codec, promise = Codec(synthesizer.schema), synthesizer.guarantee
    sizes = codec.domain.sizes
    if rows is None:
        codes: Sequence[Codes] = [rng.integers(0, size, _MADE_UP) for size in sizes]
    else:
        codes = codec.codes(open_source(rows))
    domain = Domain(tuple(Axis(a.name, a.size + canaries, a.ordered) for a in codec.domain.axes))
    coins = rng.random(canaries) < 0.5
    inside, k = np.repeat(np.flatnonzero(coins), promise.rows_per_unit), promise.rows_per_unit
    stand_ins = int((~coins).sum()) * k if promise.adjacency == "replace-one" else 0
    table = [
        np.concatenate(
            [c.astype(np.uint32), (size + inside).astype(np.uint32), np.zeros(stand_ins, np.uint32)]
        )
        for c, size in zip(codes, sizes, strict=True)
    ]
    curator = Curator(CodedTable(domain, table, rows_per_unit=k), promise, backend=synthesizer.noise)
    measured = synthesizer.mechanism.run(curator, ignore_progress)
    curator.close()
    white, strength = _weighed((*measured.one_ways, *measured.tables), sizes, canaries, k)
    model = fit_model(domain, measured.one_ways, measured.tables)
    drawn = model.sample(min(_MOST_DRAWN, _MANY * max(1, round(model.total))), rng, method="iid")
    black = np.zeros(canaries)
    for column, size in zip(drawn, sizes, strict=True):
        reserved = np.asarray(column, dtype=np.int64) - size
        black += np.bincount(reserved[reserved >= 0], minlength=canaries)
    return _Run(coins, {"whitebox": white, "blackbox": black}, strength)


def _weighed(
    measurements: Sequence[Measurement], sizes: Sequence[int], canaries: int, k: int
) -> tuple[Floats, float]:
    """Return the log-likelihood ratio of each canary from the cells that it alone can be in.

    ``sum over measurements of k (y - k/2) / sigma^2`` with ``y`` the noisy count of its cell, wherever one of
    the cell's groups holds its reserved code and no other; and the mean of ``sqrt(sum k^2 / sigma^2)``.
    """
    scores, power = np.zeros(canaries), np.zeros(canaries)
    for found in measurements:
        groups = [
            g[sizes[c] : sizes[c] + canaries]
            for c, g in zip(found.query.columns, found.query.groups, strict=True)
        ]
        alone = np.zeros(canaries, dtype=bool)
        for whole, own in zip(found.query.groups, groups, strict=True):
            alone |= np.bincount(whole)[own] == 1
        values = found.values[tuple(groups)]
        weight = k / found.sigma**2
        scores += np.where(alone, weight * (values - k / 2), 0.0)
        power += np.where(alone, weight * k, 0.0)
    return scores, float(np.sqrt(power).mean())


def _correct(scores: Floats, coins: npt.NDArray[np.bool_], guesses: int, rng: np.random.Generator) -> int:
    """Return how many guesses are right: of the highest scores "in", of the lowest "out"; ties by lot."""
    order = np.lexsort((rng.random(scores.size), scores))
    half = guesses // 2
    return int((~coins[order[:half]]).sum() + coins[order[-half:]].sum())
