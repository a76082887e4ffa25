"""Black-box audit: what an attacker learns of one unit who sees nothing but synthetic tables.

The attacker knows the schema, the mechanism, the guarantee and all rows but the unit's, and may draw from the
release as often as it likes. It fits the whole road many times with the unit and many times without it, from
real noise, and of each release notes how many synthetic rows agree with the unit's in each one, two and three
columns, how many rows come by default, and which values occur. From two fifths of the fits it learns
discriminants; a fifth settles which of them and what threshold to take; the last two fifths are counted.
Nothing of how a release is made is assumed, so these bounds are lower than a white-box audit's; but they see
what no log shows: a model that follows the rows past their noisy counts, an exact number of rows, a copied
row.

References: Stadler, Oprisanu, Troncoso 2022 (arXiv:2011.07018), shadow models. Houssiau et al. 2022
(arXiv:2211.06550), counts of rows that match the target. Annamalai, Ganev, De Cristofaro 2024
(arXiv:2405.10994), worst-case audits of MST and PrivBayes.
"""

from __future__ import annotations

import itertools
import math
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.audit.bounds import epsilon_limit, epsilon_lower, mu_limit, mu_lower
from dpsynth.audit.ceilings import Claim, Rates, verdict_of
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.promised import mu_of, promise_of
from dpsynth.audit.spreading import spread
from dpsynth.audit.worst_case import WORST_CASES, worst_case
from dpsynth.errors import InputError
from dpsynth.mechanisms import Mechanism
from dpsynth.privacy.curator import Backend
from dpsynth.privacy.guarantee import Guarantee
from dpsynth.synthesizer import Synthesizer

__all__ = ["auc_ceiling", "blackbox_findings", "judge_features"]

Floats = npt.NDArray[np.float64]

_CHUNK = 20  # fits a side between two looks at the clock
_LEAST = 20  # fits a side: fewer teach nothing
_DRAWN = 50  # synthetic rows for each row of the table
_TRAINING, _SETTLING = 0.4, 0.2  # parts of the fits; the rest is counted
_RIDGE = 1e-3  # of a feature's variance
_SHOWN = 0.05
_ATTACKER = (
    "knows all rows but the unit's, the schema, the mechanism and the guarantee; sees synthetic tables "
    f"alone, {_DRAWN} rows for each row"
)
_STEPS = 24  # of the integral under a curve without a closed form


def blackbox_findings(
    guarantee: Guarantee,
    mechanism: str | Mechanism,
    *,
    noise: Backend = "exact",
    pair: str = "hidden",
    fits: int = 1_000,
    alpha: float = 1e-3,
    processes: int = 1,
    seconds: float = math.inf,
    seed: int = 0,
) -> tuple[Finding, ...]:
    """Fit the whole road with one unit and without it, many times, and tell the two by synthetic rows.

    Args:
        guarantee: What is claimed.
        mechanism: The mechanism, or its name.
        noise: Source of the noise; always the real one.
        pair: A key of :data:`~dpsynth.audit.worst_case.WORST_CASES`.
        fits: With the unit, and as many without it; at least 20.
        alpha: Chance of a false violation, over both findings together.
        processes: That share the work; with more than one, name the mechanism.
        seconds: After which no more fits are begun.
        seed: Of the synthetic rows; the noise has none.

    Returns:
        ``blackbox.mu`` (under pure epsilon ``blackbox.epsilon``) and ``blackbox.auc``.

    Raises:
        InputError: there is no such pair or mechanism, the mechanism needs a delta and has none, or there are
            too few fits.

    Privacy: free; all rows are the audit's own.
    """
    if type(fits) is not int or fits < _LEAST:
        raise InputError(f"fits={fits!r} is not a whole number of at least {_LEAST}")
    started = time.perf_counter()
    _synthesizer(guarantee, mechanism, noise, pair)
    tasks = [
        (guarantee, mechanism, noise, pair, min(_CHUNK, fits - done), (seed, done))
        for done in range(0, fits, _CHUNK)
    ]
    parts = spread(_chunk, tasks, processes=processes, seconds=seconds)
    inside, outside = (np.concatenate([part[side] for part in parts]) for side in (0, 1))
    return judge_features(
        inside,
        outside,
        pair=pair,
        guarantee=guarantee,
        mechanism=mechanism if isinstance(mechanism, str) else mechanism.name,
        noise=noise,
        alpha=alpha,
        seconds=time.perf_counter() - started,
    )


