"""A junction tree for a whole graph at once: columns are eliminated one after another, cheapest first.

Eliminating a column makes a clique of it and its neighbours. Finding the best order is NP-hard, so several
rules are tried: least fill, least degree, fewest cells of the clique made, least fill weighted by cells, and
each again with scores blurred by chance, from a fixed public start. The tree of fewest cells is taken.

References: Kjaerulff 1990, "Triangulation of graphs: algorithms giving small total state space"; Koller,
Friedman 2009, section 9.4.3; Bodlaender, Koster 2010, "Treewidth computations I: upper bounds".
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import TypeAlias

import numpy as np

from dpsynth.model.junction import JunctionForest

__all__ = ["total_cells", "triangulate", "widest_forest"]

Score: TypeAlias = tuple[float, float]
Rule: TypeAlias = Callable[[int, Sequence[int], Sequence[float]], Score]
"""From a column, all neighbourhoods (as bit masks) and the columns' sizes: what eliminating it now costs."""

_EFFORT = 3e6  # looks at a neighbourhood that restarts may take in all
_RESTARTS = 40


def triangulate(sizes: Sequence[int], sets: Iterable[Sequence[int]]) -> JunctionForest:
    """Return a junction forest in which some clique holds each set of columns.

    Args:
        sizes: Number of states of each column.
        sets: Columns that must be together; pairs or larger.

    Returns:
        The forest of fewest cells (:func:`total_cells`) among those of all elimination orders tried. The same
        arguments give the same forest.
    """
    graph = [0] * len(sizes)
    for columns in sets:
        for a, b in itertools.permutations(columns, 2):
            graph[a] |= 1 << b
    weights = [float(s) for s in sizes]
    orders = [_order(graph, weights, rule, None) for rule in _RULES]
    degrees = [mask.bit_count() for mask in graph]
    look = len(sizes) * (sum(d * d for d in degrees) + 1)
    rng = np.random.default_rng(0)  # public, and nothing private depends on it
    restarts = min(_RESTARTS, int(_EFFORT / look))
    orders += [_order(graph, weights, _RULES[i % len(_RULES)], rng) for i in range(restarts)]
    return min((_forest(graph, sizes, order) for order in orders), key=total_cells)


def widest_forest(
    sizes: Sequence[int],
    sets: Sequence[Sequence[int]],
    largest: int,
    *,
    held: Sequence[Sequence[int]] = (),
    rounds: int = 3,
) -> JunctionForest:
    """Return a junction forest that holds as many sets of columns as fit, the first ones first.

    Sets join one by one, each if it makes no clique of more than ``largest`` cells. The graph of those that
    did is then triangulated as a whole; if that takes fewer cells and no clique too large, the sets left out
    have another chance.

    Args:
        sizes: Number of states of each column.
        sets: Columns that should be together, most wanted first.
        largest: Most cells of a clique that a set makes.
        held: Columns that must be together whatever the cells: the cliques of a triangulated graph.
        rounds: Most triangulations.
    """
    forest = triangulate(sizes, held) if held else JunctionForest(sizes)
    most = max(largest, *sizes, *map(forest.cells, held))
    left = _grow(forest, sets, largest)
    for _ in range(rounds):
        anew = triangulate(sizes, [*held, *(columns for columns in sets if forest.covers(columns))])
        too_large = max(map(anew.cells, anew.cliques.values())) > most
        if too_large or total_cells(anew) >= total_cells(forest):
            break
        forest, before = anew, len(left)
        left = _grow(forest, left, largest)
        if len(left) == before:
            break
    return forest


def _grow(forest: JunctionForest, sets: Sequence[Sequence[int]], largest: int) -> list[Sequence[int]]:
    """Add the sets that fit, one by one; return those that are still in no clique."""
    for columns in sets:
        if forest.price(columns) <= largest:
            forest.add(columns)
    return [columns for columns in sets if not forest.covers(columns)]


def total_cells(forest: JunctionForest) -> int:
    """Return the number of cells of all cliques' tables: what holding and fitting them costs."""
    return sum(forest.cells(clique) for clique in forest.cliques.values())


def _order(
    graph: Sequence[int], weights: Sequence[float], rule: Rule, rng: np.random.Generator | None
) -> list[int]:
    """Return the columns in the order in which they are eliminated."""
    near, left = list(graph), set(range(len(graph)))

    def score(column: int) -> tuple[float, float, int]:
        first, second = rule(column, near, weights)
        return (first, second, column) if rng is None else (first * (1.0 + rng.random()), second, column)

    scores = {c: score(c) for c in left}
    order = []
    while left:
        column = min(left, key=scores.__getitem__)
        left.remove(column)
        order.append(column)
        touched = near[column]
        for other in _members(near[column]):
            near[other] = (near[other] | near[column]) & ~(1 << other | 1 << column)
        for other in _members(near[column]):
            touched |= near[other]
        for other in _members(touched):
            scores[other] = score(other)
    return order


def _forest(graph: Sequence[int], sizes: Sequence[int], order: Sequence[int]) -> JunctionForest:
    """Return the junction forest of an elimination order: each column's clique hangs on the next one's."""
    near, cliques, place = list(graph), [], {column: i for i, column in enumerate(order)}
    parents = []
    for column in order:
        later = list(_members(near[column]))
        for other in later:
            near[other] = (near[other] | near[column]) & ~(1 << other | 1 << column)
        cliques.append((column, *later))
        parents.append(min(map(place.__getitem__, later), default=-1))
    return JunctionForest.of_cliques(sizes, cliques, parents)


def _members(mask: int) -> Iterable[int]:
    while mask:
        lowest = mask & -mask
        yield lowest.bit_length() - 1
        mask ^= lowest


def _log_cells(column: int, near: Sequence[int], weights: Sequence[float]) -> float:
    return math.log(weights[column]) + sum(math.log(weights[c]) for c in _members(near[column]))


def _missing(column: int, near: Sequence[int]) -> float:
    """Return the number of pairs of neighbours that are not neighbours, each counted twice."""
    around = near[column]
    return sum((around & ~near[c]).bit_count() - 1 for c in _members(around))


def _least_fill(column: int, near: Sequence[int], weights: Sequence[float]) -> Score:
    return _missing(column, near), _log_cells(column, near, weights)


def _least_degree(column: int, near: Sequence[int], weights: Sequence[float]) -> Score:
    return near[column].bit_count(), _log_cells(column, near, weights)


def _fewest_cells(column: int, near: Sequence[int], weights: Sequence[float]) -> Score:
    return _log_cells(column, near, weights), _missing(column, near)


def _weighted_fill(column: int, near: Sequence[int], weights: Sequence[float]) -> Score:
    around = near[column]
    fill = sum(
        weights[c] * sum(weights[d] for d in _members(around & ~near[c] & ~(1 << c)))
        for c in _members(around)
    )
    return fill, _log_cells(column, near, weights)


_RULES: tuple[Rule, ...] = (_least_fill, _fewest_cells, _weighted_fill, _least_degree)
