"""From estimates to a model: a forest where the pairs form one, a junction tree where they do not."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.calibration import CliqueTree, Target, calibrate
from dpsynth.model.estimates import Edge
from dpsynth.model.estimation import estimate_marginals
from dpsynth.model.groups import group_sums
from dpsynth.model.junction import JunctionForest
from dpsynth.model.network import NetworkModel
from dpsynth.model.tree import TreeModel
from dpsynth.privacy.curator import Measurement

__all__ = ["LARGEST_CLIQUE", "Model", "fit_model", "fit_network", "read_model"]

Model = TreeModel | NetworkModel
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

LARGEST_CLIQUE = 100_000  # cells; polishing makes larger ones worth little
_FLOOR = 1e-12  # of a target's cells: a hard zero that a neighbouring target contradicts stops the fit


def fit_model(domain: Domain, one_ways: Sequence[Measurement], pairs: Sequence[Measurement]) -> Model:
    """Fit the simplest model that holds all pairs.

    Args:
        domain: The columns.
        one_ways: One or more measurements of each column, at full resolution.
        pairs: Measurements of two columns each, no pair twice; a column's groupings are nested.
    """
    estimate, nodes, edges = estimate_marginals(domain, one_ways, pairs)
    total = max(estimate, 0.0)
    if _is_forest(len(domain), edges):
        return TreeModel(domain, total, nodes, edges)
    return fit_network(domain, total, nodes, edges)


def fit_network(
    domain: Domain,
    total: float,
    nodes: tuple[Floats, ...],
    edges: tuple[Edge, ...],
    *,
    largest: int = LARGEST_CLIQUE,
) -> NetworkModel:
    """Build a junction tree over the strongest pairs that fit, and calibrate it.

    A column's states are the finest groups at which any of its pairs was measured. Pairs join the tree in the
    order of their distance from independence, each if no clique grows beyond ``largest`` cells. A column of
    one state depends on nothing and stays alone, so that no clique has more columns than an array has axes.

    Args:
        domain: The columns.
        total: Noisy number of rows.
        nodes: One-way distribution of each column.
        edges: Estimated pair tables, margins agreeing with ``nodes``.
        largest: Most cells of one clique.
    """
    groups = _finest(domain, edges)
    sizes = [int(g.max()) + 1 for g in groups]
    forest = JunctionForest(sizes)
    targets = []
    for edge in sorted(edges, key=lambda e: -_dependence(e)):
        depends = min(sizes[edge.first], sizes[edge.second]) > 1
        if depends and forest.price(edge.first, edge.second) <= largest:
            forest.add(edge.first, edge.second)
            targets.append(_target(edge, groups))
    tree = CliqueTree(tuple(sizes), *forest.ordered())
    margins = [group_sums(g, node) for g, node in zip(groups, nodes, strict=True)]
    tables, _ = calibrate(tree, margins, targets)
    return NetworkModel(domain, total, nodes, edges, groups, tree, tables)


def read_model(meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Model:
    """Rebuild a model of either kind from its ``to_arrays``, checking everything.

    Raises:
        ValueError, KeyError, TypeError: the content is not that of a model.
    """
    if meta["model"] == "tree":
        return TreeModel.from_arrays(meta, arrays)
    if meta["model"] == "network":
        return NetworkModel.from_arrays(meta, arrays)
    raise ValueError("this version reads models of the kinds 'tree' and 'network'")


def _is_forest(columns: int, edges: Sequence[Edge]) -> bool:
    component = list(range(columns))
    for edge in edges:
        here, there = component[edge.first], component[edge.second]
        if here == there:
            return False
        component = [here if c == there else c for c in component]
    return True


def _finest(domain: Domain, edges: Sequence[Edge]) -> tuple[Groups, ...]:
    finest: list[Groups] = [np.zeros(axis.size, dtype=np.int64) for axis in domain]
    for edge in edges:
        for column, groups in ((edge.first, edge.first_groups), (edge.second, edge.second_groups)):
            if groups.max() > finest[column].max():
                finest[column] = groups
    return tuple(finest)


def _dependence(edge: Edge) -> float:
    rows, columns = edge.table.sum(axis=1), edge.table.sum(axis=0)
    return float(np.abs(edge.table - np.outer(rows, columns)).sum())


def _target(edge: Edge, groups: Sequence[Groups]) -> Target:
    """Restate a pair's table for the states of its columns."""
    coarser = []
    for column, grouping in ((edge.first, edge.first_groups), (edge.second, edge.second_groups)):
        states = np.zeros(int(groups[column].max()) + 1, dtype=np.int64)
        states[groups[column]] = grouping
        coarser.append(states)
    table = np.maximum(edge.table, _FLOOR)
    return Target((edge.first, edge.second), (coarser[0], coarser[1]), table / table.sum())