def _synthesizer(guarantee: Guarantee, mechanism: str | Mechanism, noise: Backend, pair: str) -> Synthesizer:
    """Return what fits a pair's tables.

    Raises:
        InputError: there is no such pair or mechanism, or it needs a delta and has none.
    """
    return Synthesizer(
        worst_case(pair, guarantee).schema,
        epsilon=guarantee.epsilon,
        delta=guarantee.delta,
        mechanism=mechanism,
        noise=noise,
        adjacency=guarantee.adjacency,
    )


def _chunk(
    task: tuple[Guarantee, str | Mechanism, Backend, str, int, tuple[int, int]],
) -> tuple[Floats, Floats]:
    guarantee, mechanism, noise, name, fits, seed = task
    synthesizer, pair = _synthesizer(guarantee, mechanism, noise, name), worst_case(name, guarantee)
    target, rows, rng = pair.inside[-1], len(pair.inside), np.random.default_rng(seed)
    seen: list[list[Floats]] = []
    for side in (True, False):
        frame = pair.frame(inside=side)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # that a budget is small for so few rows
            seen.append([_features(synthesizer.fit(frame), target, rows, rng) for _ in range(fits)])
    return np.array(seen[0]), np.array(seen[1])


def _features(release: Any, target: npt.NDArray[np.uint32], rows: int, rng: np.random.Generator) -> Floats:
    """Return what is noted of a release, from synthetic tables alone.

    Of each set of columns the share of rows that agree there with the unit's, times the number of rows that
    come by default; that number; and for each column how many values occur.
    """
    by_default = len(release.sample(seed=int(rng.integers(2**31))))
    drawn = release.sample(_DRAWN * rows, seed=int(rng.integers(2**31)))[list(release.schema.learned)]
    values = drawn.to_numpy()
    agrees = values == target
    sets = [s for size in (1, 2, 3) for s in itertools.combinations(range(target.size), size)]
    shares = [agrees[:, list(columns)].all(axis=1).mean() for columns in sets]
    occurring = [np.unique(column).size for column in values.T]
    return np.array([*(by_default * np.array(shares)), by_default, *occurring], dtype=np.float64)


def judge_features(
    inside: Floats,
    outside: Floats,
    *,
    pair: str,
    guarantee: Guarantee,
    mechanism: str,
    noise: Backend,
    alpha: float = 1e-3,
    seconds: float = 0.0,
) -> tuple[Finding, Finding]:
    """Learn from the first part of the fits, settle on the second, count on the rest.

    Args:
        inside: Features of fits with the unit, shape ``(fits, features)``.
        outside: Of fits without it.
        pair: Name of the neighbours.
        guarantee: What is claimed.
        mechanism: Its name.
        noise: Source of the noise.
        alpha: Chance of a false violation, over both findings together.
        seconds: That the fits took.
    """
    claim = promise_of(guarantee, noise)
    score, threshold = _settled(inside, outside, claim)
    first, second, rest = (len(part) for part in _parts(inside))
    attack = _Attack(
        claim=claim,
        guarantee=guarantee,
        inside=score(_parts(inside)[2]),
        outside=score(_parts(outside)[2]),
        pair=WORST_CASES[pair],
        alpha=alpha / 2,
        seconds=seconds,
        details={
            "mechanism": mechanism,
            "epsilon": float(guarantee.epsilon),
            "delta": float(guarantee.delta),
            "noise": noise,
            "pair": pair,
            "attacker": _ATTACKER,
            "fits": {"learned from": first, "settled by": second, "counted": rest},
        },
    )
    return attack.by_counts(threshold), attack.by_order()


def _parts(features: Floats) -> tuple[Floats, Floats, Floats]:
    first, second = round(_TRAINING * len(features)), round((_TRAINING + _SETTLING) * len(features))
    return features[:first], features[first:second], features[second:]


@dataclass(frozen=True, slots=True)
class _Linear:
    """A weighing of features; higher says "in"."""

    weights: Floats

    def __call__(self, features: Floats) -> Floats:
        return features @ self.weights


