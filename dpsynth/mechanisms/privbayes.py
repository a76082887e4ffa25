"""A Bayesian network: each column given a few parents, as many and as fine as the budget makes useful.

After Zhang, Cormode, Procopiuc, Srivastava, Xiao 2017, "PrivBayes: Private Data Release via Bayesian
Networks", ACM TODS 42(4), for columns of any size: a network is grown greedily, column by column, the parents
of each being a *theta-useful* set of columns that are in the network already; the joint tables of columns and
their parents are then measured. A table of ``n`` cells is useful at ``sigma`` if
``N >= theta sqrt(2/pi) sigma n``: the rows are at least ``theta`` times the noise. Columns are generalised,
as in the paper's hierarchies, by their nested resolutions. Deviations:

* *Prices* are in Gaussian differential privacy, and the joint tables get Gaussian noise.
* *One-way marginals* come first: the number of rows, which usefulness needs, and the resolutions follow from
  them. The exact number of rows is never used.
* *Scores*: the distance of all pairs from independence (the paper's R for one parent) is noised once, by one
  Gaussian act, instead of one exponential mechanism a column. Parents are scored from their pairs, as in
  correlation-based feature selection (Cai et al. 2021, PrivMRF, section 4.2):

      score(X, P) = sum_(p in P) R(X, p) / sqrt(|P| + sum_(p < q in P) R(p, q)).

* *The first column* is the one of the strongest dependences, not one at random.
* *The budget of the joint tables* is divided by the 2/3 rule over their cells, not evenly.
* *Estimation* is this library's: one model of all tables, instead of sampling parents before children.

Under pure epsilon :mod:`dpsynth.mechanisms.pure_network` takes its place.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms.candidates import Candidate, candidates_of
from dpsynth.mechanisms.mechanism import (
    AGAIN,
    INSTEAD,
    Measured,
    Mechanism,
    Progress,
    Stage,
    measure_one_ways,
    planned_again,
    planned_one_ways,
)
from dpsynth.mechanisms.pairs import (
    NOISE,
    RESOLUTIONS,
    SCORES,
    Option,
    dependence_gains,
    pair_options,
    share_weight,
    signal_power,
)
from dpsynth.mechanisms.pure_network import PURE_PRIVBAYES
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.levels import Level, nested_levels
from dpsynth.privacy.curator import Curator

__all__ = ["JOINTS", "PRIVBAYES", "Settings", "bayesian_network"]

Floats = npt.NDArray[np.float64]

JOINTS = "columns with their parents"


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the network is grown and paid for.

    Attributes:
        least: Share of the budget for one-way marginals before anything is known.
        most: Largest share for one-way marginals, when rows are few for the noise.
        selection: Share for the distances from independence; the joint tables get the rest.
        theta: Rows in units of a useful table's noise.
        parents: Most parents of a column.
        largest: Most cells of a joint table.

    Raises:
        GuaranteeError: shares out of order or range, or numbers that are not positive.
    """

    least: Fraction = Fraction(1, 4)
    most: Fraction = Fraction(7, 10)
    selection: Fraction = Fraction(1, 20)
    theta: float = 4.0
    parents: int = 3
    largest: int = 2**16

    def __post_init__(self) -> None:
        if not (0 < self.least <= self.most and self.selection > 0 and self.most + self.selection < 1):
            raise GuaranteeError(
                "the shares of one-way marginals and of selection must be positive, least at most most, "
                "and leave something for the joint tables"
            )
        if not (self.theta > 0 and 1 <= self.parents <= 3 and self.largest >= 1):
            raise GuaranteeError("theta and largest must be positive, and parents must be 1 to 3")

    def one_ways(self, signal: float) -> Fraction:
        """Return the share of one-way marginals: less where there are many rows for the noise."""
        share = 0.42 * (4000.0 / max(signal, 1.0)) ** 0.15
        return min(self.most, max(self.least, Fraction(round(100 * share), 100)))


def _run(settings: Settings, curator: Curator, progress: Progress) -> Measured:
    domain, budget = curator.domain, curator.left
    if len(domain) == 1:
        return Measured(measure_one_ways(curator, budget, progress), ())
    one_ways = measure_one_ways(curator, budget * settings.least, progress)
    total, counts = one_way_estimates(domain, one_ways)
    share = settings.one_ways(total * math.sqrt(signal_power(curator, budget)))
    if share > settings.least:
        one_ways += measure_one_ways(curator, budget * (share - settings.least), progress, purpose=AGAIN)
        total, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    rest = budget * (1 - share - settings.selection)
    sigma = math.sqrt((len(domain) - 1) / signal_power(curator, rest))
    options = pair_options(
        levels,
        counts,
        total=total,
        sigma=sigma,
        resolutions=RESOLUTIONS,
    )
    progress("choosing parents", 0.0)
    gains = dependence_gains(curator, options, budget * settings.selection)
    useful = min(settings.largest, int(total / (settings.theta * NOISE * sigma)))
    distances = _distances(len(domain), options, gains / total, useful)
    joints = _grown(distances, levels, domain, useful, settings.parents)
    progress("choosing parents", 1.0)
    if not joints:
        return Measured((*one_ways, *measure_one_ways(curator, rest, progress, purpose=INSTEAD)), ())
    parts = [Fraction(share_weight(c.query.cells)) for c in joints]
    tables = []
    for joint, part in zip(joints, parts, strict=True):
        tables.append(curator.measure(joint.query, budget=rest * part / sum(parts), purpose=JOINTS))
        progress("measuring joint tables", len(tables) / len(joints))
    return Measured(one_ways, tuple(tables))


