"""As many pairs as the budget affords, chosen and measured at once; where rows are many, sets of three after.

1. One-way marginals, denoised; nested resolutions of each column from them. They get 25 % of the budget
   first; the number of rows these suggest decides how much more they need (up to 70 % where rows are few).
2. The distance of every pair from independence, at every resolution the noise could allow, by one Gaussian
   act (5 %); unless rows are so few that no pair would be measured however dependent.
3. The pairs, and for each its resolution, of greatest gain less the error that their noise brings under
   the best division of the rest of the budget; those are measured. What columns make better use of, they get.
4. Where there are many rows for the noise, part of the budget of the pairs is kept for sets of three columns:
   a model of what was measured so far says what to expect of them, noisy distances from that are asked (5 %
   of that part), and the sets worth their noise are measured, by the same rule as the pairs.
5. A network is fitted: every pair denoised, as many as fit in a junction tree, and the rows drawn from it
   polished towards all of them.

References: the selection is after SWIFT (google/dpsynth, unpublished) and PrivSyn (Zhang et al. 2021, section
4), with resolutions, debiased scores and no limit by cliques; nothing is spent on larger marginals.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms.choosing import TENTHS, Forecast, best_options, divide
from dpsynth.mechanisms.mechanism import (
    AGAIN,
    INSTEAD,
    Measured,
    Mechanism,
    Progress,
    Stage,
    column_errors,
    measure_one_ways,
    planned_one_ways,
)
from dpsynth.mechanisms.pairs import (
    COARSEST,
    PAIRS,
    PAIRS_AGAIN,
    RESOLUTIONS,
    SCORES,
    Option,
    dependence_gains,
    expected_gains,
    implied_tables,
    measure_options,
    noise_weight,
    pair_options,
    share_weight,
    signal_power,
)
from dpsynth.mechanisms.triples import (
    CANDIDATES,
    LARGEST_TRIPLE,
    SCORES_OF_TRIPLES,
    TRIPLE_RESOLUTIONS,
    TRIPLES,
    triple_options,
)
from dpsynth.model.estimation import one_way_estimates, one_way_variances
from dpsynth.model.levels import Level, nested_levels
from dpsynth.model.structure import fit_model
from dpsynth.privacy.curator import Curator, Measurement

__all__ = ["ONESHOT", "Settings", "one_shot"]

Floats = npt.NDArray[np.float64]

_MEASURED = 0.6  # share of all pairs that is typically worth measuring
_FEW_ROWS, _MANY_ROWS = (
    15_000.0,
    60_000.0,
)  # signal below which nothing, and above which all is kept for triples
_STRONG = 0.3  # distance from independence of a dependent pair, as a share of the rows
_TRIPLES = 40  # sets of three columns that are typically worth measuring
_SELECTION_OF_TRIPLES = Fraction(1, 20)
_PUBLIC_SEED = 0  # of the rows that sets of three columns are compared with: post-processing


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the budget is divided.

    Attributes:
        least: Share of the budget for one-way marginals before anything is known.
        most: Largest share for one-way marginals, when rows are few for the noise.
        selection: Share for the distances from independence; the pairs get the rest.
        larger: Largest part of the rest that is kept for sets of three columns, when rows are many.
        resolutions: Numbers of cells up to which a pair's resolution is refined, one option each.

    Raises:
        GuaranteeError: shares that are not positive or leave nothing for the pairs.
    """

    least: Fraction = Fraction(1, 4)
    most: Fraction = Fraction(7, 10)
    selection: Fraction = Fraction(1, 20)
    larger: Fraction = Fraction(3, 20)
    resolutions: tuple[int, ...] = RESOLUTIONS

    def __post_init__(self) -> None:
        if not (0 < self.least <= self.most and self.selection > 0 and self.most + self.selection < 1):
            raise GuaranteeError(
                "the shares of one-way marginals and of selection must be positive, least at most most, "
                "and leave something for the pairs"
            )
        if not 0 <= self.larger < 1:
            raise GuaranteeError("the part kept for sets of three columns must be at least 0 and below 1")

    def one_ways(self, signal: float) -> Fraction:
        """Return the share of one-way marginals: less where there are many rows for the noise.

        Args:
            signal: Estimated rows in units of the noise of a count that had the whole budget.
        """
        share = 0.42 * (4000.0 / max(signal, 1.0)) ** 0.15
        return min(self.most, max(self.least, Fraction(round(100 * share), 100)))

    def triples(self, signal: float) -> Fraction:
        """Return the part of the pairs' budget that is kept for sets of three columns.

        Args:
            signal: As for :meth:`one_ways`.
        """
        grown = math.log(max(signal, 1.0) / _FEW_ROWS) / math.log(_MANY_ROWS / _FEW_ROWS)
        return self.larger * Fraction(round(100 * min(1.0, max(0.0, grown))), 100)


