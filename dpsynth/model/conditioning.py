"""Models given evidence: what is known of some columns, applied exactly.

Evidence is a non-negative weight for each code of a column: 1 for the codes that are possible, 0 for the
others, and a fraction where only part of what a code stands for is. The junction tree is conditioned exactly.
An estimated table ``T`` beyond its cliques is met as well: with ``q`` the junction tree and ``e`` the column
of the evidence,

    q(b, c, e)  is rescaled to  T(b, c),  p(b, e),  p(c, e)

where the last two are marginals of the model, and then cut to the evidence. Where that is a large table, it
is done with two classes of ``e``: the evidence holds, or not. One column's evidence is taken after another's,
in domain order.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.estimates import TOLERANCE, Estimate
from dpsynth.model.groups import coarser_group, group_sums
from dpsynth.model.inference import Beliefs, conditioned, sharing_order
from dpsynth.model.interactions import with_margins
from dpsynth.model.network import NetworkModel
from dpsynth.model.raking import raked, share_within
from dpsynth.model.structure import Model
from dpsynth.model.tree import TreeModel

__all__ = ["Evidence", "given"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
Evidence: TypeAlias = Mapping[int, Floats]
"""For some columns, by position, the weight of each code, in [0, 1]."""

_TINY = np.finfo(np.float64).tiny
_EVENT = -1  # stands for: the evidence holds, or not
_FINE = 2**14  # cells up to which the evidence's column is kept at its own resolution
_EVEN = 1e-9  # share of independent columns in a table given evidence, so that margins can always be met


def given(model: Model, evidence: Evidence, *, among: Collection[int] | None = None) -> Model:
    """Return the model of those rows for which the evidence holds.

    Its total is the expected number of those rows.

    Args:
        model: A fitted model.
        evidence: What is known.
        among: If only a marginal over these columns is wanted: the other columns' estimated tables are left
            out, and their one-way distributions are the junction tree's.

    Returns:
        A model of the same kind over the same domain; codes of weight 0 have probability zero in it.

    Raises:
        ValueError: evidence that does not fit the domain, or that has probability zero.

    Privacy: free; post-processing of what was measured.
    """
    _check_evidence(model.domain, evidence)
    if isinstance(model, TreeModel):
        return _forest_given(model, evidence) if evidence else model
    wanted = None if among is None else {*among, *evidence}
    for column in sorted(evidence):
        model = _network_given(model, column, evidence[column], wanted)
    return model


def _check_evidence(domain: Domain, evidence: Evidence) -> None:
    for column, weights in evidence.items():
        if not 0 <= column < len(domain):
            raise ValueError("evidence names a column outside the domain")
        name = domain.names[column]
        if weights.shape != (domain.axes[column].size,):
            raise ValueError(f"evidence on {name!r} is not one weight a code")
        if not (np.isfinite(weights) & (weights >= 0) & (weights <= 1)).all():
            raise ValueError(f"evidence on {name!r} has weights outside 0 .. 1")


def _forest_given(model: TreeModel, evidence: Evidence) -> TreeModel:
    """Return the forest's conditional distribution, which is a forest with the same edges."""
    classes, tree, table = model.cliques()
    within = [share_within(own, node) for own, node in zip(classes, model.nodes, strict=True)]
    weights = {c: group_sums(classes[c], within[c] * w, tree.sizes[c]) for c, w in evidence.items()}
    tables, probability = conditioned(tree, [table(i) for i in range(len(tree.cliques))], weights)
    beliefs = Beliefs(tree, tables.__getitem__)
    nodes = []
    for column, own in enumerate(classes):
        node = model.nodes[column] * evidence[column] if column in evidence else model.nodes[column]
        nodes.append(_scaled(share_within(own, node) * beliefs.joint((column,))[own]))
    estimates = []
    for edge in model.estimates:
        inside = [classes[c] for c in edge.columns]
        joint = _grouped(beliefs.joint(edge.columns), inside, edge.groups, edge.table.shape)
        estimates.append(Estimate(edge.columns, edge.groups, _scaled(joint)))
    return TreeModel(model.domain, model.total * probability, tuple(nodes), tuple(estimates))


def _network_given(
    model: NetworkModel, column: int, weights: Floats, wanted: set[int] | None
) -> NetworkModel:
    """Return a network given evidence on one column."""
    told = _Told(model, column, weights)
    after = Beliefs(model.tree, told.tables.__getitem__)
    nodes = []
    for other, node in enumerate(model.nodes):
        if other == column:
            nodes.append(_scaled(node * weights))
            continue
        groups, tree = model.groups[other], after.joint((other,))
        found = told.one_way(other) if wanted is None or other in wanted else None
        # An estimate may rule out what the tree does not; then the tree is followed.
        if found is None or tree[group_sums(groups, found) <= 0].sum() > TOLERANCE / 10:
            found = share_within(groups, node) * tree[groups]
        nodes.append(_scaled(found))
    held = [e for e in model.estimates if wanted is None or wanted.issuperset(e.columns)]
    estimates = list(held)
    for i in sharing_order([e.columns for e in held]):
        estimates[i] = _estimate_given(held[i], told, after, nodes)
    return replace(
        model,
        total=model.total * told.probability,
        nodes=tuple(nodes),
        estimates=tuple(estimates),
        tables=told.tables,
    )


