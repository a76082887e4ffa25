"""Structural zeros: noisy estimates made to agree with rules across columns. Post-processing throughout.

1. The columns' distributions are moved, each as little as the others allow, to ones that some joint
   distribution without forbidden cells has: the product of the columns, its forbidden cells zero, is scaled
   to all of them at once, each by its share of the correction.
2. Estimated tables lose what noise put into forbidden cells, and are raked to those columns.

A cell that may occur never gets probability zero, so whatever the noise some row is possible.

References: Bishop, Fienberg, Holland 1975, "Discrete Multivariate Analysis", chapter 5 (incomplete tables);
Darroch, Ratcliff 1972, "Generalized iterative scaling for log-linear models" (corrections in shares; for
margins that contradict each other they settle where the sum of divergences is least).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.estimates import Estimate
from dpsynth.model.groups import group_sums, sum_groups
from dpsynth.rules import Rule, Support, TooWideError, support_of

__all__ = ["keep_rules", "ruled_states", "tied_columns"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_FLOOR = 1e-12  # least probability, before scaling, of what may occur
_ROUNDS = 500
_MOST_VISITS = 3e8  # cells looked at when the columns are moved
_SETTLED = 1e-11
_SWEEPS = 1000
_AGREES = 1e-8
_TINY = np.finfo(np.float64).tiny


def keep_rules(
    domain: Domain, nodes: Sequence[Floats], estimates: Sequence[Estimate]
) -> tuple[tuple[Floats, ...], tuple[Estimate, ...]]:
    """Return estimates that agree with the rules of the domain, and still with each other.

    Args:
        domain: The columns and their rules.
        nodes: One-way distribution of each column.
        estimates: Estimated tables of two or more columns, margins agreeing with ``nodes``.

    Returns:
        One-way distributions and estimated tables. A table that cannot be raked to them is left out.
    """
    support = support_of(domain.sizes, domain.rules)
    ruled = sorted({c for clique in support.cliques for c in clique})
    wanted = list(nodes)
    for column in ruled:
        possible = support.possible(column)
        floored = np.where(possible, np.maximum(nodes[column], _FLOOR / possible.size), 0.0)
        wanted[column] = floored / floored.sum()
    states = {c: group_sums(support.states[c], wanted[c]) for c in ruled}
    moved = _compromise(support, states)
    for column in ruled:
        share = np.divide(
            moved[column], states[column], out=np.zeros_like(states[column]), where=states[column] > 0
        )
        node = wanted[column] * share[support.states[column]]
        wanted[column] = node / node.sum()
    kept = [
        _agreeing(e, wanted, _possible_groups(domain, support, e)) if set(e.columns) & set(ruled) else e
        for e in estimates
    ]
    return tuple(wanted), tuple(e for e in kept if e is not None)


def ruled_states(support: Support, groups: Sequence[Groups], largest: int) -> tuple[Groups, ...]:
    """Return states of each column that mix neither groups nor what rules tell apart.

    Args:
        support: Of the rules.
        groups: For each column the group, from 0, of each code.
        largest: Most cells of a table over columns that rules tie; where there are more, their states are
            only those that rules tell apart.
    """
    finest = [
        np.unique(g * (int(s.max()) + 1) + s, return_inverse=True)[1].astype(np.int64)
        for g, s in zip(groups, support.states, strict=True)
    ]
    chosen = list(finest)
    for clique in support.cliques:
        if math.prod(int(finest[c].max()) + 1 for c in clique) > largest:
            for column in clique:
                chosen[column] = support.states[column]
    return tuple(chosen)


def _compromise(support: Support, wanted: dict[int, Floats]) -> dict[int, Floats]:
    """Return the margins of a joint distribution without forbidden cells that is near all those wanted.

    Args:
        support: Of the rules.
        wanted: For each column that rules tie, the probability of each state; positive where it may occur.

    Returns:
        For each of these columns the probability of each state, of sum 1.
    """
    home = {c: i for i, clique in reversed(list(enumerate(support.cliques))) for c in clique}
    roots = list(range(len(support.cliques)))
    for i, parent in enumerate(support.parents):
        roots[i] = roots[parent] if parent >= 0 else i
    together = {c: sum(roots[home[other]] == roots[i] for other in home) for c, i in home.items()}
    factors = dict(wanted)
    cells = sum(table.size for table in support.allowed)
    even = _margins(support, {c: np.ones_like(target) for c, target in wanted.items()}, home)
    found = wanted if even is None else even
    for _ in range(max(20, min(_ROUNDS, int(_MOST_VISITS / (10 * cells))))):
        before, after = found, _margins(support, factors, home)
        if after is None:  # margins that contradict each other drive factors beyond what floats hold
            break
        found = after
        if max(float(np.abs(found[c] - before[c]).max()) for c in found) < _SETTLED:
            break
        for column, target in wanted.items():
            ratio = np.divide(target, found[column], out=np.ones_like(target), where=found[column] > 0)
            factor = factors[column] * ratio ** (1 / together[column])
            factors[column] = factor / factor.max()
    return found


def _margins(support: Support, factors: dict[int, Floats], home: dict[int, int]) -> dict[int, Floats] | None:
    """Return each column's margin of the product of factors over the allowed cells, by sums over the tree.

    ``None`` where all of the product is too small for floats.
    """
    cliques, parents = support.cliques, support.parents
    tables: list[Floats] = [allowed.astype(np.float64) for allowed in support.allowed]
    for column, i in home.items():
        tables[i] *= factors[column].reshape([-1 if c == column else 1 for c in cliques[i]])
    sent: list[Floats] = [np.ones(())] * len(cliques)
    for i in reversed(range(len(cliques))):
        if parents[i] >= 0:
            sent[i] = _shared(tables[i], cliques[i], cliques[parents[i]])
            sent[i] /= max(float(sent[i].max()), _TINY)
            tables[parents[i]] *= _placed(sent[i], cliques[i], cliques[parents[i]])
    for i, parent in enumerate(parents):
        if parent >= 0:
            back = _shared(tables[parent], cliques[parent], cliques[i])
            back = _placed(back, cliques[parent], cliques[i])
            tables[i] *= np.divide(back, sent[i], out=np.zeros_like(sent[i]), where=sent[i] > 0)
    margins = {}
    for column, i in home.items():
        margin = tables[i].sum(axis=tuple(a for a, c in enumerate(cliques[i]) if c != column))
        if not margin.sum() > _TINY:
            return None
        margins[column] = margin / margin.sum()
    return margins


def _shared(table: Floats, clique: tuple[int, ...], other: tuple[int, ...]) -> Floats:
    """Return a table summed to what its clique shares with another, its other axes of length 1."""
    shared: Floats = table.sum(axis=tuple(i for i, c in enumerate(clique) if c not in other), keepdims=True)
    return shared


def _placed(table: Floats, clique: tuple[int, ...], other: tuple[int, ...]) -> Floats:
    """Return such a table with its axes where the other clique has them."""
    return table.reshape([table.shape[clique.index(c)] if c in clique else 1 for c in other])


def _possible_groups(domain: Domain, support: Support, estimate: Estimate) -> Flags | None:
    """Return where, at a table's own groups, a row may be; ``None`` if nothing is known against any cell."""
    tied = tied_columns(domain.rules)
    possible: Flags | None = None
    for component in sorted({tied[c] for c in estimate.columns if c in tied}):
        inside = [c for c in estimate.columns if tied.get(c) == component]
        if len(inside) < 2:
            continue
        columns = tuple(sorted(inside))
        states = [support.states[c] for c in columns]
        together = Rule(columns, tuple(states), np.ones([int(s.max()) + 1 for s in states], dtype=np.bool_))
        try:
            all_of = support_of(domain.sizes, [*domain.rules, together])
        except TooWideError:
            continue
        at = next(i for i, clique in enumerate(all_of.cliques) if set(columns) <= set(clique))
        clique = all_of.cliques[at]
        ways: Floats = all_of.allowed[at].astype(np.float64)
        ways = np.sum(ways, axis=tuple(i for i, c in enumerate(clique) if c not in columns))
        for axis, column in enumerate(columns):
            ways = np.take(ways, support.states[column], axis=axis)
            ways = sum_groups(ways, estimate.groups[estimate.columns.index(column)], axis)
        order = [columns.index(c) for c in estimate.columns if c in columns]
        shape = [ways.shape[columns.index(c)] if c in columns else 1 for c in estimate.columns]
        flags: Flags = np.greater(ways.transpose(order).reshape(shape), 0)
        possible = flags if possible is None else np.logical_and(possible, flags)
    return possible