def _run(settings: Settings, curator: Curator, progress: Progress) -> Measured:
    domain, budget = curator.domain, curator.left
    if len(domain) == 1:
        return Measured(measure_one_ways(curator, budget, progress), ())
    one_ways = measure_one_ways(curator, budget * settings.least, progress)
    total, counts = one_way_estimates(domain, one_ways)
    signal = total * math.sqrt(signal_power(curator, budget))
    share = settings.one_ways(signal)
    if share > settings.least:
        more = measure_one_ways(curator, budget * (share - settings.least), progress, purpose=AGAIN)
        one_ways = (*one_ways, *more)
        total, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    rest = budget * (1 - share - settings.selection)
    kept = rest * settings.triples(signal) if len(domain) > 2 else Fraction(0)
    rest -= kept
    power = signal_power(curator, rest)
    every = len(domain) * (len(domain) - 1) // 2
    options = pair_options(
        levels,
        counts,
        total=total,
        sigma=math.sqrt(_MEASURED * every / power),
        resolutions=settings.resolutions,
        implied=implied_tables(domain, counts),
        variances=one_way_variances(domain, one_ways, counts),
    )
    progress("choosing pairs", 0.0)
    known = signal_power(curator, budget * share)

    def division(gains: Floats) -> tuple[int, list[int]]:
        return divide(
            Forecast(options, gains),
            power,
            lambda more: column_errors(domain, counts, known + more),
            lambda part: best_options(options, gains, part, noise_weight(total * math.sqrt(part))),
        )

    chosen: list[int] = []
    if division(np.full(len(options), _STRONG * total))[0]:
        tenths, chosen = division(expected_gains(curator, options, budget * settings.selection, total=total))
    progress("choosing pairs", 1.0)
    if not chosen:
        again = measure_one_ways(curator, curator.left, progress, purpose=INSTEAD)
        return Measured((*one_ways, *again), ())
    pairs = measure_options(curator, [options[i] for i in chosen], rest * tenths / TENTHS, progress)
    if tenths < TENTHS:
        left = rest * (TENTHS - tenths) / TENTHS
        one_ways = (*one_ways, *measure_one_ways(curator, left, progress, purpose=INSTEAD))
    if not kept:
        return Measured(one_ways, pairs)
    return Measured(one_ways, (*pairs, *_triples(curator, Measured(one_ways, pairs), levels, kept, progress)))


