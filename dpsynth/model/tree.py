"""A Markov random field whose graph is a forest, in closed form.

    p(x) = prod over columns v of p_v(x_v)
           * prod over edges (a, b) of T_ab(g_a(x_a), g_b(x_b)) / (p_a(g_a(x_a)) * p_b(g_b(x_b)))

``p_v`` are one-way distributions at full resolution; an edge's table ``T_ab`` is a joint distribution of
*groups* of the two columns' codes whose margins agree with ``p_a`` and ``p_b``. Within a group, codes
follow their one-way distribution. Because the margins agree the normalising constant is one, and every
one-way marginal of ``p`` is ``p_v``: no iteration is needed. Where a group has probability zero, ``0/0``
counts as independence.

Reference: Chow, Liu 1968, IEEE Trans. IT 14(3); Wainwright, Jordan 2008, section 4.1 (tree factorisation).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.calibration import CliqueTree
from dpsynth.model.estimates import (
    LARGEST_MARGINAL,
    Estimate,
    check_columns,
    check_draw,
    check_estimates,
    estimates_from_arrays,
    estimates_to_arrays,
)
from dpsynth.model.groups import coarser_group, group_sums
from dpsynth.model.inference import Beliefs, sharing_order
from dpsynth.model.polishing import EFFORT, polish_rows
from dpsynth.model.raking import common_classes, share_within
from dpsynth.model.refinement import followed_tables
from dpsynth.model.sampling import Method, draw_given, draw_within

__all__ = ["TreeModel"]

_EFFORT = 2.0  # proposals for each value drawn: a tree's rows are near to begin with

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]

_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True, eq=False)
class TreeModel:
    """A fitted forest.

    Attributes:
        domain: The coded columns.
        total: Noisy number of rows, at least 0.
        nodes: One-way probabilities of each column, in domain order; each sums to 1.
        estimates: Dependences, the forest's edges: tables of two columns; no cycle among them.

    Raises:
        ValueError: arrays that do not fit the domain, are negative or not finite, whose sums or margins
            disagree, a table of more than two columns, or edges that close a cycle.
    """

    domain: Domain
    total: float
    nodes: tuple[Floats, ...]
    estimates: tuple[Estimate, ...]

    def __post_init__(self) -> None:
        if self.domain.rules:
            raise ValueError("a tree cannot keep rules across columns; a network can")
        check_estimates(self.domain, self.total, self.nodes, self.estimates)
        component = list(range(len(self.domain)))
        for edge in self.estimates:
            if len(edge.columns) != 2:
                raise ValueError("a forest's edges are tables of two columns")
            here, there = (component[c] for c in edge.columns)
            if here == there:
                raise ValueError("the model's edges close a cycle")
            component = [here if c == there else c for c in component]

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """The column names of each edge."""
        names = self.domain.names
        return tuple((names[e.columns[0]], names[e.columns[1]]) for e in self.estimates)

    def marginal(self, columns: Sequence[int]) -> Floats:
        """Return the model's exact marginal: expected counts over some columns.

        Args:
            columns: Positions of columns, all different; the axes of the answer, in this order.

        Returns:
            Array of shape ``(size of each column)`` and sum :attr:`total`.

        Raises:
            ValueError: an unknown or repeated column, or an answer of more than 2**26 cells.
        """
        return self.marginals((columns,))[0]

    def marginals(self, queries: Sequence[Sequence[int]]) -> list[Floats]:
        """Return several marginals at once, each as :meth:`marginal` does; they share what they can.

        Args:
            queries: For each marginal, positions of columns, all different.

        Raises:
            ValueError: as :meth:`marginal`.
        """
        for columns in queries:
            check_columns(self.domain, columns)
        return [self.total * distribution for distribution in self._distributions(queries)]

    def _distributions(self, queries: Sequence[Sequence[int]]) -> list[Floats]:
        classes, tree, table = self.cliques()
        beliefs = Beliefs(tree, table)
        answers: list[Floats] = [np.ones(())] * len(queries)
        for i in sharing_order(queries):
            joint = beliefs.joint(queries[i])
            for axis, column in enumerate(queries[i]):
                within = share_within(classes[column], self.nodes[column])
                joint = np.take(joint, classes[column], axis=axis)
                joint = joint * within.reshape([-1 if a == axis else 1 for a in range(joint.ndim)])
            answers[i] = joint / max(float(joint.sum()), _TINY)
        return answers

    def cliques(self) -> tuple[list[Groups], CliqueTree, Callable[[int], Floats]]:
        """Return the forest as a junction tree: a clique an edge, one a lone column, over classes of codes.

        A column's classes are its codes as far as its edges tell them apart: there are few of them however
        many codes there are.

        Returns:
            The class of each code of each column; the cliques; and what gives the joint distribution of a
            clique's classes, which raises ValueError where that takes more than 2**26 cells.
        """
        told: list[list[Groups]] = [[] for _ in self.domain.axes]
        for edge in self.estimates:
            for column, groups in zip(edge.columns, edge.groups, strict=True):
                told[column].append(groups)
        classes = [
            common_classes(seen or [np.zeros(axis.size, dtype=np.int64)])
            for axis, seen in zip(self.domain, told, strict=True)
        ]
        cliques: list[tuple[int, ...]] = []
        parents, edges = list[int](), list[Estimate | None]()
        entered: dict[int, int] = {}
        for root, order in self._traversals():
            for node, via in order.items():
                if via is None and told[root]:
                    continue
                parents.append(-1 if via is None else entered.get(self._other_end(via, node), -1))
                cliques.append((node,) if via is None else tuple(sorted(via.columns)))
                edges.append(via)
                entered.setdefault(root, len(parents) - 1)
                entered[node] = len(parents) - 1
        sizes = tuple(int(own.max()) + 1 for own in classes)

        def table(clique: int) -> Floats:
            via = edges[clique]
            return np.ones(1) if via is None else self._table(via, classes)

        return classes, CliqueTree(sizes, tuple(cliques), tuple(parents)), table

    def _table(self, edge: Estimate, classes: Sequence[Groups]) -> Floats:
        """Return the joint distribution of an edge's columns over their classes, columns increasing."""
        shares, places = [], []
        for column, groups in zip(edge.columns, edge.groups, strict=True):
            place = coarser_group(classes[column], groups)
            places.append(place)
            shares.append(share_within(place, group_sums(classes[column], self.nodes[column])))
        if shares[0].size * shares[1].size > LARGEST_MARGINAL:
            raise ValueError(
                f"a marginal over these columns needs more than {LARGEST_MARGINAL} cells on the way"
            )
        table = edge.table[np.ix_(*places)] * np.multiply.outer(*shares)
        joint: Floats = table / table.sum()
        return joint if edge.columns[0] < edge.columns[1] else joint.T

    @staticmethod
    def _groups_at(edge: Estimate, node: int) -> Groups:
        return edge.groups[edge.columns.index(node)]

    def _given(self, edge: Estimate, node: int) -> Floats:
        """Return ``p(group of node | group of the edge's other end)``; rows sum to 1."""
        table = edge.table if edge.columns[1] == node else edge.table.T
        own = group_sums(self._groups_at(edge, node), self.nodes[node], table.shape[1])
        table = np.where(own > 0, table, 0.0)
        table = np.where(table.sum(axis=1, keepdims=True) > 0, table, own)
        conditional: Floats = table / table.sum(axis=1, keepdims=True)
        return conditional

    @staticmethod
    def _other_end(edge: Estimate, node: int) -> int:
        return edge.columns[1 - edge.columns.index(node)]

    def _traversals(self) -> list[tuple[int, dict[int, Estimate | None]]]:
        """Return each component's root and, in pre-order, its columns with the edges that lead to them."""
        edges: list[list[Estimate]] = [[] for _ in self.domain.axes]
        for edge in self.estimates:
            for column in edge.columns:
                edges[column].append(edge)
        seen: set[int] = set()
        result = []
        for root in range(len(self.domain)):
            if root in seen:
                continue
            order: dict[int, Estimate | None] = {}
            stack: list[tuple[int, Estimate | None]] = [(root, None)]
            while stack:
                node, came = stack.pop()
                order[node] = came
                stack += [(self._other_end(e, node), e) for e in edges[node] if e is not came]
            seen |= set(order)
            result.append((root, order))
        return result

    def sample(
        self, n: int, rng: np.random.Generator, *, method: Method = "systematic", effort: float = EFFORT
    ) -> list[Codes]:
        """Draw rows.

        Args:
            n: Number of rows, at least 0.
            rng: Source of chance; the same state gives the same rows.
            method: ``"systematic"``: counts follow :meth:`marginal` of every pair of columns as closely as
                polished integers allow (very large tables at the groupings they were estimated at).
                ``"iid"``: rows are independent draws.
            effort: Most changes tried for each value of systematic rows; with 0 they stay as drawn.

        Returns:
            One int64 array of ``n`` codes a column, in domain order.

        Raises:
            ValueError: ``n`` is negative or ``method`` is unknown.

        Privacy: free; post-processing of what was measured.
        """
        check_draw(n, method)
        columns: list[Codes] = [np.zeros(n, dtype=np.int64) for _ in self.domain.axes]
        for _, order in self._traversals():
            for node, edge in order.items():
                if edge is None:
                    columns[node] = draw_given(columns[node], self.nodes[node][None, :], rng, method)
                    continue
                parent = self._other_end(edge, node)
                above = self._groups_at(edge, parent)[columns[parent]]
                group = draw_given(above, self._given(edge, node), rng, method)
                columns[node] = draw_within(group, self._groups_at(edge, node), self.nodes[node], rng, method)
        if method == "iid" or not effort or not self.estimates:
            return columns
        followed, weights = followed_tables(self.domain, self.estimates, self._distributions)
        return polish_rows(columns, self.nodes, followed, rng, weights=weights, effort=min(effort, _EFFORT))

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return the model as JSON values and plain arrays, for saving."""
        meta, arrays = estimates_to_arrays(self.domain, self.total, self.nodes, self.estimates)
        return {"model": "tree", **meta}, arrays

    @classmethod
    def from_arrays(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model from :meth:`to_arrays`, checking everything.

        Raises:
            ValueError, KeyError, TypeError: the content is not that of a model.
        """
        if meta["model"] != "tree":
            raise ValueError("this version reads models of the kind 'tree'")
        return cls(*estimates_from_arrays(meta, arrays))