def tied_columns(rules: Sequence[Rule]) -> dict[int, int]:
    """Return, for each column in a rule, the least of the columns that rules tie it to."""
    tied: dict[int, int] = {}
    for rule in rules:
        least = min(tied.get(c, c) for c in rule.columns)
        merged = {tied.get(c, c) for c in rule.columns}
        tied |= {c: least for c, which in tied.items() if which in merged} | dict.fromkeys(
            rule.columns, least
        )
    return tied


def _agreeing(estimate: Estimate, nodes: Sequence[Floats], possible: Flags | None) -> Estimate | None:
    """Return a table without forbidden cells, raked to the columns; ``None`` if it cannot be."""
    table = np.maximum(estimate.table, _FLOOR)
    if possible is not None:
        table = np.where(possible, table, 0.0)
    axes = range(table.ndim)
    margins = [
        group_sums(g, nodes[c], size)
        for c, g, size in zip(estimate.columns, estimate.groups, table.shape, strict=True)
    ]
    others = [tuple(i for i in axes if i != axis) for axis in axes]
    for _ in range(_SWEEPS):
        for axis in axes:
            sums = table.sum(axis=others[axis], keepdims=True)
            target = margins[axis].reshape(sums.shape)
            table = table * np.divide(target, sums, out=np.zeros_like(sums), where=sums > 0)
        gap = max(float(np.abs(table.sum(axis=others[axis]) - margins[axis]).max()) for axis in axes)
        if gap < _AGREES:
            return Estimate(estimate.columns, estimate.groups, table / table.sum())
    return None
