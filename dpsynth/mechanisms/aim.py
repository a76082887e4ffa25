"""Adaptive rounds: measure what the model so far gets most wrong, at the noise the round affords.

After McKenna, Mullins, Sheldon, Miklau 2022, "AIM: An Adaptive and Iterative Mechanism for Differentially
Private Synthetic Data" (arXiv:2201.12677), Algorithms 1 to 4. With budget ``B`` (``mu**2``), ``T = 16 d`` and
``alpha = 0.9``: a round costs ``B / T``, of which ``alpha`` measures and the rest selects. All columns are
measured first. In each round the exponential mechanism chooses ``r`` from the downward closure of the
workload, among those for which the model has room at this stage of the budget, by

    q_r = w_r (||M_r(D) - M_r(model)||_1 - sqrt(2/pi) sigma n_r),    w_r = sum_s c_s |r & s|,

``r`` is measured, and the model fitted again. When the marginal moved the model by no more than its noise,
``||M_r(new) - M_r(old)||_1 <= sqrt(2/pi) sigma n_r``, rounds from then on cost four times as much (sigma is
halved, epsilon doubled). What is left when it does not last for two rounds is spent in the last one.

Deviations:

* *Prices* are in Gaussian differential privacy (in zCDP with OpenDP's noise).
* *Resolution*: a set of columns is a candidate at each of its nested resolutions (:mod:`.candidates`); the
  penalty ``n_r`` makes the trade-off. Fine numeric columns would otherwise never be chosen.
* *Room* is that of measured tables and of cliques of at most 1 MB (but for rules): rows follow tables beyond
  them too. Were cliques to hold all, a few sets of three would leave no room for other columns.
* *Noise counts for less*, in the penalty and in the annealing rule, by what denoising leaves of it
  (:func:`~dpsynth.mechanisms.pairs.noise_weight`: 0.7 where rows are few for the noise, 0.05 where many).
* *First measurements* are shared among columns by the 2/3 rule, and repeated with more of the budget where
  rows turn out to be few for the noise, as in ``oneshot``.
* *Several measurements a round*: as long as rounds are cheap, a number of marginals that share at most one
  column are chosen by as many exponential mechanisms, and measured, before the model is fitted again, some 12
  times in all. Rounds get dearer when half of them left the model standing still.
* *Lazy scoring*: candidates that are already known with no more noise than this round's are left out (the
  model errs there by about that noise, so that their score is at most about zero); so are those whose noise
  would exceed half the rows, and sets beyond the 500 of which most pairs are known. All this follows from
  the schema and noisy answers, so the set of candidates is public, as the exponential mechanism requires.
* *Estimation* is this library's, each from the round before; rows answer for the model (:mod:`.answers`).
* *Rounding*: the model's answers, penalties and weights are whole numbers, so that scores are exact.
* *Time*: past a limit, what is left measures the chosen marginals again, by the 2/3 rule. Only the time of
  public work is counted: how long the private rows take must not steer what is released.
"""

from __future__ import annotations

import dataclasses
import functools
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms.answers import Answers, answers_of
from dpsynth.mechanisms.candidates import FEW_GROUPS, Pool, candidates_of
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
from dpsynth.mechanisms.pairs import COARSEST, NOISE, noise_weight, share_weight, signal_power
from dpsynth.mechanisms.workload import ColumnSet, Workload, column_weights, downward_closure
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.levels import nested_levels
from dpsynth.privacy.curator import Curator, Measurement
from dpsynth.privacy.marginal import Integers

__all__ = ["AIM", "Settings", "adaptive"]

Floats = npt.NDArray[np.float64]

