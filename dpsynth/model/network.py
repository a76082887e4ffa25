"""A Markov random field on a junction tree, with estimated tables beyond it.

A network holds three things that agree: one-way distributions at full resolution; estimated tables of pairs
and larger sets of columns, at the resolutions they were measured; and calibrated clique tables of a junction
tree, whose states are groups of codes. Cliques carry as many estimated tables as fit below a size limit; the
others are met on the rows themselves (:mod:`.polishing`) and in :meth:`NetworkModel.marginal` by raking.
Rules of the domain are zeros of clique tables; no row is ever drawn into one, nor polished into one.
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
from dpsynth.model.groups import coarser_group, group_sums
from dpsynth.model.inference import Beliefs, sharing_order
from dpsynth.model.interpolation import Interpolation, interpolation
from dpsynth.model.polishing import EFFORT, polish_rows
from dpsynth.model.raking import common_classes, raked, share_within
from dpsynth.model.refinement import followed_tables
from dpsynth.model.sampling import Method, draw_given, draw_within
from dpsynth.rules import agreed_tables

__all__ = ["NetworkModel"]

_LARGEST_INTERPOLATED = 2**17  # cells of a marginal over three or more columns

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]
Codes = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]


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
        ValueError: arrays that do not fit the domain or each other, are negative or not finite, whose sums or
            margins disagree, or that give probability to what a rule of the domain forbids.
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
        for table, allowed in zip(self.tables, self.allowed(), strict=True):
            if allowed is not None and table[~allowed].any():
                raise ValueError("a clique's table gives probability to what a rule forbids")

    def allowed(self) -> Sequence[Flags | None]:
        """Return where rows that keep the domain's rules may be, in each clique; ``None`` for everywhere."""
        if not self.domain.rules:
            return [None] * len(self.tables)
        return agreed_tables(self.groups, self.tree.cliques, self.tree.parents, self.domain.rules)

    @property
    def links(self) -> tuple[tuple[str, ...], ...]:
        """The column names of each estimated table."""
        names = self.domain.names
        return tuple(tuple(names[c] for c in e.columns) for e in self.estimates)

    def marginal(self, columns: Sequence[int]) -> Floats:
        """Return the model's marginal: expected counts over some columns.

        The junction tree's marginal, codes within a state shared out by their one-way distribution and, where
        they are ordered, by interpolation between the groups of a pair (with three or more columns only up to
        2**17 cells), is raked to the one-way distributions and to every estimated table among the columns, so
        that it tells of a pair what the pair's own table tells, and what sampled rows follow.

        Args:
            columns: Positions of columns, all different; the axes of the answer, in this order.

        Returns:
            Array of shape ``(size of each column)`` and sum :attr:`total`.

        Raises:
            ValueError: an unknown or repeated column, or more than 2**26 cells in the answer or, with three
                or more columns far apart in the tree, on the way to it.
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
        beliefs = Beliefs(self.tree, self.tables.__getitem__)
        answers: list[Floats] = [np.ones(())] * len(queries)
        for i in sharing_order(queries):
            joint, classes = self.class_marginal(queries[i], beliefs)
            for axis, (column, own) in enumerate(zip(queries[i], classes, strict=True)):
                within = share_within(own, self.nodes[column])
                joint = np.take(joint, own, axis=axis)
                joint = joint * within.reshape([-1 if a == axis else 1 for a in range(joint.ndim)])
            answers[i] = joint
        return answers

    def class_marginal(self, columns: Sequence[int], beliefs: Beliefs) -> tuple[Floats, list[Groups]]:
        """Return the distribution that :meth:`marginal` tells of, over classes of codes instead of codes.

        Args:
            columns: Positions of columns, all different.
            beliefs: Those of this model's tables; asked again they share their work.

        Returns:
            Array with one axis a column; and for each column the class of each code. Within a class codes
            follow their one-way distribution.
        """
        wanted = frozenset(columns)
        inside = [e for e in self.estimates if wanted.issuperset(e.columns)] if len(columns) > 1 else []
        smooth: list[Interpolation] = []
        if len(columns) == 2 or self.domain.cells(columns) <= _LARGEST_INTERPOLATED:
            found = (interpolation(self.domain, self.nodes, e) for e in inside if len(e.columns) == 2)
            smooth = [s for s in found if s is not None]
        tables: list[Estimate | Interpolation] = [*inside, *smooth]
        told = [
            [g for t in tables for c, g in zip(t.columns, t.groups, strict=True) if c == column]
            for column in columns
        ]
        joint, classes = self.class_joint(columns, told, beliefs)
        for part in smooth:
            joint = joint * part.along(columns, classes)
        nodes = [self.nodes[c] for c in columns]
        return raked(joint, list(columns), classes, nodes, inside), classes

    def class_joint(
        self, columns: Sequence[int], told: Sequence[Sequence[Groups]], beliefs: Beliefs
    ) -> tuple[Floats, list[Groups]]:
        """Return the junction tree's distribution of columns, over classes that tell some groups apart.

        Args:
            columns: Positions of columns, all different.
            told: For each of them, groupings of its codes.
            beliefs: Those of this model's tables.

        Returns:
            As :meth:`class_marginal`.
        """
        joint, classes = beliefs.joint(columns), []
        for axis, (column, groupings) in enumerate(zip(columns, told, strict=True)):
            own = common_classes([self.groups[column], *groupings])
            if own is not self.groups[column]:
                states = coarser_group(own, self.groups[column])
                share = share_within(states, group_sums(own, self.nodes[column]))
                joint = np.take(joint, states, axis=axis)
                joint = joint * share.reshape([-1 if a == axis else 1 for a in range(joint.ndim)])
            classes.append(own)
        return joint, classes

    def sample(
        self, n: int, rng: np.random.Generator, *, method: Method = "systematic", effort: float = EFFORT
    ) -> list[Codes]:
        """Draw rows.

        Args:
            n: Number of rows, at least 0.
            rng: Source of chance; the same state gives the same rows.
            method: ``"systematic"``: counts follow :meth:`marginal` of every pair of columns, and estimated
                larger tables, also those beyond the cliques, as closely as polished integers allow (very
                large tables at the groupings they were estimated at). ``"iid"``: independent draws from
                the junction tree.
            effort: Most changes tried for each value of systematic rows; with 0 they stay as drawn.

        Returns:
            One int64 array of ``n`` codes a column, in domain order.

        Raises:
            ValueError: ``n`` is negative or ``method`` is unknown.

        Privacy: free; post-processing of what was measured.
        """
        check_draw(n, method)
        states: dict[int, Codes] = {}
        everywhere = self.allowed()
        for i, clique in enumerate(self.tree.cliques):
            shared = self.tree.separator(i)
            fresh = [c for c in clique if c not in shared]
            order = [clique.index(c) for c in (*shared, *fresh)]
            given = np.zeros(n, dtype=np.int64)
            for column in shared:
                given = given * self.tree.sizes[column] + states[column]
            cells = math.prod(self.tree.sizes[c] for c in shared)
            table = self.tables[i].transpose(order).reshape(cells, -1)
            if (allowed := everywhere[i]) is not None:  # where no mass is left, any cell that may be
                left = table.sum(axis=1, keepdims=True) > 0
                table = np.where(left, table, allowed.transpose(order).reshape(cells, -1))
            drawn = draw_given(given, table, rng, method)
            for column in reversed(fresh):
                drawn, states[column] = np.divmod(drawn, self.tree.sizes[column])
        columns = [
            draw_within(states[c], self.groups[c], self.nodes[c], rng, method)
            for c in range(len(self.domain))
        ]
        if method == "iid" or not effort:
            return columns
        followed, weights = followed_tables(self.domain, self.estimates, self._distributions)
        return polish_rows(
            columns, self.nodes, followed, rng, weights=weights, rules=self.domain.rules, effort=effort
        )

    def _states(self, column: int) -> Floats:
        return group_sums(self.groups[column], self.nodes[column])

    def _sum(self, clique: int, columns: Sequence[int]) -> Floats:
        held = self.tree.cliques[clique]
        away = tuple(i for i, c in enumerate(held) if c not in columns)
        total: Floats = self.tables[clique].sum(axis=away)
        return total

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
