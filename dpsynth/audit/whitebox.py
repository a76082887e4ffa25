"""White-box audit: the best test that there is, on real runs against the worst case.

The attacker knows both neighbours and sees every answer that the mechanism got. The log-likelihood ratio
``S`` of all answers (:mod:`dpsynth.audit.losses`) is the best test of one against the other. Of Gaussian
noise it is ``N(mu^2/2, mu^2)`` with the unit and ``N(-mu^2/2, mu^2)`` without it, where ``mu`` is what was
really spent; so the distance of the two means in standard deviations estimates ``mu``, with an exact lower
bound by the noncentral t. A violation is one only if the plain counts of ``S > 0`` (Clopper and Pearson)
exceed the guarantee's curve as well: these rest on no law of ``S``. Where the bound alone is above the
claim, nothing is decided: INCONCLUSIVE.

Choices by lot are no Gaussian noise. Their price is that of the worst choice that there could be, and a
mechanism seldom faces it; so where a part of the budget goes there, the tightness of what was measured is
given beside that of the whole, and it alone tells whether the audit had power.

Under pure epsilon ``S`` is bounded by epsilon, which is shown by ``ln P[S > t] / P'[S > t]`` at a threshold
``t`` that a first part of the runs settles.

References: Dong, Roth, Su 2022 (arXiv:1905.02383), Gaussian trade-off functions. Ganev, Annamalai, Kulynych
2026 (arXiv:2604.18352), audits of MST and AIM on ten rows alike and one that differs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.audit.bounds import epsilon_limit, epsilon_lower, mu_limit, mu_lower_from_scores, trials_for
from dpsynth.audit.ceilings import Claim, Rates
from dpsynth.audit.finding import Finding, Level, Verdict
from dpsynth.audit.losses import Losses, draw_losses
from dpsynth.audit.promised import mu_of, promise_of
from dpsynth.audit.spreading import spread
from dpsynth.audit.worst_case import WORST_CASES, worst_case
from dpsynth.errors import InputError
from dpsynth.mechanisms import MECHANISMS, Mechanism
from dpsynth.privacy.curator import Backend
from dpsynth.privacy.guarantee import Guarantee

__all__ = ["ALPHA", "draw_both", "form_of", "judge", "required", "runs_for", "whitebox_findings"]

Floats = npt.NDArray[np.float64]

ALPHA = 1e-3  # of a false violation, in all findings of a call together
SHOWN = 0.05  # of the bound that tightness is about
_CHUNK = 100  # runs a side between two looks at the clock
_PILOT = 0.2  # of the runs: they settle a threshold
_HIGH = 8.0
_BEYOND_ALL = 10**9  # runs


def form_of(mechanism: str | Mechanism, guarantee: Guarantee) -> Mechanism:
    """Return a mechanism in the form that a guarantee calls for: pure where delta is 0.

    Raises:
        InputError: there is no mechanism of that name, or it needs a delta and has none.
    """
    if isinstance(mechanism, str) and mechanism not in MECHANISMS:
        raise InputError(f"mechanism={mechanism!r} is none of {', '.join(MECHANISMS)}")
    own = MECHANISMS[mechanism] if isinstance(mechanism, str) else mechanism
    if guarantee.delta:
        return own
    if own.pure is None:
        able = ", ".join(name for name, known in MECHANISMS.items() if known.pure is not None)
        raise InputError(f"mechanism {own.name!r} needs a delta above 0; with delta=0 audit one of {able}")
    return own.pure


def required(epsilon: float) -> float:
    """Return the least tightness at which an audit is taken to have had power: 0.85 from epsilon 8 on."""
    return 0.85 if epsilon >= _HIGH else 0.75


def runs_for(claim: Claim, tightness: float) -> int:
    """Return how many runs a side show such a tightness nine times in ten, of Gaussian noise without a fault.

    In pure epsilon: at which a test that errs in one run of ``2 e^epsilon`` shows it; a rough guide. A
    billion stands for all that is more, as where mu is below 0.001.
    """
    if claim.calculus == "pure":
        return math.ceil(40 * math.exp(min(tightness * float(claim.amount), 20.0)))
    mu = mu_of(claim)
    try:
        return trials_for(mu=0.98 * mu, claimed=tightness * mu, alpha=SHOWN, power=0.9)
    except ValueError:
        return _BEYOND_ALL


def whitebox_findings(
    guarantee: Guarantee,
    mechanism: str | Mechanism,
    *,
    noise: Backend = "exact",
    pairs: Sequence[str] = tuple(WORST_CASES),
    runs: int | Sequence[int] = 2_000,
    alpha: float = ALPHA,
    processes: int = 1,
    seconds: float = math.inf,
) -> tuple[Finding, ...]:
    """Run a mechanism on worst-case neighbours, and hold the privacy loss of its answers against the claim.

    Args:
        guarantee: What is claimed.
        mechanism: The mechanism, or its name.
        noise: Source of the noise; always the real one.
        pairs: Keys of :data:`~dpsynth.audit.worst_case.WORST_CASES`.
        runs: With the unit, and as many without it: for each pair, or for all alike; at least 10.
        alpha: Chance of a false violation, over all pairs together.
        processes: That share the work. With more than one, a mechanism that is given as such is sent to
            others, which those of the library that take terms cannot be: name them.
        seconds: After which no more runs are begun; divided among the pairs.

    Returns:
        For each pair one finding, ``whitebox.mu``; under pure epsilon ``whitebox.epsilon``.

    Raises:
        InputError: there is no such pair or mechanism, too few runs, or numbers of runs for other pairs.

    Privacy: free; all rows are the audit's own.
    """
    form, each = form_of(mechanism, guarantee), [runs] * len(pairs) if isinstance(runs, int) else list(runs)
    if len(each) != len(pairs) or not all(type(n) is int and n >= 10 for n in each):
        raise InputError(f"runs={runs!r} is not a whole number of at least 10, or one for each pair")
    found: list[Finding] = []
    for pair, wanted in zip(pairs, each, strict=True):
        started = time.perf_counter()
        inside, outside = draw_both(
            guarantee,
            mechanism,
            pair,
            noise=noise,
            runs=wanted,
            processes=processes,
            seconds=seconds * wanted / sum(each),
        )
        found.append(
            judge(
                inside,
                outside,
                pair=pair,
                guarantee=guarantee,
                mechanism=form.name,
                noise=noise,
                alpha=alpha / len(pairs),
                seconds=time.perf_counter() - started,
            )
        )
    return tuple(found)


def draw_both(
    guarantee: Guarantee,
    mechanism: str | Mechanism,
    pair: str,
    *,
    noise: Backend,
    runs: int,
    processes: int = 1,
    seconds: float = math.inf,
) -> tuple[Losses, Losses]:
    """Return the losses of many runs with the unit, and of as many without it.

    Args:
        guarantee: What is claimed.
        mechanism: The mechanism, or its name, which is what other processes are best told.
        pair: Name of the neighbours.
        noise: Source of the noise.
        runs: On each side; fewer where time runs out, but never fewer than 100 or ``runs``.
        processes: That share the work.
        seconds: After which no more are begun.

    Raises:
        InputError: there is no such pair or mechanism.
    """
    sizes = [min(_CHUNK, runs - done) for done in range(0, runs, _CHUNK)]
    tasks = [(guarantee, mechanism, pair, noise, size) for size in sizes]
    parts = spread(_chunk, tasks, processes=processes, seconds=seconds)
    return Losses.joined([p[0] for p in parts]), Losses.joined([p[1] for p in parts])


def _chunk(task: tuple[Guarantee, str | Mechanism, str, Backend, int]) -> tuple[Losses, Losses]:
    guarantee, named, name, noise, runs = task
    pair, mechanism = worst_case(name, guarantee), form_of(named, guarantee)
    inside, outside = (
        draw_losses(pair, mechanism, noise=noise, inside=side, runs=runs) for side in (True, False)
    )
    return inside, outside


@dataclass(frozen=True, slots=True, kw_only=True)
class _Shown:
    """What runs show, in mu or in epsilon."""

    unit: str
    ceiling: float
    point: float
    lower: float  # at the finding's level
    limit: float
    broken: bool
    tightness: float  # of the part of the claim that can be tight
    trials: int  # on each side, behind the bound
    more: dict[str, Any]


def judge(
    inside: Losses,
    outside: Losses,
    *,
    pair: str,
    guarantee: Guarantee,
    mechanism: str,
    noise: Backend,
    alpha: float = ALPHA,
    seconds: float = 0.0,
) -> Finding:
    """Hold the losses of runs on two neighbours against the claim.

    Args:
        inside: Of runs with the unit.
        outside: Of runs without it.
        pair: Name of the neighbours.
        guarantee: What is claimed.
        mechanism: Its name.
        noise: Source of the noise.
        alpha: Chance of a false violation.
        seconds: That the runs took.
    """
    claim, least = promise_of(guarantee, noise), required(guarantee.epsilon)
    shown = (_in_epsilon if claim.calculus == "pure" else _in_mu)(inside, outside, claim, alpha)
    verdict = Verdict.violation if shown.broken else Verdict.consistent
    details = {
        "mechanism": mechanism,
        "epsilon": float(guarantee.epsilon),
        "delta": float(guarantee.delta),
        "noise": noise,
        "pair": pair,
        "spent_on_choices": float(np.mean(inside.price_chosen) / float(claim.amount)),
        **shown.more,
    }
    doubtful = verdict is Verdict.consistent and shown.lower > shown.ceiling
    if doubtful or (verdict is Verdict.consistent and shown.tightness < least):
        verdict = Verdict.inconclusive
        details["runs_needed"] = max(runs_for(claim, least), 2 * shown.trials)
    return Finding(
        check=f"whitebox.{shown.unit}",
        level=Level.mechanism,
        summary=_summary(
            shown,
            verdict,
            doubtful=doubtful,
            runs=len(inside),
            pair=WORST_CASES[pair],
            alpha=alpha,
            needed=details.get("runs_needed"),
        ),
        verdict=verdict,
        value=shown.point,
        unit=shown.unit,
        interval=(shown.lower, math.inf),
        confidence=1 - alpha,
        trials=len(inside) + len(outside),
        ceiling=shown.ceiling,
        limit=shown.limit,
        baseline=0.0,
        seconds=seconds,
        details=details,
    )


def _in_mu(inside: Losses, outside: Losses, claim: Claim, alpha: float) -> _Shown:
    """Judge by the distance of the means, and by counts at 0, fixed beforehand."""
    ceiling, trials = mu_of(claim), min(len(inside), len(outside))
    point, lower = mu_lower_from_scores(inside=inside.total, outside=outside.total, alpha=alpha)
    tightness = mu_lower_from_scores(inside=inside.total, outside=outside.total, alpha=SHOWN)[1] / ceiling
    rates = _rates(inside.total, outside.total, 0.0)
    more: dict[str, Any] = {"tightness": tightness, "counted": _in_counts(rates)}
    if inside.price_chosen.any() or outside.price_chosen.any():
        booked = max(float(part.price_measured.max()) for part in (inside, outside))
        own = math.sqrt(booked * (1 if claim.calculus == "gdp" else 2))
        mu, bound = mu_lower_from_scores(inside=inside.measured, outside=outside.measured, alpha=SHOWN)
        tightness = bound / own if own else 0.0  # all of it went to choices
        more["measured"] = {"mu": mu, "booked": own, "tightness": tightness}
    return _Shown(
        unit="mu",
        ceiling=ceiling,
        point=point,
        lower=lower,
        limit=mu_limit(trials=trials, alpha=alpha),
        broken=lower > ceiling and rates.beyond(claim, alpha),
        tightness=tightness,
        trials=trials,
        more=more,
    )


def _in_epsilon(inside: Losses, outside: Losses, claim: Claim, alpha: float) -> _Shown:
    """Judge by counts at a threshold that the first fifth of the runs settles."""
    first = math.floor(_PILOT * min(len(inside), len(outside)))
    threshold = _threshold(inside.total[:first], outside.total[:first])
    rates = _rates(inside.total[first:], outside.total[first:], threshold)
    tightness = _epsilon_of(rates, SHOWN) / float(claim.amount)
    trials = min(rates.positives, rates.negatives)
    odds = [
        (rates.detections + 0.5) / (rates.alarms + 0.5),
        (rates.negatives - rates.alarms + 0.5) / (rates.positives - rates.detections + 0.5),
    ]
    return _Shown(
        unit="epsilon",
        ceiling=float(claim.amount),
        point=max(_epsilon_of(rates, SHOWN), math.log(max(odds))),
        lower=_epsilon_of(rates, alpha),
        limit=epsilon_limit(trials=trials, delta=0.0, alpha=alpha),
        broken=rates.beyond(claim, alpha),
        tightness=tightness,
        trials=trials,
        more={"tightness": tightness, "threshold": threshold, "counted": _in_counts(rates)},
    )


def _threshold(inside: Floats, outside: Floats) -> float:
    """Return the threshold at which epsilon would be seen best, if more runs came out as these did."""
    many = round(1 / _PILOT - 1)
    places = np.unique(np.quantile(np.concatenate([inside, outside]), np.linspace(0, 1, 201)))

    def seen(place: float) -> float:
        rates = _rates(inside, outside, place)
        return _epsilon_of(
            Rates(
                detections=many * rates.detections,
                positives=many * rates.positives,
                alarms=many * rates.alarms,
                negatives=many * rates.negatives,
            ),
            SHOWN,
        )

    return float(max(places, key=seen))


def _rates(inside: Floats, outside: Floats, threshold: float) -> Rates:
    return Rates(
        detections=int((inside > threshold).sum()),
        positives=inside.size,
        alarms=int((outside > threshold).sum()),
        negatives=outside.size,
    )


def _epsilon_of(rates: Rates, alpha: float) -> float:
    return epsilon_lower(
        false_positives=rates.alarms,
        negatives=rates.negatives,
        false_negatives=rates.positives - rates.detections,
        positives=rates.positives,
        delta=0.0,
        alpha=alpha,
    )


def _in_counts(rates: Rates) -> dict[str, Any]:
    return {
        "detections": rates.detections,
        "with_unit": rates.positives,
        "alarms": rates.alarms,
        "without_unit": rates.negatives,
    }


def _summary(
    shown: _Shown,
    verdict: Verdict,
    *,
    doubtful: bool,
    runs: int,
    pair: str,
    alpha: float,
    needed: int | None,
) -> str:
    text = (
        f"Of 2 x {runs:,} runs on {pair}: {shown.unit} is about {shown.point:.3g} and at least "
        f"{shown.lower:.3g} ({100 * (1 - alpha):.6g} %), where {shown.ceiling:.3g} is claimed"
    )
    if verdict is Verdict.violation:
        return f"{text}. More is lost than is claimed."
    if doubtful:
        return (
            f"{text}. That is above the claim, and plain counts do not show it yet: take about {needed:,} "
            "runs a side."
        )
    if verdict is Verdict.inconclusive:
        return f"{text}. Too few runs to tell: take about {needed:,} a side."
    return f"{text}. Tightness {shown.tightness:.2f}."