def _triples(
    curator: Curator,
    so_far: Measured,
    levels: Sequence[Sequence[Level]],
    budget: Fraction,
    progress: Progress,
) -> tuple[Measurement, ...]:
    """Measure the sets of three columns that are worth their noise; if none is, the pairs again."""
    progress("choosing sets of three columns", 0.0)
    model = fit_model(curator.domain, so_far.one_ways, so_far.tables)
    rest = budget * (1 - _SELECTION_OF_TRIPLES)
    power, total = signal_power(curator, rest), max(model.total, 1.0)
    options = triple_options(
        levels,
        model,
        total=total,
        sigma=math.sqrt(_TRIPLES / power),
        rng=np.random.default_rng(_PUBLIC_SEED),
    )
    chosen: list[int] = []
    if options:
        gains = dependence_gains(curator, options, budget * _SELECTION_OF_TRIPLES, purpose=SCORES_OF_TRIPLES)
        chosen = best_options(options, gains, power, noise_weight(total * math.sqrt(power)))
    progress("choosing sets of three columns", 1.0)
    if chosen:
        best = [options[i] for i in chosen]
        return measure_options(
            curator, best, rest, progress, purpose=TRIPLES, stage="measuring sets of three"
        )
    queries = [Option(p.query, np.zeros(p.query.shape, dtype=np.int64), 0.0) for p in so_far.tables]
    return measure_options(curator, queries, curator.left, progress, purpose=PAIRS_AGAIN)


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    pairs = list(itertools.combinations(domain.sizes, 2))
    if not pairs:
        return (planned_one_ways(domain, budget, rows_per_unit, 1.0),)
    selection, more = float(settings.selection), float(settings.most - settings.least)
    least_rest, most_rest = 1 - float(settings.most) - selection, 1 - float(settings.least) - selection
    steps = (4, *settings.resolutions[:-1])  # what a pair's table must exceed to have one more resolution
    options = sum(1 + sum(a * b > s for s in steps) for a, b in pairs)
    most = [min(a * b, max((*settings.resolutions, COARSEST))) for a, b in pairs]
    least = min(min(a, 2) * min(b, 2) for a, b in pairs)
    smallest = 1 + (sum(map(share_weight, most)) - share_weight(min(most))) / share_weight(least)

    smallest_division = least_rest * float(1 - settings.larger) / TENTHS

    def sigma(share: float) -> float:
        return rows_per_unit / math.sqrt(budget * share)

    stages = [planned_one_ways(domain, budget, rows_per_unit, float(settings.least))]
    if more > 0:
        again = planned_one_ways(domain, budget, rows_per_unit, more)
        next_hundredth = Fraction(math.floor(100 * settings.least) + 1, 100)
        slight = float(min(next_hundredth, settings.most) - settings.least)
        stages.append(
            dataclasses.replace(
                again,
                purpose=AGAIN,
                sigma=(again.sigma[0], planned_one_ways(domain, budget, rows_per_unit, slight).sigma[1]),
                note="up to this share where rows are few for the noise; what they leave, the pairs get",
            )
        )
    return (
        *stages,
        Stage(
            purpose=SCORES,
            acts=1,
            share=selection,
            sigma=(sigma(selection / len(pairs)), sigma(selection / options)),
            cells=options,
            note="each pair of columns, at the resolutions the noise allows; none if rows are far too few",
            distances=True,
        ),
        Stage(
            purpose=PAIRS,
            acts=len(pairs),
            share=least_rest,
            sigma=(sigma(most_rest), sigma(smallest_division / smallest)),
            cells=sum(most),
            note="at least this share, for the pairs worth their noise and the next",
        ),
        Stage(
            purpose=INSTEAD,
            acts=len(domain),
            share=0.0,
            sigma=(
                planned_one_ways(domain, budget, rows_per_unit, most_rest + selection).sigma[0],
                planned_one_ways(domain, budget, rows_per_unit, smallest_division).sigma[1],
            ),
            cells=sum(domain.sizes),
            note="what columns make better use of than pairs; all that is left, if no pair is worth it",
        ),
        *(_plan_triples(settings, domain, sigma) if len(domain) > 2 and settings.larger else ()),
    )


def _plan_triples(settings: Settings, domain: Domain, sigma: Callable[[float], float]) -> tuple[Stage, Stage]:
    """Return the plan's lines for sets of three columns, which are paid from the pairs' share."""
    most = float(settings.larger * (1 - settings.least - settings.selection))
    least = float(settings.larger * (1 - settings.most - settings.selection)) / 100
    selection = float(_SELECTION_OF_TRIPLES)
    sets = min(CANDIDATES, math.comb(len(domain), 3))
    options = sets * len(TRIPLE_RESOLUTIONS)
    acts, cells = max(sets, math.comb(len(domain), 2)), max(LARGEST_TRIPLE, *settings.resolutions, COARSEST)
    part = f"up to {100 * settings.larger} % of the pairs' share"
    return (
        Stage(
            purpose=SCORES_OF_TRIPLES,
            acts=1,
            share=0.0,
            sigma=(sigma(most * selection), sigma(least * selection / options)),
            cells=options,
            note=f"where rows are many for the noise; with the next, {part}",
            distances=True,
        ),
        Stage(
            purpose=TRIPLES,
            acts=acts,
            share=0.0,
            sigma=(sigma(most), sigma(least * (1 - selection) / (acts * share_weight(cells)))),
            cells=acts * cells,
            note="those worth their noise, larger tables at larger shares; if none is, pairs again",
        ),
    )


def one_shot(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's, for studies of what each is worth."""
    return Mechanism(
        name="oneshot",
        summary="as many pairs as the budget affords, and sets of three where rows are many",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
    )


ONESHOT = one_shot(Settings())
