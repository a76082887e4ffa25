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
* *Nothing left over*: if no pair is worth measuring, or columns make better use of it, the edges' share
  measures the columns again.
* *No exact row count*: rows are estimated from the one-way measurements.

Under pure epsilon :mod:`dpsynth.mechanisms.pure_tree` takes its place.
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
from dpsynth.mechanisms.choosing import Forecast
from dpsynth.mechanisms.mechanism import (
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
    NOISE,
    PAIRS,
    RESOLUTIONS,
    SCORES,
    Option,
    expected_gains,
    implied_tables,
    measure_options,
    noise_weight,
    pair_options,
    share_weight,
    signal_power,
)
from dpsynth.mechanisms.pure_tree import PURE_MST
from dpsynth.model.estimation import one_way_estimates, one_way_variances
from dpsynth.model.levels import nested_levels
from dpsynth.privacy.curator import Curator

__all__ = ["MST", "Settings", "spanning_tree"]

Floats = npt.NDArray[np.float64]


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
    resolutions: tuple[int, ...] = RESOLUTIONS
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


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    pairs = len(domain) * (len(domain) - 1) // 2
    if not pairs:
        return (planned_one_ways(domain, budget, rows_per_unit, 1.0),)
    share, selection, rest = float(settings.one_ways), float(settings.selection), float(settings.edges)
    steps = (4, *settings.resolutions[:-1])  # what a pair's table must exceed to have one more resolution
    options = sum(1 + sum(a * b > s for s in steps) for a, b in itertools.combinations(domain.sizes, 2))
    again = planned_one_ways(domain, budget, rows_per_unit, rest)
    least, cells = _table_sizes(settings, domain)
    weights = [share_weight(c) for c in cells]
    smallest_part = rest / (1 + sum(weights[1:]) / share_weight(least))
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
            distances=True,
        ),
        Stage(
            purpose=PAIRS,
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
    limit = max(*settings.resolutions, COARSEST)
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
    power = signal_power(curator, edge_budget)
    options = pair_options(
        levels,
        counts,
        total=total,
        sigma=math.sqrt(len(domain) / power),
        resolutions=settings.resolutions,
        implied=implied_tables(domain, counts),
        variances=one_way_variances(domain, one_ways, counts),
    )
    progress("choosing pairs", 0.0)
    gains = expected_gains(curator, options, budget * settings.selection, total=total)
    weight = noise_weight(total * math.sqrt(power)) if settings.penalty else 0.0
    chosen = _best_forest(options, gains, power, weight)
    known, forecast = signal_power(curator, budget * settings.one_ways), Forecast(options, gains)
    with_tree, _ = forecast.error(chosen, power, column_errors(domain, counts, known))
    alone, _ = forecast.error((), power, column_errors(domain, counts, known + power))
    progress("choosing pairs", 1.0)
    if with_tree >= alone:
        return Measured((*one_ways, *measure_one_ways(curator, edge_budget, progress, purpose=INSTEAD)), ())
    return Measured(one_ways, measure_options(curator, [options[i] for i in chosen], edge_budget, progress))


def _best_forest(options: Sequence[Option], gains: Floats, power: float, weight: float) -> list[int]:
    """Choose options, at most one a pair and no cycle, of greatest gain less the error of their noise.

    With shares by the 2/3 rule the edges' expected L1 error is ``Y**1.5 / sqrt(power)``, where ``Y`` is the
    sum of ``y = (weight * sqrt(2/pi) * cells)**(2/3)``. For a fixed price ``1.5 * sqrt(Y / power)`` of
    a unit of ``y`` the best choice is a maximum spanning forest; the price is then updated, and the best
    choice seen is kept.
    """
    import networkx as nx  # noqa: PLC0415  -- lazy: costs 0.2 s at import

    sizes = np.array([(weight * NOISE * o.query.cells) ** (2 / 3) for o in options])
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


def spanning_tree(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's, for studies of what each is worth."""
    return Mechanism(
        name="mst",
        summary="a spanning tree of the strongest dependences (McKenna et al. 2021)",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
        pure=PURE_MST,
    )


MST = spanning_tree(Settings())
