"""A maximum spanning tree of noisy dependences, measured where it matters and as finely as it affords.

After McKenna, Miklau, Sheldon 2021, "Winning the NIST Contest" (arXiv:2108.04978), Algorithm 1 (MST):
measure one-way marginals, choose a spanning tree of pairs by their distance from independence, measure
its edges, fit a graphical model. Deviations, each measured in ``benchmarks/``:

* *Prices* are in Gaussian differential privacy, which affords more than zCDP at the same (epsilon, delta).
* *Shares*: instead of thirds, one-way marginals get 60 % (by the 2/3 rule over their cells), selection 5 %,
  and edges 35 %, again by the 2/3 rule: a tree has few edges, and an error in a column is in all its pairs.
* *Selection*: all distances are noised once, by one Gaussian act, instead of ``d-1`` exponential mechanisms.
  Being numbers, they also set the budget of each edge.
* *Resolution*: a pair may be measured at nested, coarser groups of codes chosen from noisy one-ways; each
  option is scored, less the error its own noise would bring.
* *Nothing left over*: if no pair is worth measuring, the edges' share measures the columns again.
* *No exact row count*: rows are estimated from the one-way measurements.
"""

from __future__ import annotations

import functools
import itertools
import math
from dataclasses import dataclass
from fractions import Fraction

import networkx as nx
import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms.mechanism import (
    Measured,
    Mechanism,
    Progress,
    Stage,
    measure_one_ways,
    planned_one_ways,
)
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.groups import group_sums
from dpsynth.model.levels import Level, nested_levels
from dpsynth.privacy.curator import Curator, Marginal

__all__ = ["MST", "Settings", "spanning_tree"]

Floats = npt.NDArray[np.float64]

_COARSEST = 1024  # cells that no pair's coarsest table exceeds
_NOISE = math.sqrt(2 / math.pi)  # E|N(0, 1)|


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a tree is chosen and paid for. The defaults measured best over the benchmark's tables and budgets.

    Attributes:
        one_ways: Share of the budget for one-way marginals.
        selection: Share for the distances from independence; the edges get the rest.
        resolutions: Numbers of cells up to which a pair's resolution is refined, one option each.
        penalty: Whether a pair's score is lessened by the error its noise would bring.

    Raises:
        GuaranteeError: shares that are not positive or leave nothing for the edges.
    """

    one_ways: Fraction = Fraction(3, 5)
    selection: Fraction = Fraction(1, 20)
    resolutions: tuple[int, ...] = (32, 128, 512, 2048, 8192)
    penalty: bool = True

    def __post_init__(self) -> None:
        if self.one_ways <= 0 or self.selection <= 0 or self.one_ways + self.selection >= 1:
            raise GuaranteeError(
                "the shares of one-way marginals and of selection must be positive and sum below 1"
            )

    @property
    def edges(self) -> Fraction:
        """Share of the budget for the tree's edges."""
        return 1 - self.one_ways - self.selection


@dataclass(frozen=True, slots=True, eq=False)
class _Option:
    """A pair at one resolution: what it may cost and bring."""

    query: Marginal
    reference: npt.NDArray[np.int64]
    sampling: float  # expected L1 distance from independence of independent columns, in rows


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    pairs = len(domain) * (len(domain) - 1) // 2
    if not pairs:
        return (planned_one_ways(domain, budget, rows_per_unit, 1.0),)
    share, selection, rest = float(settings.one_ways), float(settings.selection), float(settings.edges)
    steps = (4, *settings.resolutions[:-1])  # what a pair's table must exceed to have one more resolution
    options = sum(1 + sum(a * b > s for s in steps) for a, b in itertools.combinations(domain.sizes, 2))
    again = planned_one_ways(domain, budget, rows_per_unit, rest)
    least, cells = _table_sizes(settings, domain)
    weights = [_weight(c) for c in cells]
    smallest_part = rest / (1 + sum(weights[1:]) / _weight(least))
    return (
        planned_one_ways(domain, budget, rows_per_unit, share),
        Stage(
            purpose=SCORES,
            acts=1,
            share=selection,
            sigma=(
                rows_per_unit * (pairs / budget / selection) ** 0.5,
                rows_per_unit * (options / budget / selection) ** 0.5,
            ),
            cells=options,
            note="each pair of columns, at the resolutions the noise allows",
        ),
        Stage(
            purpose=EDGES,
            acts=len(domain),
            share=rest,
            sigma=(
                rows_per_unit / (budget * rest) ** 0.5,
                max(rows_per_unit / (budget * smallest_part) ** 0.5, again.sigma[1]),
            ),
            cells=max(sum(cells), again.cells),
            note="the tree's edges, larger tables at larger shares; if no pair is worth it, columns again",
        ),
    )


def _table_sizes(settings: Settings, domain: Domain) -> tuple[int, list[int]]:
    """Return the fewest cells that an edge's table can have, and the most of all edges', falling."""
    limit = max(*settings.resolutions, _COARSEST)
    pairs = list(itertools.combinations(domain.sizes, 2))
    most = sorted((min(a * b, limit) for a, b in pairs), reverse=True)
    return min(min(a, 2) * min(b, 2) for a, b in pairs), most[: len(domain) - 1]