def _settled(inside: Floats, outside: Floats, claim: Claim) -> tuple[Callable[[Floats], Floats], float]:
    """Return the score and the threshold that would show most, going by the fits that settle it."""
    learned, settling = zip(_parts(inside)[:2], _parts(outside)[:2], strict=True)
    candidates = _discriminants(*learned)

    def best(score: Callable[[Floats], Floats]) -> tuple[float, float]:
        yes, no = (score(part) for part in settling)
        places = np.unique(np.concatenate([yes, no]))
        places = (places[1:] + places[:-1]) / 2 if places.size > 1 else places
        shown = [_shown(_rates(yes, no, float(place)), claim, _SHOWN) for place in places]
        return max(shown), float(places[int(np.argmax(shown))])

    found = [(best(score), score) for score in candidates]
    (_, threshold), score = max(found, key=lambda own: own[0][0])
    return score, threshold


def _discriminants(inside: Floats, outside: Floats) -> list[_Linear]:
    """Return Fisher's discriminant, one that takes features as independent, and each feature alone."""
    gap = inside.mean(axis=0) - outside.mean(axis=0)
    centred = np.concatenate([inside - inside.mean(axis=0), outside - outside.mean(axis=0)])
    within = centred.T @ centred / max(1, len(centred) - 2)
    own = np.maximum(np.diag(within), 1e-9)
    whole = np.linalg.solve(within + np.diag(_RIDGE * own), gap)
    alone = [_Linear(np.eye(gap.size)[i] * (np.sign(gap[i]) or 1.0)) for i in range(gap.size)]
    return [_Linear(whole), _Linear(gap / own), *alone]


def _rates(inside: Floats, outside: Floats, threshold: float) -> Rates:
    return Rates(
        detections=int((inside > threshold).sum()),
        positives=inside.size,
        alarms=int((outside > threshold).sum()),
        negatives=outside.size,
    )


def _shown(rates: Rates, claim: Claim, alpha: float) -> float:
    """Return the lower bound that rates show: on epsilon where that is the claim, else on mu."""
    if claim.calculus == "pure":
        return _epsilon(rates, 0.0, alpha)
    return mu_lower(
        false_positives=rates.alarms,
        negatives=rates.negatives,
        false_negatives=rates.positives - rates.detections,
        positives=rates.positives,
        alpha=alpha,
    )