class _Told:
    """A network and evidence on one of its columns: what follows for other columns, raked to all estimates.

    Attributes:
        model: The network.
        column: The column.
        probability: Of the evidence.
        before: The network's junction tree.
        tables: Its tables given the evidence.
        in_tree: Probability of the evidence in the junction tree alone.

    Raises:
        ValueError: the evidence has probability zero.
    """

    __slots__ = ("_weights", "before", "column", "in_tree", "model", "probability", "tables")

    def __init__(self, model: NetworkModel, column: int, weights: Floats) -> None:
        self.model, self.column, self._weights = model, column, weights
        self.before = Beliefs(model.tree, model.tables.__getitem__)
        states = {column: self._of_classes(model.groups[column])}
        self.tables, self.in_tree = conditioned(model.tree, model.tables, states)
        self.probability = float(model.nodes[column] @ weights)

    def _of_classes(self, classes: Groups) -> Floats:
        """Return the mean weight of each class's codes."""
        return group_sums(classes, share_within(classes, self.model.nodes[self.column]) * self._weights)

    def one_way(self, other: int) -> Floats:
        """Return the distribution of another column's codes given the evidence."""
        joint, (classes, own) = self.model.class_marginal((other, self.column), self.before)
        found: Floats = joint @ self._of_classes(own)
        return share_within(classes, self.model.nodes[other]) * found[classes]

    def table(self, columns: tuple[int, ...], groups: tuple[Groups, ...], shape: tuple[int, ...]) -> Floats:
        """Return the distribution of groups of columns, given the evidence, that marginals tell of."""
        asked = columns if self.column in columns else (*columns, self.column)
        joint, classes = self.model.class_marginal(asked, self.before)
        axis = asked.index(self.column)
        weights = self._of_classes(classes[axis])
        joint = joint * weights.reshape([-1 if a == axis else 1 for a in range(joint.ndim)])
        return _scaled(_grouped(joint if asked == columns else joint.sum(axis=axis), classes, groups, shape))


def _estimate_given(estimate: Estimate, told: _Told, after: Beliefs, nodes: Sequence[Floats]) -> Estimate:
    """Return an estimated table given the evidence, in line with the one-way distributions given it."""
    columns, groups, shape = estimate.columns, estimate.groups, estimate.table.shape
    margins = [group_sums(g, nodes[c], s) for c, g, s in zip(columns, groups, shape, strict=True)]
    asked = {*columns, told.column}
    if told.column in columns or math.prod(told.model.tree.sizes[c] for c in asked) <= _FINE:
        found = told.table(columns, groups, shape)
    else:
        found = _by_event(estimate, told, after, margins)
    found = found + _EVEN * functools.reduce(np.multiply.outer, margins)
    found = raked(found, columns, groups, [nodes[c] for c in columns], ())
    return Estimate(columns, groups, with_margins(found, margins))


def _by_event(estimate: Estimate, told: _Told, after: Beliefs, margins: Sequence[Floats]) -> Floats:
    """Return an estimated table given the evidence, from its joint distribution with whether that holds."""
    columns, groups, shape, model = estimate.columns, estimate.groups, estimate.table.shape, told.model
    apart = [[g] for g in groups]
    both, holds = (
        _grouped(*model.class_joint(columns, apart, beliefs), groups, shape)
        for beliefs in (told.before, after)
    )
    holds = told.in_tree * holds
    joint = np.stack([holds, np.maximum(both - holds, 0.0)], axis=-1)
    targets, event = [estimate], np.arange(2)
    for column, own, margin in zip(columns, groups, margins, strict=True):
        yes = told.probability * margin
        no = np.maximum(group_sums(own, model.nodes[column], margin.size) - yes, 0.0)
        targets.append(Estimate((column, _EVENT), (own, event), np.stack([yes, no], axis=-1)))
    nodes = [*(model.nodes[c] for c in columns), np.array([told.probability, 1.0 - told.probability])]
    return _scaled(raked(joint, [*columns, _EVENT], [*groups, event], nodes, targets)[..., 0])


def _grouped(
    joint: Floats, classes: Sequence[Groups], groups: Sequence[Groups], shape: Sequence[int]
) -> Floats:
    """Return a distribution of classes summed to groups; ``shape`` tells how many of these there are."""
    index = np.zeros((1,) * joint.ndim, dtype=np.int64)
    for axis, (own, coarse, size) in enumerate(zip(classes, groups, shape, strict=False)):
        along = [-1 if a == axis else 1 for a in range(joint.ndim)]
        index = index * size + coarser_group(own, coarse).reshape(along)
    return group_sums(index.ravel(), joint.ravel(), math.prod(shape)).reshape(shape)


def _scaled(values: Floats) -> Floats:
    result: Floats = values / max(float(values.sum()), _TINY)
    return result
