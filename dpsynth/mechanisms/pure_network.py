"""A Bayesian network under pure epsilon: parents chosen by lot, each table measured as soon as it is chosen.

After Zhang, Cormode, Procopiuc, Srivastava, Xiao 2017, "PrivBayes: Private Data Release via Bayesian
Networks", ACM TODS 42(4), for columns of any size: again and again a column and its parents are chosen by one
exponential mechanism with the paper's score ``R``, the L1 distance of their joint counts from what an
independent column would give, among theta-useful tables; joint tables get Laplace noise. Deviations:

* *Parents* of a column lie in one table that was measured before. Their own joint distribution is then known,
  noisily, and ``R(X, P) = sum |counts(X, P) - counts(X) counts(P) / N|`` compares with it; and the network's
  junction tree is no wider than its tables.
* *Score*: ``R`` less what chance alone would give and the error the table's own noise would bring. "None of
  these" is a candidate too; once it is chosen, what is left measures the columns again.
* *One resolution a column* in all its joint tables, so fine that a table of two is theta-useful.
* *One-way marginals* come first, with 45 % of epsilon; of the rest a quarter chooses, and three quarters
  measure, evenly (as in the paper, where all of it is halved). The exact number of rows is never used.
* *Estimation* is this library's: one model of all tables.
"""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

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
from dpsynth.mechanisms.pure import CHOICES, laplace_one_ways, laplace_sigma, noise_of, nothing
from dpsynth.model.estimation import one_way_estimates
from dpsynth.model.groups import group_sums
from dpsynth.model.levels import Level, nested_levels
from dpsynth.privacy.curator import Curator, Marginal, Measurement

__all__ = ["PURE_PRIVBAYES", "Settings", "pure_network"]

Floats = npt.NDArray[np.float64]

