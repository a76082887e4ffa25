"""Membership inference with shadow models: the release's own recipe, fitted with and without someone.

The attacker knows everything but whether the target was in the table: all other rows, the schema, the
mechanism and the guarantee. The recipe is fitted again and again, each target in or out by a coin of its own;
from half of the fits the attack learns what a fit with the target looks like, and on the others it is scored.
Each scored fit draws fresh noise from the operating system, so trials are independent, and Clopper-Pearson
limits and the guarantee's trade-off curve hold exactly.

Two attacks read the same fits:

- ``queries``: how many synthetic rows agree with the target in one, two, three and all columns; a linear
  discriminant weighs these counts. It sees the synthetic table alone.
- ``measured``: the likelihood ratio of the noisy counts that the release holds, of the cells that the
  target's rows lie in. It is the best that can be made of them, and needs no learning.

References: Stadler, Oprisanu, Troncoso 2022 (arXiv:2011.07018) and Houssiau et al. 2022 (arXiv:2211.06550),
shadow models and counts of matching rows as features. Guepin et al. 2024 (arXiv:2405.15423), all but the
target fixed.
"""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.audit.bounds import wilson
from dpsynth.audit.ceilings import Claim, Rates, perfect, trials_needed, verdict_of
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.mamamia import cells_of
from dpsynth.audit.tables import Audited, Codes, Rows, drawn, written
from dpsynth.schema import Schema

__all__ = ["Refit", "Shadows", "fits_needed", "shadow_findings", "shadows_of"]

Floats = npt.NDArray[np.float64]
Bools = npt.NDArray[np.bool_]
Refit = Callable[[Any], Audited]
"""Fits the recipe to a pandas frame and returns what would be released."""

_QUERIES = 40  # of two and of three columns each
_SYNTHETIC = 5  # synthetic rows for each row of the table
_SHRINKAGE = 0.5  # of the features' covariances towards none


@dataclass(frozen=True, slots=True, eq=False, repr=False)
class Shadows:
    """What an attacker saw of all shadow fits, for each target. As private as the rows.

    Attributes:
        inside: Whether the target was in the table, shape ``(fits, targets)``.
        queries: Features of the synthetic tables, shape ``(fits, targets, features)``.
        measured: Log likelihood ratio of the noisy counts, shape ``(fits, targets)``.
    """

    inside: Bools
    queries: Floats
    measured: Floats


def shadows_of(
    refit: Refit,
    schema: Schema,
    background: Rows,
    targets: Sequence[Rows],
    stand_ins: Sequence[Rows] | None,
    *,
    fits: int,
    rng: np.random.Generator,
) -> Shadows:
    """Fit the recipe many times, each target in or out by a coin of its own.

    Args:
        refit: The recipe.
        schema: Of the rows.
        background: All rows that are in every fit.
        targets: The rows of each target.
        stand_ins: Rows that take a target's place where it is out, if that is what the guarantee is about.
        fits: Number of fits.
        rng: Of the coins, the queries and the synthetic tables. Noise is the mechanism's own.
    """
    asked = _queries(background.codes.shape[1], rng)
    inside = rng.random((fits, len(targets))) < 0.5
    seen = np.zeros((fits, len(targets), len(asked) + 1))
    measured = np.zeros((fits, len(targets)))
    for i in range(fits):
        others = targets if stand_ins is None else stand_ins
        own = [t if there else o for t, o, there in zip(targets, others, inside[i], strict=True)]
        kept = own if stand_ins is not None else [t for t, there in zip(own, inside[i], strict=True) if there]
        rows = _joined([background, *kept])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # a small budget was warned of when it was released
            release = refit(written(schema, rows, rng))
        total = len(drawn(release, None, rng))
        synthetic = drawn(release, _SYNTHETIC * len(background), rng)
        for j, target in enumerate(targets):
            seen[i, j, :-1] = _matches(synthetic, target.codes, asked)
            seen[i, j, -1] = total
            measured[i, j] = _likelihood_ratio(release, background.codes, target.codes)
    return Shadows(inside, seen, measured)


def shadow_findings(
    shadows: Shadows, claim: Claim, *, alpha: float, seconds: float = 0.0
) -> tuple[Finding, ...]:
    """Judge both attacks, each by the target on whom it does best.

    Args:
        shadows: What was seen.
        claim: Of one fit; the ceiling.
        alpha: Rate of false violations of each attack, over all targets together.
        seconds: That the fits took.

    Returns:
        Two confidential findings.
    """
    targets = shadows.inside.shape[1]
    found = []
    for name, score in (("queries", _learned), ("measured", _settled)):
        started = time.perf_counter()
        rates = [score(shadows, j) for j in range(targets)]
        judged = [(r, *verdict_of(r, claim, alpha / targets)) for r in rates if r is not None]
        if not judged:
            found.append(_too_few(f"shadow.{name}", claim, alpha / targets, shadows.inside.shape[0]))
            continue
        best = max(judged, key=lambda own: (own[1] is Verdict.violation, own[0].detection - own[0].alarm))
        found.append(
            _finding(
                f"shadow.{name}",
                *best,
                claim=claim,
                alpha=alpha / targets,
                targets=targets,
                fits=shadows.inside.shape[0],
                seconds=seconds + time.perf_counter() - started,
            )
        )
    return tuple(found)


