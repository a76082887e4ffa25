"""A Markov random field on a junction tree, with estimated tables beyond it.

A network holds three things that agree: one-way distributions at full resolution; estimated tables of pairs
and larger sets of columns, at the resolutions they were measured; and calibrated clique tables of a junction
tree, whose states are groups of codes. Cliques carry as many estimated tables as fit below a size limit; the
others are met on the rows themselves (:mod:`.polishing`) and in :meth:`NetworkModel.marginal` by raking.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.calibration import CliqueTree
from dpsynth.model.estimates import (
    LARGEST_MARGINAL,
    TOLERANCE,
    Estimate,
    check_columns,
    check_draw,
    check_estimates,
    estimates_from_arrays,
    estimates_to_arrays,
    is_distribution,
    read_array,
)
from dpsynth.model.groups import group_sums, sum_groups
from dpsynth.model.polishing import polish_rows
from dpsynth.model.sampling import Method, draw_given, draw_within

__all__ = ["NetworkModel"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]

_TINY = np.finfo(np.float64).tiny
_SWEEPS = 20


@dataclass(frozen=True, slots=True, eq=False)
class NetworkModel:
    """A fitted network.

    Attributes:
        domain: The coded columns.
        total: Noisy number of rows, at least 0.
        nodes: One-way probabilities of each column, in domain order; each sums to 1.
        estimates: Estimated tables of two or more columns; cycles among them are allowed, a set twice is not.
        groups: For each column, the clique tables' state of each code.
        tree: The cliques, over states.
        tables: Joint probabilities of each clique's states.

    Raises:
        ValueError: arrays that do not fit the domain or each other, are negative or not finite, or whose sums
            or margins disagree.
    """

    domain: Domain
    total: float
    nodes: tuple[Floats, ...]
    estimates: tuple[Estimate, ...]
    groups: tuple[Groups, ...]
    tree: CliqueTree
    tables: tuple[Floats, ...]

    def __post_init__(self) -> None:
        check_estimates(self.domain, self.total, self.nodes, self.estimates)
        if len({frozenset(e.columns) for e in self.estimates}) != len(self.estimates):
            raise ValueError("the model holds two tables of the same columns")
        if len(self.groups) != len(self.domain) or len(self.tree.sizes) != len(self.domain):
            raise ValueError("the model's states do not fit the number of columns")
        for axis, groups, size in zip(self.domain, self.groups, self.tree.sizes, strict=True):
            if groups.shape != (axis.size,) or size > axis.size or set(groups.tolist()) != set(range(size)):
                raise ValueError(f"the states of {axis.name!r} are not groups of its codes")
        self._check_tables()

    def _check_tables(self) -> None:
        if len(self.tables) != len(self.tree.cliques):
            raise ValueError("the model needs one table a clique")
        for i, table in enumerate(self.tables):
            if table.shape != self.tree.shape(i) or not is_distribution(table):
                raise ValueError("a clique's table is not a joint distribution of its columns")
            for column in self.tree.cliques[i]:
                if self._sum(i, (column,))[self._states(column) <= 0].sum() > TOLERANCE:
                    name = self.domain.names[column]
                    raise ValueError(f"a clique's table holds states of {name!r} that have no probability")
            shared, parent = self.tree.separator(i), self.tree.parents[i]
            if parent >= 0:
                here, there = self._sum(i, shared), self._sum(parent, shared)
                if np.abs(here - there).max() > TOLERANCE:
                    raise ValueError("two neighbouring cliques disagree on the columns they share")

    @property
    def links(self) -> tuple[tuple[str, ...], ...]:
        """The column names of each estimated table."""
        names = self.domain.names
        return tuple(tuple(names[c] for c in e.columns) for e in self.estimates)

    def marginal(self, columns: Sequence[int]) -> Floats:
        """Return the model's marginal: expected counts over some columns.

        The junction tree's marginal, codes within a state shared out by their one-way distribution, is raked
        to the one-way distributions and to every estimated table among the columns, so that it tells of a
        pair what the pair's own table tells, and what sampled rows follow.

        Args:
            columns: Positions of columns, all different; the axes of the answer, in this order.

        Returns:
            Array of shape ``(size of each column)`` and sum :attr:`total`.

        Raises:
            ValueError: an unknown or repeated column, or more than 2**26 cells in the answer or, with three
                or more columns far apart in the tree, on the way to it.
        """
        check_columns(self.domain, columns)
        if not columns:
            return np.array(self.total)
        joint = self._joint(tuple(columns))
        for axis, column in enumerate(columns):
            within = self.nodes[column] / np.maximum(self._states(column), _TINY)[self.groups[column]]
            joint = np.take(joint, self.groups[column], axis=axis)
            joint = joint * within.reshape([-1 if i == axis else 1 for i in range(len(columns))])
        return self.total * self._raked(joint, tuple(columns))

    def sample(self, n: int, rng: np.random.Generator, *, method: Method = "systematic") -> list[Codes]:
        """Draw rows.

        Args:
            n: Number of rows, at least 0.
            rng: Source of chance; the same state gives the same rows.
            method: ``"systematic"``: counts follow all estimates, also of tables beyond the cliques, as
                closely as polished integers allow. ``"iid"``: independent draws from the junction tree.

        Returns:
            One int64 array of ``n`` codes a column, in domain order.

        Raises:
            ValueError: ``n`` is negative or ``method`` is unknown.

        Privacy: free; post-processing of what was measured.
        """
        check_draw(n, method)
        states: dict[int, Codes] = {}
        for i, clique in enumerate(self.tree.cliques):
            shared = self.tree.separator(i)
            fresh = [c for c in clique if c not in shared]
            order = [clique.index(c) for c in (*shared, *fresh)]
            given = np.zeros(n, dtype=np.int64)
            for column in shared:
                given = given * self.tree.sizes[column] + states[column]
            cells = math.prod(self.tree.sizes[c] for c in shared)
            drawn = draw_given(given, self.tables[i].transpose(order).reshape(cells, -1), rng, method)
            for column in reversed(fresh):
                drawn, states[column] = np.divmod(drawn, self.tree.sizes[column])
        columns = [
            draw_within(states[c], self.groups[c], self.nodes[c], rng, method)
            for c in range(len(self.domain))
        ]
        return polish_rows(columns, self.nodes, self.estimates, rng) if method == "systematic" else columns

    def _states(self, column: int) -> Floats:
        return group_sums(self.groups[column], self.nodes[column])

    def _sum(self, clique: int, columns: Sequence[int]) -> Floats:
        held = self.tree.cliques[clique]
        away = tuple(i for i, c in enumerate(held) if c not in columns)
        total: Floats = self.tables[clique].sum(axis=away)
        return total

    def _joint(self, columns: tuple[int, ...]) -> Floats:
        """Return the tree's joint distribution of the columns' states, by elimination from the leaves."""
        joint, left = np.ones(()), set(columns)
        place: list[int] = []
        cliques = [set(clique) for clique in self.tree.cliques]
        while left:
            root = max(range(len(cliques)), key=lambda i: len(left & cliques[i]))
            part, found = self._eliminate(root, left)
            joint, place, left = np.multiply.outer(joint, part), place + found, left - set(found)
        return joint.transpose([place.index(c) for c in columns])

    def _eliminate(self, root: int, wanted: set[int]) -> tuple[Floats, list[int]]:
        """Return the joint distribution of the wanted columns in the root's component, and their order.

        What a clique passes on towards the root is ``p(wanted columns at or beyond it | columns shared with
        the next)``, its axes the wanted columns, then the shared; a clique beyond which none is wanted sums
        to one and is skipped.
        """
        cliques = self.tree.cliques
        passed: dict[int, list[tuple[Floats, list[int], list[int]]]] = {}
        for clique, towards in reversed(self._walk(root)):
            held, arrived = cliques[clique], passed.pop(clique, [])
            shared = [] if towards is None else [c for c in held if c in cliques[towards]]
            found = [c for c in held if c in wanted and c not in shared]
            if not found and not arrived:
                continue
            table = self.tables[clique]
            if shared:
                away = tuple(i for i, c in enumerate(held) if c not in shared)
                table = table / np.maximum(table.sum(axis=away, keepdims=True), _TINY)
            found += [c for _, columns, _ in arrived for c in columns]
            parts = [(table, list(held)), *((part, columns + given) for part, columns, given in arrived)]
            message = self._contract(parts, found + shared)
            if towards is None:
                return message, found
            passed.setdefault(towards, []).append((message, found, shared))
        raise ValueError("none of the wanted columns is in the root's component")

    def _walk(self, root: int) -> list[tuple[int, int | None]]:
        """Return the cliques of the root's component, the root first, each with the next towards the root."""
        neighbours: list[list[int]] = [[] for _ in self.tree.cliques]
        for i, parent in enumerate(self.tree.parents):
            if parent >= 0:
                neighbours[i].append(parent)
                neighbours[parent].append(i)
        walk: list[tuple[int, int | None]] = [(root, None)]
        for clique, towards in walk:
            walk += [(other, clique) for other in neighbours[clique] if other != towards]
        return walk

    def _contract(self, parts: Sequence[tuple[Floats, list[int]]], kept: list[int]) -> Floats:
        """Return the product of tables, summed to the columns kept; numpy wants axes named from 0 on."""
        if math.prod(self.tree.sizes[c] for c in kept) > LARGEST_MARGINAL:
            raise ValueError(
                f"a marginal over these columns needs more than {LARGEST_MARGINAL} cells on the way"
            )
        names = {c: i for i, c in enumerate(dict.fromkeys(c for _, columns in parts for c in columns))}
        operands: list[Any] = [x for part, columns in parts for x in (part, [names[c] for c in columns])]
        product: Floats = np.einsum(*operands, [names[c] for c in kept], optimize="greedy")
        return product

    def _raked(self, joint: Floats, columns: tuple[int, ...]) -> Floats:
        """Rescale a joint distribution of codes to the one-way distributions and the estimated tables.

        Estimates that leave no cell possible at all leave the distribution as it was.
        """
        start = joint
        inside = [e for e in self.estimates if set(e.columns) <= set(columns)]
        for _ in range(_SWEEPS if len(columns) > 1 else 1):
            for axis, column in enumerate(columns):
                others = tuple(i for i in range(len(columns)) if i != axis)
                ratio = self.nodes[column] / np.maximum(joint.sum(axis=others), _TINY)
                joint = joint * ratio.reshape([-1 if i == axis else 1 for i in range(len(columns))])
            for estimate in inside:
                places = [columns.index(c) for c in estimate.columns]
                others = tuple(i for i in range(len(columns)) if i not in places)
                part = joint.sum(axis=others).transpose(np.argsort(np.argsort(places)))
                found = part
                for axis, groups in enumerate(estimate.groups):
                    found = sum_groups(found, groups, axis)
                ratio = (estimate.table / np.maximum(found, _TINY))[estimate.index()]
                joint = joint * np.expand_dims(ratio.transpose(np.argsort(places)), others)
        result: Floats = joint / joint.sum() if joint.sum() > 0 else start / start.sum()
        return result

    def to_arrays(self) -> tuple[dict[str, Any], dict[str, npt.NDArray[Any]]]:
        """Return the model as JSON values and plain arrays, for saving."""
        meta, arrays = estimates_to_arrays(self.domain, self.total, self.nodes, self.estimates)
        meta |= {
            "model": "network",
            "cliques": [list(c) for c in self.tree.cliques],
            "parents": list(self.tree.parents),
        }
        arrays |= {f"states_{i}": groups for i, groups in enumerate(self.groups)}
        arrays |= {f"clique_{i}": table.ravel() for i, table in enumerate(self.tables)}
        return meta, arrays

    @classmethod
    def from_arrays(cls, meta: Mapping[str, Any], arrays: Mapping[str, npt.NDArray[Any]]) -> Self:
        """Rebuild a model from :meth:`to_arrays`, checking everything.

        Raises:
            ValueError, KeyError, TypeError: the content is not that of a model.
        """
        domain, total, nodes, estimates = estimates_from_arrays(meta, arrays)
        groups = tuple(read_array(arrays, f"states_{i}", np.int64) for i in range(len(domain)))
        sizes = tuple(int(g.max()) + 1 for g in groups)
        try:
            cliques = tuple(tuple(int(c) for c in clique) for clique in meta["cliques"])
            parents = tuple(int(p) for p in meta["parents"])
        except OverflowError:
            raise ValueError("a number of the model is infinite or far too large") from None
        tree = CliqueTree(sizes, cliques, parents)
        tables = tuple(
            read_array(arrays, f"clique_{i}", np.float64).reshape(tree.shape(i)) for i in range(len(cliques))
        )
        return cls(domain, total, nodes, estimates, groups, tree, tables)
