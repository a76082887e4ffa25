"""A maximum spanning tree under pure epsilon, chosen edge by edge by lot.

After McKenna, Miklau, Sheldon 2021, "Winning the NIST Contest" (arXiv:2108.04978), Algorithm 1 (MST), as
:mod:`dpsynth.mechanisms.mst`; here, as in the paper, each edge is chosen by one exponential mechanism among
the pairs that join two parts of the tree so far. Deviations:

* *Noise* is discrete Laplace, prices are epsilon and add up.
* *Shares*: 50 % one-way marginals, 15 % choices, 35 % edges (by the 1/2 rule): between columns and edges this
  is the ratio of the Gaussian mechanism's shares to the power 3/4 (see :mod:`dpsynth.mechanisms.pure`).
* *Resolution*: candidates are pairs at nested, coarser groups of codes; a candidate's score is its distance
  from independence less what chance alone would give and the error its own noise would bring.
* *Fewer edges*: "none of these" is a candidate too; once it is chosen, the edges' share goes to those there
  are, and to the columns if there are none.
* *No exact row count*: rows are estimated from the one-way measurements.
"""

from __future__ import annotations

import functools
import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

from dpsynth.domain import Domain
from dpsynth.errors import GuaranteeError
from dpsynth.mechanisms.mechanism import (
    INSTEAD,
    Measured,
    Mechanism,
    Progress,
    Stage,
    measure_one_ways,
)
from dpsynth.mechanisms.pairs import (
    COARSEST,
    PAIRS,
    RESOLUTIONS,
    Option,
    implied_tables,
    measure_options,
    pair_options,
)
from dpsynth.mechanisms.pure import CHOICES, laplace_one_ways, laplace_sigma, noise_of, nothing
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.levels import nested_levels
from dpsynth.privacy.curator import Curator

__all__ = ["PURE_MST", "Settings", "pure_tree"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How a tree is chosen and paid for.

    Attributes:
        one_ways: Share of epsilon for one-way marginals.
        choices: Share for choosing; the edges get the rest.
        gamma: What denoising leaves of the noise of an edge, for its score.

    Raises:
        GuaranteeError: shares that are not positive or leave nothing for the edges, or a negative gamma.
    """

    one_ways: Fraction = Fraction(1, 2)
    choices: Fraction = Fraction(3, 20)
    gamma: float = 0.5

    def __post_init__(self) -> None:
        if self.one_ways <= 0 or self.choices <= 0 or self.one_ways + self.choices >= 1 or self.gamma < 0:
            raise GuaranteeError("the shares of columns and of choices must be positive and sum below 1")


def _run(settings: Settings, curator: Curator, progress: Progress) -> Measured:
    domain, budget = curator.domain, curator.left
    if len(domain) == 1:
        return Measured(measure_one_ways(curator, budget, progress), ())
    one_ways = measure_one_ways(curator, budget * settings.one_ways, progress)
    total, counts = one_way_estimates(domain, one_ways)
    levels = [nested_levels(axis, c) for axis, c in zip(domain, counts, strict=True)]
    edges = len(domain) - 1
    noise = noise_of(curator, budget * (1 - settings.one_ways - settings.choices) / edges)
    options = pair_options(
        levels,
        counts,
        total=total,
        sigma=noise,
        resolutions=RESOLUTIONS,
        implied=implied_tables(domain, counts),
    )
    handicaps = [round(o.stray + settings.gamma * noise * o.query.cells) for o in options]
    each = budget * settings.choices / edges
    chosen = _chosen(curator, options, handicaps, total, each, progress)
    if not chosen:
        return Measured((*one_ways, *measure_one_ways(curator, curator.left, progress, purpose=INSTEAD)), ())
    return Measured(one_ways, measure_options(curator, chosen, curator.left, progress))


def _chosen(  # noqa: PLR0917  -- one step of the above
    curator: Curator,
    options: Sequence[Option],
    handicaps: Sequence[int],
    total: float,
    each: Fraction,
    progress: Progress,
) -> list[Option]:
    """Choose edges that make no cycle, one by one, until none is worth its noise or all columns are joined.

    Privacy: one exponential mechanism of price at most ``each`` an edge, through :meth:`Curator.select`.
    """
    domain = curator.domain
    none, rows = nothing(domain, total)
    part = list(range(len(domain)))  # of the forest so far that each column is in
    chosen: list[Option] = []
    for step in range(len(domain) - 1):
        progress("choosing pairs", step / (len(domain) - 1))
        open_to = [i for i, o in enumerate(options) if part[o.query.columns[0]] != part[o.query.columns[1]]]
        references = {id(options[i].query): options[i].reference for i in open_to} | {id(none): rows}
        place = curator.select(
            [*(options[i].query for i in open_to), none],
            lambda query, known=references: known[id(query)],  # type: ignore[misc]
            budget=each,
            purpose=CHOICES,
            handicap=[*(handicaps[i] for i in open_to), 0],
        )
        if place == len(open_to):
            break
        chosen.append(options[open_to[place]])
        first, second = chosen[-1].query.columns
        part = [part[first] if p == part[second] else p for p in part]
    progress("choosing pairs", 1.0)
    return chosen


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    if len(domain) == 1:
        return (laplace_one_ways(domain, budget, rows_per_unit, 1.0),)
    edges = len(domain) - 1
    share, choices = float(settings.one_ways), float(settings.choices)
    rest = float(1 - settings.one_ways - settings.choices)
    again = laplace_one_ways(domain, budget, rows_per_unit, rest)
    limit = max(*RESOLUTIONS, COARSEST)
    pairs = list(itertools.combinations(domain.sizes, 2))
    most = sorted((min(a * b, limit) for a, b in pairs), reverse=True)[:edges]
    least = min(min(a, 2) * min(b, 2) for a, b in pairs)
    smallest = rest / (1 + sum(c**0.5 for c in most[1:]) / least**0.5)
    return (
        laplace_one_ways(domain, budget, rows_per_unit, share),
        Stage(
            purpose=CHOICES,
            acts=edges,
            share=choices,
            sigma=(0.0, 0.0),
            cells=edges,
            note="one pair each, among those that join two parts; fewer where none is worth its noise",
        ),
        Stage(
            purpose=PAIRS,
            acts=len(domain),
            share=rest,
            sigma=(
                min(laplace_sigma(budget * (rest + choices), rows_per_unit), again.sigma[0]),
                max(laplace_sigma(budget * smallest, rows_per_unit), again.sigma[1]),
            ),
            cells=max(sum(most), again.cells),
            note="the tree's edges, larger tables at larger shares; if no pair is worth it, columns again",
        ),
    )


def pure_tree(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's."""
    return Mechanism(
        name="mst",
        summary="a spanning tree of the strongest dependences (McKenna et al. 2021), in pure epsilon",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
    )


PURE_MST = pure_tree(Settings())