CHOICES = "choices of a marginal"
CHOSEN = "chosen marginals"
REPEATED = "chosen marginals, again"
_WEIGHT_UNIT = 2**20  # the largest weight as an integer
_CELL = 8  # bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the rounds are priced, and what limits them.

    Attributes:
        workload: The marginals that matter.
        rounds: Rounds a column that the budget is first divided into.
        measuring: Share of a round that measures; the rest selects.
        most: Largest share of the budget for the first measurements, where rows are few for the noise.
        fits: About how often the model is fitted while rounds are cheap.
        sets: Most sets of columns that are scored in a round.
        resolutions: Numbers of cells up to which a candidate's resolution is refined.
        model_size: Most memory for the model's tables and its junction tree's cliques, in MB.
        seconds: Time of public work after which what is left is spent at once.

    Raises:
        GuaranteeError: shares or numbers out of range.
    """

    workload: Workload = dataclasses.field(default_factory=lambda: Workload(ways=3))
    rounds: int = 16
    measuring: Fraction = Fraction(9, 10)
    most: Fraction = Fraction(7, 10)
    fits: int = 12
    sets: int = 500
    resolutions: tuple[int, ...] = (32, 128, 512, 2048, 8192)
    model_size: float = 80.0
    seconds: float | None = None

    def __post_init__(self) -> None:
        if min(self.rounds, self.fits, self.sets) < 1:
            raise GuaranteeError("rounds, fits and sets must be at least 1")
        if not (0 < self.measuring < 1 and self.first <= self.most < 1):
            raise GuaranteeError(
                "the share that measures must lie between 0 and 1, that of the first measurements between a "
                "round a column and 1"
            )

    @property
    def first(self) -> Fraction:
        """Share of the budget for the first measurements: of each column what a round measures for."""
        return self.measuring / self.rounds

    def one_ways(self, signal: float) -> Fraction:
        """Return the share for one-way marginals before the rounds: more where rows are few for the noise.

        Args:
            signal: Estimated rows in units of the noise of a count that had the whole budget.
        """
        share = 0.42 * (4000.0 / max(signal, 1.0)) ** 0.15
        return min(self.most, max(self.first, Fraction(round(100 * share), 100)))

    @property
    def cells(self) -> int:
        """Number of cells that the model size has room for."""
        return int(self.model_size * 2**20 / _CELL)

    def holds_a_pair(self, sizes: Sequence[int]) -> bool:
        """Whether there is room for the smallest pair of columns of these sizes, at few groups each."""
        few = sorted(min(s, FEW_GROUPS) for s in sizes)
        return len(few) > 1 and few[0] * few[1] <= self.cells


class _Stopwatch:
    """Adds up the time of public work, and of nothing else."""

    def __init__(self, limit: float | None) -> None:
        self._limit = math.inf if limit is None else limit
        self._used, self._since = 0.0, 0.0

    def __enter__(self) -> None:
        self._since = time.perf_counter()

    def __exit__(self, *_: object) -> None:
        self._used += time.perf_counter() - self._since

    @property
    def over(self) -> bool:
        """Whether the limit is passed."""
        return self._used > self._limit


def _run(settings: Settings, curator: Curator, progress: Progress) -> Measured:
    domain = curator.domain
    workload = settings.workload.resolve(domain)
    sets = [s for s in downward_closure(workload) if len(s) > 1]
    if not sets or not settings.holds_a_pair(domain.sizes):
        return Measured(measure_one_ways(curator, curator.left, progress), ())
    budget = curator.left
    one_ways = measure_one_ways(curator, budget * settings.first, progress)
    total, counts = one_way_estimates(domain, one_ways)
    signal = total * math.sqrt(signal_power(curator, budget))
    if (share := settings.one_ways(signal)) > settings.first:
        one_ways += measure_one_ways(curator, budget * (share - settings.first), progress, purpose=AGAIN)
        total, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    importance = column_weights(domain, workload)
    columns = sorted({(c,) for s in workload for c in s})
    pool = Pool(
        [
            candidate
            for s in (*columns, *sets)
            for candidate in candidates_of(
                domain, s, float(importance[list(s)].sum()), levels, settings.resolutions
            )
        ],
        len(domain),
    )
    for m in one_ways:
        pool.note(m.query.columns, (-1,), m.query, m.sigma)
    return _rounds(settings, curator, progress, pool, one_ways=one_ways, gamma=noise_weight(signal))


def _rounds(
    settings: Settings,
    curator: Curator,
    progress: Progress,
    pool: Pool,
    *,
    one_ways: tuple[Measurement, ...],
    gamma: float,
) -> Measured:
    """Choose, measure and fit until the budget is spent; ``gamma``: what denoising leaves of noise."""
    domain, whole = curator.domain, curator.left
    price = curator.budget / (settings.rounds * len(domain))
    dearest = curator.budget / settings.fits
    clock = _Stopwatch(settings.seconds)
    found = Measured(one_ways, ())
    with clock:
        answers = answers_of(domain, found)
    while not clock.over:
        progress("choosing marginals", float(1 - curator.left / whole))
        last = curator.left < 2 * price
        if last:
            price = curator.left
        sigma = 1 / math.sqrt(signal_power(curator, price * settings.measuring))
        with clock:
            spent = min(Fraction(1), (curator.spent + price) / curator.budget)
            room = int(settings.cells * spent)
            open_to = pool.promising(
                sigma,
                most_noise=answers.total / 2,
                room=room,
                most_sets=settings.sets,
            )
            old = answers.to([pool.candidates[i].query for i in open_to])
        if open_to:
            many = 1 if last else max(1, min(int(dearest / price), int(curator.left / price) - 1))
            spending = _Spending(price * (1 - settings.measuring), price * settings.measuring, last, gamma)
            fresh = _measure_some(curator, pool, open_to, old, many=many, spending=spending)
            found = _with(found, fresh)
        if last:
            break
        if open_to:
            with clock:
                answers = answers_of(domain, found, answers)
                still = sum(_is_still(m, old, answers, gamma) for m in fresh)
        if not open_to or 2 * still >= len(fresh):
            price *= 4
    if curator.left > whole / 2**20:
        found = _with(found, _measure_again(curator, found, pool))
    progress("choosing marginals", 1.0)
    return found


@dataclass(frozen=True, slots=True)
class _Spending:
    """What one choice and its measurement may cost; the last takes all that is left."""

    choosing: Fraction
    measuring: Fraction
    last: bool
    gamma: float


def _measure_some(
    curator: Curator,
    pool: Pool,
    open_to: list[int],
    answers: dict[int, Integers],
    *,
    many: int,
    spending: _Spending,
) -> list[Measurement]:
    """Choose and measure marginals that share at most one column.

    Privacy: for each one exponential mechanism and one Gaussian act, through the curator. Candidates,
    references, handicaps and weights follow from noisy answers and the workload alone.
    """
    fresh: list[Measurement] = []
    sigma = 1 / math.sqrt(signal_power(curator, spending.measuring))
    while open_to and len(fresh) < many:
        offered = [pool.candidates[i] for i in open_to]
        heaviest = max(c.weight for c in offered)
        place = curator.select(
            [c.query for c in offered],
            lambda query: answers[id(query)],
            budget=spending.choosing,
            purpose=CHOICES,
            handicap=[round(spending.gamma * NOISE * sigma * c.query.cells) for c in offered],
            weights=[max(1, round(_WEIGHT_UNIT * c.weight / heaviest)) for c in offered],
        )
        chosen = offered[place]
        share = curator.left if spending.last else spending.measuring
        measured = curator.measure(chosen.query, budget=share, purpose=CHOSEN)
        fresh.append(measured)
        pool.note(chosen.columns, chosen.at, chosen.query, measured.sigma)
        open_to = [i for i in open_to if not _entangled(pool.candidates[i].columns, chosen.columns)]
    return fresh


def _entangled(columns: ColumnSet, chosen: ColumnSet) -> bool:
    """Whether what was just measured says much of these columns: a shared pair, or all they are."""
    return len(set(columns) & set(chosen)) >= min(2, len(columns))


def _is_still(measured: Measurement, old: dict[int, Integers], new: Answers, gamma: float) -> bool:
    """Whether a marginal moved the model by no more than the noise it was measured with."""
    (table,) = new.to([measured.query]).values()
    moved = float(np.abs(table - old[id(measured.query)]).sum())
    return moved <= gamma * NOISE * measured.sigma * measured.values.size


def _with(found: Measured, fresh: Sequence[Measurement]) -> Measured:
    columns = [m for m in fresh if len(m.query.columns) == 1]
    tables = [m for m in fresh if len(m.query.columns) > 1]
    return Measured((*found.one_ways, *columns), (*found.tables, *tables))


def _measure_again(curator: Curator, found: Measured, pool: Pool) -> list[Measurement]:
    """Spend what is left on the marginals measured so far, each in proportion to ``(w n)**(2/3)``."""
    weights = {c.query.columns: c.weight for c in pool.candidates}
    least = min(weights.values())  # of a column that the workload leaves out
    places = {(m.query.columns, m.query.shape): m.query for m in (*found.one_ways, *found.tables)}
    queries = list(places.values())
    parts = [Fraction(share_weight(weights.get(q.columns, least) * q.cells)) for q in queries]
    budget, whole = curator.left, sum(parts)
    return [
        curator.measure(query, budget=budget * part / whole, purpose=REPEATED)
        for query, part in zip(queries, parts, strict=True)
    ]


def adaptive(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's."""

    def adapt(terms: Terms) -> Mechanism:
        given = {name: getattr(terms, name) for name in terms.given}
        return adaptive(dataclasses.replace(settings, **given))

    return Mechanism(
        name="aim",
        summary="adaptive rounds: what the model gets most wrong is measured next (McKenna et al. 2022)",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
        takes=("workload", "model_size", "seconds"),
        adapt=adapt,
    )


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    workload = settings.workload.resolve(domain)
    if not any(len(s) > 1 for s in workload) or not settings.holds_a_pair(domain.sizes):
        alone = planned_one_ways(domain, budget, rows_per_unit, 1.0)
        if len(domain) == 1 or not any(len(s) > 1 for s in workload):
            return (alone,)
        warning = (
            f"the model size of {settings.model_size:g} MB has room for no pair of columns: aim measures "
            "one-way marginals only; raise the model size"
        )
        return (dataclasses.replace(alone, warning=warning),)
    first = float(settings.first)
    rest, measuring = 1 - float(settings.most), float(settings.measuring)
    rounds = settings.rounds * len(domain)
    acts = rounds + len(domain)  # in the last, what is left measures the chosen again and each column
    most = max(settings.resolutions[-1], COARSEST)
    largest = max(*domain.sizes, min(most, max(domain.cells(s) for s in workload)))
    importance = column_weights(domain, workload)
    ratio = importance[importance > 0].min() / (max(map(len, workload)) * importance.max() * largest)
    smallest = share_weight(ratio) / (1.01 * acts * rounds)

    def sigma(share: float) -> float:
        return rows_per_unit / math.sqrt(budget * share)

    return (
        planned_one_ways(domain, budget, rows_per_unit, first),
        planned_again(domain, budget, rows_per_unit, settings.first, settings.most),
        Stage(
            purpose=CHOICES,
            acts=rounds,
            share=rest * (1 - measuring),
            sigma=(0.0, 0.0),
            cells=rounds,
            note="one a marginal, by lot: the further the model is off, the likelier",
        ),
        Stage(
            purpose=CHOSEN,
            acts=rounds,
            share=rest * measuring,
            sigma=(sigma(1 - first), sigma(measuring / rounds)),
            cells=rounds * largest,
            note=f"rounds of 1/{rounds} of the budget, dearer by four when the model stands still",
        ),
        Stage(
            purpose=REPEATED,
            acts=acts,
            share=0.0,
            sigma=(sigma(1 - first), sigma(smallest)),
            cells=acts * largest,
            note="what is left when time is up or nothing is worth a round",
        ),
    )


AIM = adaptive(Settings())
