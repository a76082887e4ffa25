"""Pairs of columns as candidates: at which resolution, worth how much, at what price."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.mechanisms.mechanism import Progress, size_rule
from dpsynth.mechanisms.shrinkage import expected_distances
from dpsynth.model.groups import group_sums, sum_groups
from dpsynth.model.levels import Level
from dpsynth.model.structure import fit_network
from dpsynth.model.zeros import keep_rules, tied_columns
from dpsynth.privacy.curator import Curator, Measurement
from dpsynth.privacy.marginal import Marginal
from dpsynth.privacy.sensitivity import of_counts

__all__ = [
    "COARSEST",
    "NOISE",
    "PAIRS",
    "PAIRS_AGAIN",
    "RESOLUTIONS",
    "SCORES",
    "Option",
    "dependence_gains",
    "expected_gains",
    "implied_tables",
    "measure_options",
    "noise_weight",
    "pair_options",
    "share_weight",
    "signal_power",
]

Floats = npt.NDArray[np.float64]

NOISE = math.sqrt(2 / math.pi)  # E|N(0, 1)|
_LARGEST_IMPLIED = 2**20  # cells of a table that rules imply of a pair
COARSEST = 1024  # cells that no pair's coarsest table exceeds
RESOLUTIONS = (32, 128, 512, 2048, 8192)
SCORES = "distances of pairs from independence"
PAIRS = "pair marginals"
PAIRS_AGAIN = "pair marginals, again"


@dataclass(frozen=True, slots=True, eq=False)
class Option:
    """Some columns at one resolution: what to measure, and what to compare it with.

    Attributes:
        query: The grouped contingency table.
        reference: What independent columns, or a model, would give, in whole rows.
        stray: Expected L1 distance from the reference by chance alone, in rows: the chance of who is in the
            table, which is no dependence.
    """

    query: Marginal
    reference: npt.NDArray[np.int64]
    stray: float


def pair_options(
    levels: Sequence[Sequence[Level]],
    counts: Sequence[Floats],
    *,
    total: float,
    sigma: float,
    resolutions: Sequence[int],
    implied: Mapping[tuple[int, int], Floats] | None = None,
    variances: Sequence[Floats] | None = None,
) -> list[Option]:
    """Return the resolutions of all pairs, each pair's from coarse to fine.

    From the coarsest on, the column of fewer groups is refined first, as long as the table stays within the
    next of ``resolutions``. Options whose noise would drown any signal are left out, but for the coarsest.

    Args:
        levels: Nested resolutions of each column, fine to coarse.
        counts: Denoised one-way counts of each column.
        total: Estimated number of rows.
        sigma: Noise to expect in a cell, in rows.
        resolutions: Numbers of cells, increasing.
        implied: What to compare some pairs with, in rows at full resolution, instead of independent columns.
        variances: Of the errors in ``counts``; zeros if not given.
    """
    known = implied or {}
    doubts = variances or [np.zeros_like(c) for c in counts]
    return [
        option
        for pair in itertools.combinations(range(len(levels)), 2)
        for option in _options(
            pair,
            levels,
            counts,
            total=total,
            sigma=sigma,
            resolutions=resolutions,
            implied=known.get(pair),
            doubts=doubts,
        )
    ]


def implied_tables(domain: Domain, counts: Sequence[Floats]) -> dict[tuple[int, int], Floats]:
    """Return what rules and the columns alone tell of pairs of columns that rules tie, in rows.

    A pair is worth measuring for what it tells beyond that: a column that another determines tells nothing.

    Args:
        domain: The columns and their rules.
        counts: Denoised one-way counts of each column.

    Returns:
        Expected counts of pairs of at most 2**20 cells, at full resolution.
    """
    tied = tied_columns(domain.rules)
    pairs = [
        pair
        for pair in itertools.combinations(sorted(tied), 2)
        if tied[pair[0]] == tied[pair[1]] and domain.cells(pair) <= _LARGEST_IMPLIED
    ]
    if not pairs:
        return {}
    nodes = [c / c.sum() for c in counts]
    model = fit_network(domain, float(counts[0].sum()), *keep_rules(domain, nodes, ()))
    return dict(zip(pairs, model.marginals(pairs), strict=True))


def _options(
    pair: tuple[int, int],
    levels: Sequence[Sequence[Level]],
    counts: Sequence[Floats],
    *,
    total: float,
    sigma: float,
    resolutions: Sequence[int],
    implied: Floats | None,
    doubts: Sequence[Floats],
) -> list[Option]:
    first, second = pair
    at = [len(levels[first]) - 1, len(levels[second]) - 1]
    chosen = [tuple(at)]
    for limit in resolutions:
        while True:
            finer = []
            for side, column in enumerate(pair):
                step = [at[0] - (side == 0), at[1] - (side == 1)]
                if step[side] >= 0 and levels[first][step[0]].size * levels[second][step[1]].size <= limit:
                    finer.append((levels[column][at[side]].size, step))
            if not finer:
                break
            at = min(finer)[1]
        if tuple(at) != chosen[-1]:
            chosen.append(tuple(at))
    options: list[Option] = []
    for i, j in chosen:
        a, b = levels[first][i], levels[second][j]
        if options and NOISE * sigma * a.size * b.size > 3 * total:
            break
        if implied is None:
            rows = group_sums(a.groups, counts[first], a.size)
            columns = group_sums(b.groups, counts[second], b.size)
            product = np.outer(rows, columns) / total
        else:
            product = sum_groups(sum_groups(implied, a.groups, 0), b.groups, 1)
        query = Marginal(pair, (a.groups, b.groups))
        errors = [
            group_sums(g, doubts[c], s) for c, g, s in zip(pair, query.groups, query.shape, strict=True)
        ]
        stray = _stray(product, total, errors)
        options.append(Option(query, np.rint(product).astype(np.int64), stray))
    return options


def _stray(expected: Floats, total: float, errors: Sequence[Floats]) -> float:
    """Return how far a table of independent columns is from ``expected``, by chance and the columns' errors.

    Given its margins, a cell that expects ``m = a b / N`` rows has variance ``m (1 - a/N) (1 - b/N)``;
    ``E|Poisson(m) - m|`` is nearly ``2 m exp(-m)`` for small ``m`` and ``sqrt(2 m / pi)`` for large.
    """
    rows, columns = expected.sum(axis=1) / total, expected.sum(axis=0) / total
    chance = np.where(expected < 1.5, 2 * expected * np.exp(-expected), NOISE * np.sqrt(expected))
    free = np.outer(np.maximum(1 - rows, 0.0), np.maximum(1 - columns, 0.0))
    known = np.outer(errors[0], np.square(columns)) + np.outer(np.square(rows), errors[1])
    return float(np.sqrt(np.square(chance) * free + NOISE**2 * known).sum())


def dependence_gains(
    curator: Curator, options: Sequence[Option], budget: Fraction, *, purpose: str = SCORES
) -> Floats:
    """Return how far each option is from its reference, in rows, noisy and with chance taken off.

    The finer of two nested tables is never nearer to independence: of each set of columns the noisy distances
    are first replaced by the nearest ones, in least squares, that do not fall from coarse to fine.

    Args:
        curator: Who answers.
        options: Those of one set of columns next to each other, from coarse to fine, each nested in the next.
        budget: What to spend.
        purpose: For the ledger.

    Privacy: spends ``budget`` on one Gaussian act over all options, through :meth:`Curator.score`.
    """
    rising, _ = _distances(curator, options, budget, purpose)
    stray = np.square([o.stray for o in options])
    gains: Floats = np.sqrt(np.maximum(np.square(np.maximum(rising, 0.0)) - stray, 0.0))
    return gains


def expected_gains(curator: Curator, options: Sequence[Option], budget: Fraction, *, total: float) -> Floats:
    """Return how far each option can be expected to be from its reference, in rows.

    As :func:`dependence_gains`, but noisy distances are not taken at their word: a prior learned from all
    of them says how far each is to be believed (:func:`.shrinkage.expected_distances`).

    Args:
        curator: Who answers.
        options: As for :func:`dependence_gains`.
        budget: What to spend.
        total: Estimated number of rows.

    Privacy: spends ``budget`` on one Gaussian act over all options, through :meth:`Curator.score`.
    """
    rising, noise = _distances(curator, options, budget, SCORES)
    return expected_distances(rising, noise, np.array([o.stray for o in options]), 2.0 * total)


def _distances(
    curator: Curator, options: Sequence[Option], budget: Fraction, purpose: str
) -> tuple[Floats, Floats]:
    """Ask for distances; return them pooled, and the standard deviation of the noise left in each."""
    references = {id(o.query): o.reference for o in options}
    scores, sigma = curator.score(
        [o.query for o in options], lambda query: references[id(query)], budget=budget, purpose=purpose
    )
    runs = itertools.groupby(
        zip(options, scores.tolist(), strict=True), key=lambda pair: pair[0].query.columns
    )
    rising, members = np.hstack([_rising([score for _, score in run]) for _, run in runs])
    return rising, sigma / np.sqrt(members)


def _rising(values: Sequence[float]) -> Floats:
    """Return the non-decreasing sequence nearest to ``values``, and how many each value pools.

    Nearest in least squares, by pooling neighbours; array of shape ``(2, values)``.

    Reference: Barlow, Bartholomew, Bremner, Brunk 1972, "Statistical Inference under Order Restrictions".
    """
    pools: list[tuple[float, int]] = []
    for value in values:
        mean, size = float(value), 1
        while pools and pools[-1][0] > mean:
            before, members = pools.pop()
            mean, size = (mean * size + before * members) / (size + members), size + members
        pools.append((mean, size))
    sizes = [size for _, size in pools]
    return np.repeat(np.array([[mean for mean, _ in pools], sizes], dtype=np.float64), sizes, axis=1)


def measure_options(
    curator: Curator,
    options: Sequence[Option],
    budget: Fraction,
    progress: Progress,
    *,
    purpose: str = PAIRS,
    stage: str = "measuring pairs",
) -> tuple[Measurement, ...]:
    """Measure options, dividing the budget by the 2/3 rule over their cells (in pure epsilon the 1/2 rule).

    Privacy: spends at most ``budget`` through :meth:`Curator.measure`.
    """
    rule = size_rule(curator.calculus)
    weights = [Fraction(math.pow(o.query.cells, rule)) for o in options]
    whole = sum(weights)
    measured = []
    for option, weight in zip(options, weights, strict=True):
        part = budget * weight / whole
        measured.append(curator.measure(option.query, budget=part, purpose=purpose))
        progress(stage, len(measured) / len(options))
    return tuple(measured)


def signal_power(curator: Curator, budget: Fraction) -> float:
    """Return ``1 / sigma**2`` of one marginal that got the whole budget, in GDP or zCDP."""
    gdp = float(budget) * (1 if curator.calculus == "gdp" else 2)
    return gdp / of_counts(curator.guarantee).l2_squared


def noise_weight(signal: float) -> float:
    """Return what is left of a noisy table's error after denoising: less where the signal is strong.

    ``0.7 * min(1, (700 / signal)**0.57)``: with many rows for the noise, tables are so fine that most of
    their cells are nearly empty, and denoising removes most of the noise in them.

    Args:
        signal: Number of rows, in units of the noise of a pair that had the whole budget.
    """
    return 0.7 * min(1.0, math.pow(700.0 / max(signal, 1.0), 0.57))


def share_weight(cells: float) -> float:
    """Return what a table's share of a budget is proportional to: ``cells**(2/3)``."""
    return math.pow(cells, 2 / 3)