_JOINTS = "columns with their parents"
_LARGEST = 2**16  # cells of a joint table


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How the network is grown and paid for.

    Attributes:
        one_ways: Share of epsilon for one-way marginals.
        choices: Share of the rest for choosing; the joint tables get what remains.
        theta: Rows in units of a useful table's noise.
        parents: Most parents of a column.
        gamma: What denoising leaves of the noise of a table, for its score.

    Raises:
        GuaranteeError: shares out of range, or numbers that are not positive.
    """

    one_ways: Fraction = Fraction(9, 20)
    choices: Fraction = Fraction(1, 4)
    theta: float = 4.0
    parents: int = 2
    gamma: float = 0.5

    def __post_init__(self) -> None:
        if not (0 < self.one_ways < 1 and 0 < self.choices < 1):
            raise GuaranteeError("the shares of one-way marginals and of choices must lie between 0 and 1")
        if not (self.theta > 0 and self.gamma >= 0 and 1 <= self.parents <= 3):
            raise GuaranteeError("theta must be positive, gamma not negative, and parents must be 1 to 3")


@dataclass(frozen=True, slots=True, eq=False)
class _Table:
    """A joint table that could be measured.

    Attributes:
        query: Its marginal.
        column: The column that it would add to the network.
        reference: What the column would give if it were independent of its parents, in whole rows.
        stray: Expected L1 distance from that by chance alone, in rows.
    """

    query: Marginal
    column: int
    reference: npt.NDArray[np.int64]
    stray: float


def _run(settings: Settings, curator: Curator, progress: Progress) -> Measured:
    domain, budget = curator.domain, curator.left
    if len(domain) == 1:
        return Measured(measure_one_ways(curator, budget, progress), ())
    one_ways = measure_one_ways(curator, budget * settings.one_ways, progress)
    total, counts = one_way_estimates(domain, one_ways)
    rounds = len(domain) - 1
    each = budget * (1 - settings.one_ways) / rounds
    noise = noise_of(curator, each * (1 - settings.choices))
    useful = min(_LARGEST, int(total / (settings.theta * noise)))
    levels = [_level(nested_levels(axis, c), useful) for axis, c in zip(domain, counts, strict=True)]
    coarse = [group_sums(level.groups, c, level.size) for level, c in zip(levels, counts, strict=True)]
    joints: list[Measurement] = []
    none, rows = nothing(domain, total)
    for step in range(rounds):
        progress("growing the network", step / rounds)
        tables = list(_tables(settings, joints, levels, coarse, useful))
        known = {id(t.query): t.reference for t in tables} | {id(none): rows}
        place = curator.select(
            [*(t.query for t in tables), none],
            lambda query, known=known: known[id(query)],  # type: ignore[misc]
            budget=each * settings.choices,
            purpose=CHOICES,
            handicap=[*(round(t.stray + settings.gamma * noise * t.query.cells) for t in tables), 0],
        )
        if place == len(tables):
            break
        chosen = tables[place].query
        last = step == rounds - 1
        share = curator.left if last else each * (1 - settings.choices)
        joints.append(curator.measure(chosen, budget=share, purpose=_JOINTS))
    progress("growing the network", 1.0)
    if len(joints) < rounds:
        one_ways += measure_one_ways(curator, curator.left, progress, purpose=INSTEAD)
    return Measured(one_ways, tuple(joints))


def _level(levels: Sequence[Level], useful: int) -> Level:
    """Return the finest level of which the square is useful, or the coarsest."""
    return next((level for level in levels if level.size**2 <= useful), levels[-1])


def _tables(
    settings: Settings,
    joints: Sequence[Measurement],
    levels: Sequence[Level],
    coarse: Sequence[Floats],
    useful: int,
) -> Iterator[_Table]:
    """Give each column outside the network with each set of parents; at first, all pairs."""
    inside = {c for m in joints for c in m.query.columns}
    if not joints:
        for first, second in itertools.combinations(range(len(levels)), 2):
            yield _table(second, (first,), coarse[first], levels, coarse)
        return
    parents: dict[tuple[int, ...], Floats] = {(c,): coarse[c] for c in sorted(inside)}
    for m in joints:
        for size in range(2, min(settings.parents, len(m.query.columns)) + 1):
            for places in itertools.combinations(range(len(m.query.columns)), size):
                others = tuple(set(range(len(m.query.columns))) - set(places))
                joint = np.maximum(m.values.sum(axis=others).astype(np.float64), 0.0)
                parents.setdefault(tuple(m.query.columns[i] for i in places), joint)
    for column in range(len(levels)):
        for chosen, joint in parents.items():
            cells = levels[column].size * joint.size
            if column not in inside and (len(chosen) == 1 or cells <= useful):
                yield _table(column, chosen, joint, levels, coarse)


def _table(
    column: int, parents: tuple[int, ...], joint: Floats, levels: Sequence[Level], coarse: Sequence[Floats]
) -> _Table:
    """Return the joint table of a column and its parents, columns in order, and its independent reference."""
    members = tuple(sorted((column, *parents)))
    own = coarse[column]
    product = np.multiply.outer(joint / max(joint.sum(), 1.0), own)
    product = np.moveaxis(product, -1, members.index(column))
    # E|Poisson(m) - m|, nearly: 2 m exp(-m) for small m, sqrt(2 m / pi) for large.
    stray = np.where(product < 1.5, 2 * product * np.exp(-product), np.sqrt(2 * product / np.pi))
    query = Marginal(members, tuple(levels[c].groups for c in members))
    return _Table(query, column, np.rint(product).astype(np.int64), float(stray.sum()))


def _plan(settings: Settings, domain: Domain, budget: float, rows_per_unit: int) -> tuple[Stage, ...]:
    rounds = len(domain) - 1
    if not rounds:
        return (laplace_one_ways(domain, budget, rows_per_unit, 1.0),)
    one_ways = float(settings.one_ways)
    choosing = float((1 - settings.one_ways) * settings.choices)
    measuring = float((1 - settings.one_ways) * (1 - settings.choices))
    last = (choosing + measuring) / rounds
    instead = laplace_one_ways(domain, budget, rows_per_unit, measuring / rounds)
    everything = laplace_one_ways(domain, budget, rows_per_unit, measuring + choosing)
    largest = min(_LARGEST, math.prod(sorted(domain.sizes)[-settings.parents - 1 :]))
    pairs = max(min(a * b, 2**20) for a, b in itertools.combinations(domain.sizes, 2))
    return (
        laplace_one_ways(domain, budget, rows_per_unit, one_ways),
        Stage(
            purpose=CHOICES,
            acts=rounds,
            share=choosing,
            sigma=(0.0, 0.0),
            cells=rounds,
            note="a column and its parents each, in turn with the next; fewer where none is worth its noise",
        ),
        Stage(
            purpose=_JOINTS,
            acts=rounds + len(domain),
            share=measuring,
            sigma=(
                min(laplace_sigma(budget * last, rows_per_unit), everything.sigma[0]),
                max(laplace_sigma(budget * measuring / rounds, rows_per_unit), instead.sigma[1]),
            ),
            cells=rounds * max(largest, pairs) + sum(domain.sizes),
            note="an equal share each; where none is worth its noise, columns again",
        ),
    )


def pure_network(settings: Settings) -> Mechanism:
    """Return the mechanism with other settings than the default's."""
    return Mechanism(
        name="privbayes",
        summary="a Bayesian network of theta-useful parents (Zhang et al. 2017), in pure epsilon",
        plan=functools.partial(_plan, settings),
        run=functools.partial(_run, settings),
    )


PURE_PRIVBAYES = pure_network(Settings())