def _epsilon(rates: Rates, delta: float, alpha: float) -> float:
    return epsilon_lower(
        false_positives=rates.alarms,
        negatives=rates.negatives,
        false_negatives=rates.positives - rates.detections,
        positives=rates.positives,
        delta=delta,
        alpha=alpha,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Attack:
    """Scores of the fits that are counted, and what they are held against."""

    claim: Claim
    guarantee: Guarantee
    inside: Floats
    outside: Floats
    pair: str
    alpha: float
    seconds: float
    details: dict[str, Any]

    @property
    def trials(self) -> int:
        """Fits on the side that has fewer."""
        return min(self.inside.size, self.outside.size)

    def by_counts(self, threshold: float) -> Finding:
        """Judge by the rates of detections and false alarms at a threshold."""
        from scipy import special  # noqa: PLC0415  -- lazy: costs 0.3 s at import

        claim, alpha, delta = self.claim, self.alpha, float(self.guarantee.delta)
        rates = _rates(self.inside, self.outside, threshold)
        pure = claim.calculus == "pure"
        ceiling = float(claim.amount) if pure else mu_of(claim)
        verdict, needed = verdict_of(rates, claim, alpha)
        found = (rates.detections + 0.5) / (rates.positives + 1)
        alarmed = (rates.alarms + 0.5) / (rates.negatives + 1)
        if pure:
            point = max(math.log(found / alarmed), math.log((1 - alarmed) / (1 - found)), 0.0)
            limit = epsilon_limit(trials=self.trials, delta=0.0, alpha=alpha)
        else:
            point = max(0.0, float(special.ndtri(found) - special.ndtri(alarmed)))
            limit = mu_limit(trials=self.trials, alpha=alpha)
        lower, unit = min(point, _shown(rates, claim, alpha)), "epsilon" if pure else "mu"
        text = (
            f"From synthetic tables of 2 x {self.trials:,} fits on {self.pair}: {unit} is about {point:.3g} "
            f"and at least {lower:.3g} ({100 * (1 - alpha):.6g} %), where {ceiling:.3g} is claimed"
        )
        return Finding(
            check=f"blackbox.{unit}",
            level=Level.mechanism,
            summary=_ended(text, verdict, needed),
            verdict=verdict,
            value=point,
            unit=unit,
            interval=(lower, math.inf),
            confidence=1 - alpha,
            trials=rates.positives + rates.negatives,
            ceiling=ceiling,
            limit=limit,
            baseline=0.0,
            seconds=self.seconds,
            details={
                **self.details,
                "tightness": _shown(rates, claim, _SHOWN) / ceiling,
                "detected": rates.detection,
                "false_alarms": rates.alarm,
                "detected_at_most": claim.ceiling(rates.alarm),
                "epsilon_lower": _epsilon(rates, delta, alpha),
                "epsilon_limit": epsilon_limit(trials=self.trials, delta=delta, alpha=alpha),
                **({} if needed is None else {"counted_fits_needed": needed}),
            },
        )

    def by_order(self) -> Finding:
        """Judge by the area under the curve: the chance that a fit with the unit scores above one without.

        Its lower bound is Hoeffding's, ``sqrt(ln(1/alpha) / (2 n))`` below what was seen, ``n`` the fewer
        fits.
        """
        order, ceiling = np.sort(self.outside), auc_ceiling(self.claim)
        below = np.searchsorted(order, self.inside, "left") + np.searchsorted(order, self.inside, "right")
        area = float(below.mean() / (2 * self.outside.size))
        width = math.sqrt(math.log(1 / self.alpha) / (2 * self.trials))
        verdict, needed = Verdict.violation if area - width > ceiling else Verdict.consistent, None
        if verdict is Verdict.consistent and 1 - width <= ceiling:
            verdict = Verdict.inconclusive
            gap = max(1 - ceiling, 1e-9)
            needed = math.floor(math.log(1 / self.alpha) / (2 * gap**2)) + 1
        text = (
            f"A fit with the unit scores above one without it in {area:.1%} of pairs ({self.trials:,} fits a "
            f"side on {self.pair}); the guarantee allows {ceiling:.1%}"
        )
        return Finding(
            check="blackbox.auc",
            level=Level.mechanism,
            summary=_ended(text, verdict, needed),
            verdict=verdict,
            value=area,
            unit="auc",
            interval=(max(0.0, area - width), math.inf),
            confidence=1 - self.alpha,
            trials=self.inside.size + self.outside.size,
            ceiling=ceiling,
            limit=max(0.0, 1 - width),
            baseline=0.5,
            seconds=self.seconds,
            details=self.details if needed is None else {**self.details, "counted_fits_needed": needed},
        )


def auc_ceiling(claim: Claim) -> float:
    """Return the greatest area under an attacker's curve that a claim allows, rounded up.

    ``Phi(mu / sqrt 2)`` in gdp; in pure the area under two straight lines,
    ``(a (1 - a) + (1 - a) (2 - a)) / 2``, ``a = 1 / (1 + e^epsilon)``; in zcdp an upper sum over the curve.
    """
    if claim.calculus == "gdp":
        return min(1.0, 0.5 * math.erfc(-math.sqrt(float(claim.amount)) / 2) * (1 + 1e-9))
    if claim.calculus == "pure":
        kink = 1 / (1 + math.exp(min(float(claim.amount), 700.0)))
        return min(1.0, (kink * (1 - kink) + (1 - kink) * (2 - kink)) / 2 * (1 + 1e-9))
    edges = np.concatenate([[0.0], np.geomspace(1e-3, 1.0, _STEPS)])
    tops = [claim.ceiling(float(edge)) for edge in edges[1:]]
    return min(1.0, float((np.diff(edges) * np.array(tops)).sum()))


def _ended(text: str, verdict: Verdict, needed: int | None) -> str:
    if verdict is Verdict.violation:
        return f"{text}. More is lost than is claimed."
    if verdict is Verdict.inconclusive:
        many = "more fits than can be had" if needed is None else f"at least {needed:,} counted fits a side"
        return f"{text}. For a verdict it takes {many}."
    return f"{text}."
