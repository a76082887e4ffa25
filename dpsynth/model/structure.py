"""From estimates to a model: a forest where they are pairs that form one, else a junction tree."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.calibration import CliqueTree, Target, calibrate
from dpsynth.model.estimates import Estimate
from dpsynth.model.estimation import estimate_marginals
from dpsynth.model.groups import coarser_group, group_sums
from dpsynth.model.network import NetworkModel
from dpsynth.model.stages import ALL_STAGES, Stages
from dpsynth.model.tree import TreeModel
from dpsynth.model.triangulation import widest_forest
from dpsynth.model.zeros import keep_rules, ruled_states
from dpsynth.privacy.curator import Measurement
from dpsynth.rules import agreed_tables, support_of

__all__ = [
    "LARGEST_CLIQUE",
    "Model",
    "Potential",
    "fit_model",
    "fit_network",
    "processing_of",
    "read_model",
    "refit_model",
    "refit_network",
]

Model = TreeModel | NetworkModel
Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

LARGEST_CLIQUE = 2**17  # cells; polishing makes larger ones worth little
_GAIN = 0.05  # share by which a round of a refit lowers the gap, else it is the last
_KEPT = 0.9  # share of an earlier fit's potentials that must have a place, for a refit to start from them
_FLOOR = 1e-12  # of a target's cells: a hard zero that a neighbouring target contradicts stops the fit


@dataclass(frozen=True, slots=True, eq=False)
class Potential:
    """What a network's fit multiplied independent columns by, to meet one estimated table.

    Attributes:
        columns: Of the table, in its order.
        groups: For each of them the table's group of each code.
        logs: Logarithm of the factor of each cell; finite.
    """

    columns: tuple[int, ...]
    groups: tuple[Groups, ...]
    logs: Floats


def fit_model(
    domain: Domain,
    one_ways: Sequence[Measurement],
    tables: Sequence[Measurement],
    *,
    stages: Stages = ALL_STAGES,
) -> Model:
    """Fit the simplest model that holds all measured tables.

    Args:
        domain: The columns.
        one_ways: One or more measurements of each column, at full resolution.
        tables: Measurements of two or more columns each; a column's groupings are nested.
        stages: Which steps are taken; all, unless a study asks what one of them is worth.
    """
    return refit_model(domain, one_ways, tables, None, stages=stages)[0]


def refit_model(
    domain: Domain,
    one_ways: Sequence[Measurement],
    tables: Sequence[Measurement],
    potentials: Sequence[Potential] | None,
    *,
    stages: Stages = ALL_STAGES,
) -> tuple[Model, tuple[Potential, ...]]:
    """Fit a model as :func:`fit_model` does, from where the fit to fewer measurements ended.

    Args:
        domain: The columns.
        one_ways: As for :func:`fit_model`.
        tables: As for :func:`fit_model`.
        potentials: Those of the earlier fit, as :func:`refit_network` takes them; empty for the first.
        stages: As for :func:`fit_model`.

    Returns:
        The model, and its potentials; a forest needs no fit and has none.
    """
    estimate, nodes, estimates = estimate_marginals(domain, one_ways, tables, stages=stages)
    total = max(estimate, 0.0)
    if domain.rules:
        nodes, estimates = keep_rules(domain, nodes, estimates)
    elif _is_forest(len(domain), estimates):
        return TreeModel(domain, total, nodes, estimates), ()
    return refit_network(domain, total, nodes, estimates, potentials, stages=stages)


def fit_network(
    domain: Domain,
    total: float,
    nodes: tuple[Floats, ...],
    estimates: tuple[Estimate, ...],
    *,
    largest: int = LARGEST_CLIQUE,
    stages: Stages = ALL_STAGES,
) -> NetworkModel:
    """Build a junction tree over the strongest dependences that fit, and calibrate it.

    A column's states are the finest groups at which any of its tables was measured. Pairs join the tree in
    the order of their distance from independence, and larger sets after them, each if no clique grows beyond
    ``largest`` cells; what grew is triangulated anew, which may make room for more. A column of one state
    depends on nothing and stays alone: no clique has more columns than an array has axes.

    The columns of each rule of the domain are in one clique, whatever its cells; states do not mix what rules
    tell apart, and tables are zero where no row that keeps the rules can be.

    Args:
        domain: The columns.
        total: Noisy number of rows.
        nodes: One-way distribution of each column.
        estimates: Estimated tables, margins agreeing with ``nodes``. Where the domain has rules, as
            :func:`keep_rules` leaves them.
        largest: Most cells of one clique.
        stages: Whether cliques are fitted, and whether between groups is interpolated: if not, the network's
            domain has no ordered column.
    """
    return refit_network(domain, total, nodes, estimates, None, largest=largest, stages=stages)[0]


def refit_network(
    domain: Domain,
    total: float,
    nodes: tuple[Floats, ...],
    estimates: tuple[Estimate, ...],
    potentials: Sequence[Potential] | None,
    *,
    largest: int = LARGEST_CLIQUE,
    stages: Stages = ALL_STAGES,
) -> tuple[NetworkModel, tuple[Potential, ...]]:
    """Build a network as :func:`fit_network` does, one of a series that will be fitted to ever more tables.

    The fit starts where the earlier one ended, also on another junction tree, as long as the cliques hold
    nine in ten of the tables that they held; else from independent columns. Either way it converges to the
    same tables. It stops after a round that lowers the mean gap of a table by less than a twentieth: the next
    fit of the series goes on from there.

    Args:
        domain: The columns.
        total: As for :func:`fit_network`.
        nodes: As for :func:`fit_network`.
        estimates: As for :func:`fit_network`.
        potentials: Of the earlier network of the same columns; empty for the first of a series, and ``None``
            for a network of no series, whose fit takes all its rounds.
        largest: As for :func:`fit_network`.
        stages: As for :func:`fit_network`.

    Returns:
        The network, and the potentials of the tables that its cliques hold.
    """
    groups = _finest(domain, estimates)
    held: tuple[tuple[int, ...], ...] = ()
    if domain.rules:
        support = support_of(domain.sizes, domain.rules)
        groups, held = ruled_states(support, groups, largest), support.cliques
    sizes = [int(g.max()) + 1 for g in groups]
    strongest = sorted(
        (e for e in estimates if min(sizes[c] for c in e.columns) > 1),
        key=lambda e: (len(e.columns), -_dependence(e)),
    )
    strongest = [e for e in strongest if _is_coarser(e, groups)]
    forest = widest_forest(sizes, [e.columns for e in strongest], largest, held=held)
    met = [e for e in strongest if forest.covers(e.columns)] if stages.iterative_fitting else []
    tree = CliqueTree(tuple(sizes), *forest.ordered())
    margins = [group_sums(g, node) for g, node in zip(groups, nodes, strict=True)]
    targets = [_target(e, groups) for e in met]
    start = _start(potentials or (), met)
    allowed = None
    if domain.rules:
        allowed = agreed_tables(groups, tree.cliques, tree.parents, domain.rules)
        ruled = sorted({c for rule in domain.rules for c in rule.columns}) if stages.iterative_fitting else []
        targets += [Target((c,), (np.arange(sizes[c]),), margins[c]) for c in ruled]
        start = [*start, *(np.zeros(sizes[c]) for c in ruled)] if start else start
    gain = 0.0 if potentials is None else _GAIN
    found = calibrate(tree, margins, targets, allowed=allowed, start=start, gain=gain)
    if not stages.interpolation:
        domain = Domain(tuple(replace(axis, ordered=0) for axis in domain), domain.rules)
    model = NetworkModel(domain, total, nodes, estimates, groups, tree, found.tables)
    reached = zip(met, found.potentials, strict=False)  # those of single columns come last, and are left out
    return model, tuple(Potential(e.columns, e.groups, logs) for e, logs in reached)


def _start(potentials: Sequence[Potential], estimates: Sequence[Estimate]) -> list[Floats] | None:
    """Return a potential for each table: an earlier one, or zeros; ``None`` if many of those have no place.

    What is left of a fit without many of its potentials is further off than independent columns are.
    """
    places = {e.columns: i for i, e in enumerate(estimates)}
    start: list[Floats] = [np.zeros(e.table.shape) for e in estimates]
    kept = 0
    for potential in potentials:
        if potential.columns in places:
            place = places[potential.columns]
            fine, coarse = estimates[place].groups, potential.groups
            nested = [coarser_group(f, c) for f, c in zip(fine, coarse, strict=True)]
            if all(np.array_equal(n[f], c) for n, f, c in zip(nested, fine, coarse, strict=True)):
                start[place] = potential.logs[np.ix_(*nested)]
                kept += 1
    return start if kept > _KEPT * len(potentials) else None


def processing_of(model: Model) -> tuple[str, ...]:
    """Return the names of what was done to the noisy answers to make this model, and to the rows it draws.

    All of it is post-processing: it costs nothing, and looks at no row of the private table.
    """
    names = ["least-squares", "empirical-bayes", "projection"]
    if model.estimates:
        names += ["low-rank", "shared-bases"]
    if any(len(e.columns) > 2 for e in model.estimates):
        names.append("interactions")
    if model.domain.rules:
        names.append("structural-zeros")
    if isinstance(model, NetworkModel):
        names.append("iterative-fitting")
    if model.estimates or isinstance(model, NetworkModel):
        names.append("polishing")
    return tuple(names)


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


def _is_forest(columns: int, estimates: Sequence[Estimate]) -> bool:
    component = list(range(columns))
    for estimate in estimates:
        if len(estimate.columns) != 2:
            return False
        here, there = (component[c] for c in estimate.columns)
        if here == there:
            return False
        component = [here if c == there else c for c in component]
    return True


def _finest(domain: Domain, estimates: Sequence[Estimate]) -> tuple[Groups, ...]:
    finest: list[Groups] = [np.zeros(axis.size, dtype=np.int64) for axis in domain]
    for estimate in estimates:
        for column, groups in zip(estimate.columns, estimate.groups, strict=True):
            if groups.max() > finest[column].max():
                finest[column] = groups
    return tuple(finest)


def _is_coarser(estimate: Estimate, groups: Sequence[Groups]) -> bool:
    """Whether the states of a table's columns tell apart all that the table tells apart."""
    return all(
        np.array_equal(coarser_group(groups[c], grouping)[groups[c]], grouping)
        for c, grouping in zip(estimate.columns, estimate.groups, strict=True)
    )


def _dependence(estimate: Estimate) -> float:
    product, axes = np.ones(()), range(estimate.table.ndim)
    for axis in axes:
        product = np.multiply.outer(product, estimate.table.sum(axis=tuple(i for i in axes if i != axis)))
    return float(np.abs(estimate.table - product).sum())


def _target(estimate: Estimate, groups: Sequence[Groups]) -> Target:
    """Restate a table for the states of its columns."""
    coarser = []
    for column, grouping in zip(estimate.columns, estimate.groups, strict=True):
        states = np.zeros(int(groups[column].max()) + 1, dtype=np.int64)
        states[groups[column]] = grouping
        coarser.append(states)
    table = np.maximum(estimate.table, _FLOOR)
    return Target(estimate.columns, tuple(coarser), table / table.sum())
