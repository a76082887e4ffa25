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

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.estimates import (
    Estimate,
    check_columns,
    check_draw,
    check_estimates,
    estimates_from_arrays,
    estimates_to_arrays,
)
from dpsynth.model.groups import group_sums
from dpsynth.model.sampling import Method, draw_given, draw_within

__all__ = ["TreeModel"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]


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
        check_columns(self.domain, columns)
        answer: Floats = np.array(self.total)
        found: list[tuple[int, Groups]] = []
        for _, order in self._traversals():
            wanted = [c for c in columns if c in order]
            if wanted:
                part, axes = self._eliminate(wanted[0], None, frozenset(wanted))
                answer, found = np.multiply.outer(answer, part[0]), found + axes
        for i, (column, classes) in enumerate(found):
            answer = answer.take(classes, axis=i) * self._within(column, classes).reshape(
                (-1,) + (1,) * (answer.ndim - 1 - i)
            )
        place = [column for column, _ in found]
        return answer.transpose([place.index(c) for c in columns])

    def _eliminate(
        self, node: int, via: Estimate | None, wanted: frozenset[int]
    ) -> tuple[Floats, list[tuple[int, Groups]]]:
        """Return ``p(classes of the wanted columns at or below node | the parent's group)``.

        A column's classes are its codes as far as the edges in question tell them apart: there are few of
        them however many codes there are. Message passing from the leaves; columns below that nobody asked
        for sum to one and are skipped.

        Returns:
            Array whose first axis is the parent's group (of length 1 without a parent), and for each further
            axis its column and the class of each of its codes.
        """
        edges = [
            (self._other_end(edge, node), edge)
            for edge in self._edges_of(node)
            if edge is not via and wanted & self._below(self._other_end(edge, node), edge)
        ]
        told = [self._groups_at(edge, node) for edge in ([via] if via else []) + [e for _, e in edges]]
        classes, groups_of = _distinct(told, self.nodes[node].size)
        weights = group_sums(classes, self.nodes[node])[None, :]
        if via is not None:
            below = groups_of.pop(0)
            share = self._within(node, self._groups_at(via, node))
            weights = self._given(via, node)[:, below] * group_sums(classes, share)
        parts = [self._eliminate(child, edge, wanted) for child, edge in edges]
        sides: list[Floats] = [weights.T, np.ones((weights.shape[1], 1))]
        axes: tuple[list[tuple[int, Groups]], ...] = ([], [])
        for groups, (part, found) in zip(groups_of, parts, strict=True):
            side = int(sides[1].shape[1] < sides[0].shape[1])
            sides[side] = _row_products(sides[side], part.reshape(part.shape[0], -1)[groups])
            axes[side].extend(found)
        lengths = [int(c.max()) + 1 for _, c in (*axes[0], *axes[1])]
        if node not in wanted:
            return (sides[0].T @ sides[1]).reshape(weights.shape[0], *lengths), [*axes[0], *axes[1]]
        joint = _row_products(*sides).reshape(weights.shape[1], weights.shape[0], *lengths)
        return np.swapaxes(joint, 0, 1), [(node, classes), *axes[0], *axes[1]]

    @staticmethod
    def _groups_at(edge: Estimate, node: int) -> Groups:
        return edge.groups[edge.columns.index(node)]

    def _within(self, node: int, groups: Groups) -> Floats:
        """Return the probability of each code given its group; zeros where the group has none."""
        mass = group_sums(groups, self.nodes[node])[groups]
        share: Floats = np.divide(self.nodes[node], mass, out=np.zeros_like(mass), where=mass > 0)
        return share

    def _given(self, edge: Estimate, node: int) -> Floats:
        """Return ``p(group of node | group of the edge's other end)``; rows sum to 1."""
        table = edge.table if edge.columns[1] == node else edge.table.T
        own = group_sums(self._groups_at(edge, node), self.nodes[node], table.shape[1])
        table = np.where(own > 0, table, 0.0)
        table = np.where(table.sum(axis=1, keepdims=True) > 0, table, own)
        conditional: Floats = table / table.sum(axis=1, keepdims=True)
        return conditional

    def _edges_of(self, node: int) -> list[Estimate]:
        return [edge for edge in self.estimates if node in edge.columns]

    @staticmethod
    def _other_end(edge: Estimate, node: int) -> int:
        return edge.columns[1 - edge.columns.index(node)]

    def _below(self, node: int, via: Estimate) -> frozenset[int]:
        found, frontier = {node}, [(node, via)]
        while frontier:
            here, came = frontier.pop()
            ahead = [(self._other_end(e, here), e) for e in self._edges_of(here) if e is not came]
            found |= {node for node, _ in ahead}
            frontier += ahead
        return frozenset(found)

    def _traversals(self) -> list[tuple[int, dict[int, Estimate | None]]]:
        """Return each component's root and, in pre-order, its columns with the edges that lead to them."""
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
                stack += [(self._other_end(e, node), e) for e in self._edges_of(node) if e is not came]
            seen |= set(order)
            result.append((root, order))
        return result

    def sample(self, n: int, rng: np.random.Generator, *, method: Method = "systematic") -> list[Codes]:
        """Draw rows.

        Args:
            n: Number of rows, at least 0.
            rng: Source of chance; the same state gives the same rows.
            method: ``"systematic"``: counts follow the model as closely as integers allow. ``"iid"``: rows
                are independent draws.

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
        return columns

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


def _distinct(told: Sequence[Groups], size: int) -> tuple[Groups, list[Groups]]:
    """Return the class of each code, codes of one class being in the same groups, and each class's groups."""
    classes = np.zeros(size, dtype=np.int64)
    for groups in told:
        _, classes = np.unique(classes * (int(groups.max()) + 1) + groups, return_inverse=True)
    _, first = np.unique(classes, return_index=True)
    return classes, [groups[first] for groups in told]


def _row_products(left: Floats, right: Floats) -> Floats:
    """Return all products of a left with a right entry, row by row; shape ``(rows, left * right)``."""
    return (left[:, :, None] * right[:, None, :]).reshape(left.shape[0], -1)