def _run(settings: Settings, curator: Curator, progress: Progress) -> Measured:
    domain, budget = curator.domain, curator.left
    if len(domain) == 1:
        return Measured(measure_one_ways(curator, budget, progress), ())
    one_ways = measure_one_ways(curator, budget * settings.one_ways, progress)
    total, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    edge_budget = budget * settings.edges
    power = float(edge_budget) * (1 if curator.calculus == "gdp" else 2) / curator.guarantee.rows_per_unit**2
    options = [
        option
        for pair in itertools.combinations(range(len(domain)), 2)
        for option in _options(
            settings, pair, levels, counts, total=total, sigma=math.sqrt(len(domain) / power)
        )
    ]
    progress("choosing pairs", 0.0)
    references = {id(o.query): o.reference for o in options}
    scores, _ = curator.score(
        [o.query for o in options],
        lambda query: references[id(query)],
        budget=budget * settings.selection,
        purpose=SCORES,
    )
    gains = np.sqrt(np.maximum(np.maximum(scores, 0.0) ** 2 - np.square([o.sampling for o in options]), 0.0))
    noise_weight = _noise_weight(total * math.sqrt(power)) if settings.penalty else 0.0
    chosen = _best_forest(options, gains, power, noise_weight)
    progress("choosing pairs", 1.0)
    if not chosen:
        return Measured((*one_ways, *measure_one_ways(curator, edge_budget, progress, again=True)), ())
    weights = [_weight(options[i].query.cells) for i in chosen]
    measured = []
    for i, weight in zip(chosen, weights, strict=True):
        part = edge_budget * Fraction(weight) / sum(Fraction(w) for w in weights)
        measured.append(curator.measure(options[i].query, budget=part, purpose=EDGES))
        progress("measuring pairs", len(measured) / len(chosen))
    return Measured(one_ways, tuple(measured))


def _options(
    settings: Settings,
    pair: tuple[int, int],
    levels: list[tuple[Level, ...]],
    counts: list[Floats],
    *,
    total: float,
    sigma: float,
) -> list[_Option]:
    """Return a pair's resolutions, coarsest first, leaving out those whose noise would drown any signal.

    From the coarsest on, the column of fewer groups is refined first, as long as the table stays within
    the next of the settings' resolutions.
    """
    first, second = pair
    at = [len(levels[first]) - 1, len(levels[second]) - 1]
    chosen = [tuple(at)]
    for limit in settings.resolutions:
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
    options: list[_Option] = []
    for i, j in chosen:
        a, b = levels[first][i], levels[second][j]
        if options and _NOISE * sigma * a.size * b.size > 3 * total:
            break
        rows = group_sums(a.groups, counts[first], a.size)
        columns = group_sums(b.groups, counts[second], b.size)
        product = np.outer(rows, columns) / total
        # E|Poisson(m) - m|: how far independent columns stray by the chance of who is in the table.
        stray = np.where(product < 1.5, 2 * product * np.exp(-product), np.sqrt(2 * product / np.pi))
        query = Marginal(pair, (a.groups, b.groups))
        options.append(_Option(query, np.rint(product).astype(np.int64), float(stray.sum())))
    return options


def _noise_weight(signal: float) -> float:
    """Return by how much denoising shrinks the error of a noisy table: more of it where the signal is strong.

    ``signal`` is the number of rows in units of the noise of a pair that had the whole budget.
    """
    return min(0.7, max(0.05, 0.3 * math.sqrt(8000.0 / max(signal, 1.0))))


def _weight(cells: int) -> float:
    return math.pow(cells, 2 / 3)


def _best_forest(options: list[_Option], gains: Floats, power: float, noise_weight: float) -> list[int]:
    """Choose options, at most one a pair and no cycle, of greatest gain less the error of their noise.

    With shares by the 2/3 rule the edges' expected L1 error is ``Y**1.5 / sqrt(power)``, where ``Y`` is the
    sum of ``y = (noise_weight * sqrt(2/pi) * cells)**(2/3)``. For a fixed price ``1.5 * sqrt(Y / power)`` of
    a unit of ``y`` the best choice is a maximum spanning forest; the price is then updated, and the best
    choice seen is kept.
    """
    sizes = np.array([(noise_weight * _NOISE * o.query.cells) ** (2 / 3) for o in options])
    best: list[int] = []
    best_value = 0.0
    amount = float(np.median(sizes)) * len({c for o in options for c in o.query.columns})
    for _ in range(20):
        values = gains - 1.5 * math.sqrt(amount / power) * sizes
        graph: nx.Graph[int] = nx.Graph()
        for i in np.argsort(-values, kind="stable"):
            if values[i] > 0 and not graph.has_edge(*options[i].query.columns):
                graph.add_edge(*options[i].query.columns, weight=float(values[i]), option=int(i))
        chosen = sorted(e["option"] for *_, e in nx.maximum_spanning_edges(graph, data=True))
        used = float(sizes[chosen].sum())
        value = float(gains[chosen].sum()) - used**1.5 / math.sqrt(power)
        if chosen and value > best_value:
            best, best_value = chosen, value
        if chosen == best and math.isclose(used, amount):
            break
        amount = (amount + max(used, float(sizes.min()))) / 2
    return best


SCORES = "distances of pairs from independence"
EDGES = "pair marginals"


def spanning_tree(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's, for studies of what each is worth."""
    return Mechanism(
        name="mst",
        summary="a spanning tree of the strongest dependences (McKenna et al. 2021)",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
    )


MST = spanning_tree(Settings())