def _learned(shadows: Shadows, target: int) -> Rates | None:
    """Learn a discriminant and its threshold on the first half of the fits, and count on the second."""
    inside, features = shadows.inside[:, target], shadows.queries[:, target]
    half = inside.size // 2
    learned, asked = inside[:half], inside[half:]
    if min(learned.sum(), (~learned).sum()) < 2 or not 0 < asked.sum() < asked.size:
        return None
    spread = features[:half].std(axis=0)
    scaled = (features - features[:half].mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    first, second = scaled[:half][learned], scaled[:half][~learned]
    centred = np.concatenate([first - first.mean(axis=0), second - second.mean(axis=0)])
    within = centred.T @ centred / max(1, half - 2)
    diagonal = np.diag(np.diag(within) + 1e-6)
    weights = np.linalg.solve(
        (1 - _SHRINKAGE) * within + _SHRINKAGE * diagonal, first.mean(axis=0) - second.mean(axis=0)
    )
    scores = scaled @ weights
    return _tallied(scores[half:] > _best_threshold(scores[:half], learned), asked)


def _settled(shadows: Shadows, target: int) -> Rates | None:
    """Count on all fits: a likelihood ratio has its threshold already."""
    inside = shadows.inside[:, target]
    if not 0 < inside.sum() < inside.size:
        return None
    return _tallied(shadows.measured[:, target] > 0, inside)


def _tallied(said: Bools, inside: Bools) -> Rates:
    return Rates(
        detections=int((said & inside).sum()),
        positives=int(inside.sum()),
        alarms=int((said & ~inside).sum()),
        negatives=int((~inside).sum()),
    )


def _best_threshold(scores: Floats, inside: Bools) -> float:
    """Return the threshold at which detections exceed false alarms by most."""
    order = np.argsort(-scores, kind="stable")
    gain = np.cumsum(np.where(inside[order], 1 / inside.sum(), -1 / (~inside).sum()))
    best = int(np.argmax(gain))
    after = scores[order[min(best + 1, order.size - 1)]]
    return float((scores[order[best]] + after) / 2)


def _queries(columns: int, rng: np.random.Generator) -> list[tuple[int, ...]]:
    """Return sets of columns: each alone, some pairs and triples, and all together."""
    asked: list[tuple[int, ...]] = [(c,) for c in range(columns)]
    for size in (2, 3):
        sets = list(itertools.combinations(range(columns), size))
        picked = rng.permutation(len(sets))[:_QUERIES]
        asked += [sets[i] for i in sorted(picked)]
    whole = tuple(range(columns))
    return asked if whole in asked else [*asked, whole]


def _matches(synthetic: Codes, target: Codes, asked: Sequence[tuple[int, ...]]) -> Floats:
    """Return, for each set of columns, how many synthetic rows agree there with a row of the target."""
    found = np.zeros(len(asked))
    for row in target:
        agrees = synthetic == row
        found += [np.logical_and.reduce(agrees[:, list(columns)], axis=1).sum() for columns in asked]
    return found


def _likelihood_ratio(release: Audited, background: Codes, target: Codes) -> float:
    """Return ``sum_F <y_F - B_F - D_F / 2, D_F> / sigma_F**2``: background ``B``, the target's rows ``D``."""
    ratio = 0.0
    for measured in release.measurements:
        own, counts = np.unique(cells_of(measured.query, target), return_counts=True)
        there = cells_of(measured.query, background)
        behind = np.array([(there == cell).sum() for cell in own])
        gap = measured.values.ravel()[own] - behind - counts / 2
        ratio += float((counts * gap).sum()) / measured.sigma**2
    return ratio


def _joined(parts: Sequence[Rows]) -> Rows:
    return Rows(
        np.concatenate([p.codes for p in parts]),
        np.concatenate([p.units for p in parts]),
        np.concatenate([p.keys for p in parts]),
    )


def _finding(
    check: str,
    rates: Rates,
    verdict: Verdict,
    needed: int | None,
    *,
    claim: Claim,
    alpha: float,
    targets: int,
    fits: int,
    seconds: float,
) -> Finding:
    ceiling = claim.ceiling(rates.alarm)
    text = (
        f"Of the fits with the target it detects {rates.detection:.1%}, with {rates.alarm:.1%} false alarms; "
        f"the guarantee allows {ceiling:.1%}"
    )
    if verdict is Verdict.violation:
        text += ". That is beyond the guarantee."
    elif verdict is Verdict.inconclusive:
        text += f". For a verdict it takes {_fits(fits_needed(needed, check))}."
    else:
        text += "; so few trials leave the rest to chance." if rates.detection > ceiling else "."
    return Finding(
        check=check,
        level=Level.data,
        summary=text,
        verdict=verdict,
        value=rates.detection,
        unit="detection rate",
        interval=wilson(count=rates.detections, trials=rates.positives, alpha=alpha),
        confidence=1 - alpha,
        trials=rates.positives + rates.negatives,
        ceiling=ceiling,
        limit=perfect(min(rates.positives, rates.negatives)).bounds(alpha / 2)[0],
        baseline=rates.alarm,
        publishable=False,
        seconds=seconds,
        details={"fits": fits, "targets": targets, "fits_needed": fits_needed(needed, check)},
    )


def _too_few(check: str, claim: Claim, alpha: float, fits: int) -> Finding:

    needed = fits_needed(trials_needed(claim, alpha), check)
    return Finding(
        check=check,
        level=Level.data,
        summary=f"{fits} fits are too few to learn from; for a verdict it takes {_fits(needed)}.",
        verdict=Verdict.inconclusive,
        value=None,
        unit="detection rate",
        trials=fits,
        publishable=False,
        details={"fits": fits, "fits_needed": needed},
    )


def fits_needed(trials: int | None, check: str) -> int | None:
    """Return about how many fits give so many scored trials a side, a tenth to spare for uneven coins."""
    if trials is None:
        return None
    return math.ceil((4.4 if check.endswith("queries") else 2.2) * trials + 10)


def _fits(needed: int | None) -> str:
    if needed is None:
        return "more fits than can be had: the guarantee allows almost any success"
    return f"at least {needed} fits"
