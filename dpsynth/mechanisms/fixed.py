"""The marginals that the user names, each as finely as the budget affords; nothing is chosen.

1. One-way marginals of all columns, denoised; nested resolutions from them. They get a quarter of the
   budget first, and up to 70 % where rows turn out to be few for the noise.
2. The workload's marginals of two and more columns share the rest in proportion to ``(w n)**(2/3)``, ``w``
   the weight and ``n`` the cells: of all divisions this has the least weighted error ``sum w n sigma``.
3. Where the noise of one, after what denoising takes off, would exceed a quarter of the rows, it is measured
   at the next coarser of its nested resolutions; the worst is coarsened first, and the budget divided anew.

Nothing is spent on selection. Without a workload it measures all pairs of columns.

References: Zhang et al. 2021 (PrivSyn), section 4.3 (the 2/3 rule); the resolutions are our own.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from dpsynth.domain import Domain
from dpsynth.errors import GuaranteeError, InputError
from dpsynth.mechanisms.candidates import Candidate, candidates_of
from dpsynth.mechanisms.mechanism import (
    AGAIN,
    Measured,
    Mechanism,
    Progress,
    Stage,
    Terms,
    measure_one_ways,
    planned_again,
    planned_one_ways,
)
from dpsynth.mechanisms.pairs import NOISE, noise_weight, share_weight, signal_power
from dpsynth.mechanisms.workload import ColumnSet, Workload
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.levels import nested_levels
from dpsynth.privacy.curator import Curator, Measurement

__all__ = ["FIXED", "NAMED", "Settings", "named_marginals"]

NAMED = "named marginals"
_RESOLUTIONS = tuple(2**k for k in range(5, 21))
_MOST_GROUPS = 12  # of a column at its coarsest


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What is measured, and how the budget is divided.

    Attributes:
        workload: The marginals.
        least: Share of the budget for one-way marginals before anything is known.
        most: Largest share for one-way marginals, when rows are few for the noise.
        tolerance: Noise of a table after denoising, in parts of the rows, above which it is coarsened.

    Raises:
        GuaranteeError: shares that are not positive, out of order, or leave nothing for the marginals.
    """

    workload: Workload = dataclasses.field(default_factory=lambda: Workload(ways=2))
    least: Fraction = Fraction(1, 4)
    most: Fraction = Fraction(7, 10)
    tolerance: float = 0.25

    def __post_init__(self) -> None:
        if not (0 < self.least <= self.most < 1 and self.tolerance > 0):
            raise GuaranteeError("the shares of one-way marginals must satisfy 0 < least <= most < 1")

    def one_ways(self, signal: float) -> Fraction:
        """Return the share of one-way marginals: less where there are many rows for the noise."""
        share = 0.42 * (4000.0 / max(signal, 1.0)) ** 0.15
        return min(self.most, max(self.least, Fraction(round(100 * share), 100)))


def _sets(settings: Settings, domain: Domain) -> dict[ColumnSet, float]:
    """Return the workload's sets of two and more columns, with their weights.

    Raises:
        InputError: one that is too large to count, however coarsely.
    """
    found = {s: w for s, w in settings.workload.resolve(domain).items() if len(s) > 1}
    for columns in found:
        if math.prod(min(domain.axes[c].size, _MOST_GROUPS) for c in columns) > _RESOLUTIONS[-1]:
            names = ", ".join(domain.names[c] for c in columns)
            raise InputError(
                f"the marginal ({names}) has too many columns to be measured as one table; split it"
            )
    return found


def _run(settings: Settings, curator: Curator, progress: Progress) -> Measured:
    domain, budget = curator.domain, curator.left
    sets = _sets(settings, domain)
    if not sets:
        return Measured(measure_one_ways(curator, budget, progress), ())
    one_ways = measure_one_ways(curator, budget * settings.least, progress)
    total, counts = one_way_estimates(domain, one_ways)
    share = settings.one_ways(total * math.sqrt(signal_power(curator, budget)))
    if share > settings.least:
        one_ways += measure_one_ways(curator, budget * (share - settings.least), progress, purpose=AGAIN)
        total, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    ladders = [candidates_of(domain, s, w, levels, _RESOLUTIONS) for s, w in sets.items()]
    rest = budget * (1 - share)
    chosen = _affordable([c for c in ladders if c], signal_power(curator, rest), total, settings.tolerance)
    return Measured(one_ways, _measure(curator, chosen, rest, progress))