def _distances(columns: int, options: Sequence[Option], gains: Floats, useful: int) -> Floats:
    """Return ``R`` of each pair, symmetric: its distance at the finest useful of the resolutions scored.

    Args:
        columns: Number of columns.
        options: Resolutions of all pairs, each pair's from coarse to fine.
        gains: Distance from independence of each, in parts of the rows.
        useful: Most cells of a useful table; at the coarsest resolution a pair counts in any case.
    """
    distances = np.zeros((columns, columns))
    seen: set[tuple[int, ...]] = set()
    for option, gain in zip(options, gains, strict=True):
        pair = option.query.columns
        if pair not in seen or option.query.cells <= useful:
            distances[pair[0], pair[1]] = distances[pair[1], pair[0]] = gain
        seen.add(pair)
    return distances


def _grown(
    distances: Floats, levels: Sequence[Sequence[Level]], domain: Domain, useful: int, most: int
) -> list[Candidate]:
    """Return the joint tables of a network: each column with its parents, at their finest useful resolution.

    A column whose table with any one parent would be useless, or which depends on none, has no table.
    """
    inside = [int(distances.sum(axis=0).argmax())]
    outside = [c for c in range(len(levels)) if c not in inside]
    coarsest = [column[-1].size for column in levels]
    joints = []
    while outside:
        found = [(c, *_parents(c, inside, distances, coarsest, useful, most)) for c in outside]
        column, parents, score = max(found, key=lambda f: (f[2], -f[0]))
        inside.append(column)
        outside.remove(column)
        if score > 0:
            members = tuple(sorted((column, *parents)))
            joints.append(candidates_of(domain, members, 1.0, levels, (useful,))[-1])
    return joints


def _parents(  # noqa: PLR0917  -- a formula's arguments
    column: int, inside: Sequence[int], distances: Floats, coarsest: Sequence[int], useful: int, most: int
) -> tuple[tuple[int, ...], float]:
    """Return the parents of a column among those in the network, added one by one while the score rises."""
    parents: tuple[int, ...] = ()
    best = 0.0
    while len(parents) < most:
        cells = math.prod(coarsest[c] for c in (column, *parents))
        able = [p for p in inside if p not in parents and cells * coarsest[p] <= useful]
        scored = [(_score(column, (*parents, p), distances), -p) for p in able]
        if not scored or max(scored)[0] <= best:
            break
        best, added = max(scored)
        parents = (*parents, -added)
    return parents, best


def _score(column: int, parents: Sequence[int], distances: Floats) -> float:
    """Return ``sum R(X, p) / sqrt(|P| + sum R(p, q))``."""
    among = sum(float(distances[p, q]) for p, q in itertools.combinations(parents, 2))
    return float(distances[column, list(parents)].sum()) / math.sqrt(len(parents) + among)


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    pairs = list(itertools.combinations(domain.sizes, 2))
    if not pairs:
        return (planned_one_ways(domain, budget, rows_per_unit, 1.0),)
    selection = float(settings.selection)
    least_rest, most_rest = 1 - float(settings.most) - selection, 1 - float(settings.least) - selection
    steps = (4, *RESOLUTIONS[:-1])  # what a pair's table must exceed to have one more resolution
    options = sum(1 + sum(a * b > s for s in steps) for a, b in pairs)
    largest = min(settings.largest, math.prod(sorted(domain.sizes)[-settings.parents - 1 :]))
    least = min(min(a, 2) * min(b, 2) for a, b in pairs)
    joints = len(domain) - 1
    smallest = 1 + (joints - 1) * share_weight(largest) / share_weight(least)
    instead = planned_one_ways(domain, budget, rows_per_unit, least_rest)
    stages = [planned_one_ways(domain, budget, rows_per_unit, float(settings.least))]
    if settings.most > settings.least:
        stages.append(planned_again(domain, budget, rows_per_unit, settings.least, settings.most))

    def sigma(share: float) -> float:
        return rows_per_unit / math.sqrt(budget * share)

    return (
        *stages,
        Stage(
            purpose=SCORES,
            acts=1,
            share=selection,
            sigma=(sigma(selection / len(pairs)), sigma(selection / options)),
            cells=options,
            note="each pair of columns, at the resolutions the noise allows",
            distances=True,
        ),
        Stage(
            purpose=JOINTS,
            acts=len(domain),
            share=least_rest,
            sigma=(sigma(most_rest), max(sigma(least_rest / smallest), instead.sigma[1])),
            cells=max(joints * largest, instead.cells),
            note="at least this share; if no table would be useful, columns again",
        ),
    )


def bayesian_network(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's."""
    return Mechanism(
        name="privbayes",
        summary="a Bayesian network of theta-useful parents (Zhang et al. 2017)",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
        pure=PURE_PRIVBAYES,
    )


PRIVBAYES = bayesian_network(Settings())