def _affordable(
    ladders: Sequence[Sequence[Candidate]], power: float, total: float, tolerance: float
) -> list[Candidate]:
    """Return one resolution of each set of columns: the finest whose noise is tolerable, where one is.

    Args:
        ladders: Resolutions of each set, coarse to fine.
        power: ``1 / sigma**2`` of one measurement that got the whole budget.
        total: Estimated number of rows.
        tolerance: Parts of the rows.
    """
    at = np.array([len(ladder) - 1 for ladder in ladders])
    cells = np.array([float(ladder[-1].query.cells) for ladder in ladders])
    weights = np.array([ladder[0].weight for ladder in ladders])
    limit = tolerance * total / (noise_weight(total * math.sqrt(power)) * NOISE)
    while True:
        shares = (weights * cells) ** (2 / 3)
        noise = cells * np.sqrt(shares.sum() / shares / power)
        worst = int(np.where(at > 0, noise, 0.0).argmax())
        if at[worst] == 0 or noise[worst] <= limit:
            return [ladder[i] for ladder, i in zip(ladders, at, strict=True)]
        at[worst] -= 1
        cells[worst] = float(ladders[worst][at[worst]].query.cells)


def _measure(
    curator: Curator, chosen: Sequence[Candidate], budget: Fraction, progress: Progress
) -> tuple[Measurement, ...]:
    """Measure tables, dividing the budget in proportion to ``(w n)**(2/3)``.

    Privacy: spends at most ``budget`` through :meth:`Curator.measure`.
    """
    parts = [Fraction(share_weight(c.weight * c.query.cells)) for c in chosen]
    whole = sum(parts)
    measured: list[Measurement] = []
    for candidate, part in zip(chosen, parts, strict=True):
        measured.append(curator.measure(candidate.query, budget=budget * part / whole, purpose=NAMED))
        progress("measuring marginals", len(measured) / len(chosen))
    return tuple(measured)


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    sets = _sets(settings, domain)
    if not sets:
        return (planned_one_ways(domain, budget, rows_per_unit, 1.0),)
    rest = 1 - float(settings.most)
    most = [min(domain.cells(s), _RESOLUTIONS[-1]) for s in sets]
    least = [math.prod(min(domain.axes[c].size, 2) for c in s) for s in sets]
    largest = sum(share_weight(w * n) for w, n in zip(sets.values(), most, strict=True))
    smallest = min(share_weight(w * n) for w, n in zip(sets.values(), least, strict=True))
    alone = 1 - float(settings.least)
    stages = [planned_one_ways(domain, budget, rows_per_unit, float(settings.least))]
    if settings.most > settings.least:
        stages.append(planned_again(domain, budget, rows_per_unit, settings.least, settings.most))
    return (
        *stages,
        Stage(
            purpose=NAMED,
            acts=len(sets),
            share=rest,
            sigma=(
                rows_per_unit / math.sqrt(budget * alone),
                rows_per_unit / math.sqrt(budget * rest * smallest / (largest + smallest)),
            ),
            cells=sum(most),
            note="at least this share; a table too fine for its noise is measured more coarsely",
        ),
    )


def named_marginals(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's."""

    def adapt(terms: Terms) -> Mechanism:
        chosen = (
            settings if terms.workload is None else dataclasses.replace(settings, workload=terms.workload)
        )
        return named_marginals(chosen)

    return Mechanism(
        name="fixed",
        summary="the marginals that the workload names, as finely as the budget affords",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
        takes=("workload",),
        adapt=adapt,
    )


FIXED = named_marginals(Settings())
