"""Answers of a calibrated junction tree: joint distributions of its columns, and what evidence makes of it.

A set of columns inside one clique is summed out of its table. Any other takes the smallest part of the tree
that touches all its columns; each clique there passes towards a root

    p(wanted columns at or beyond it | columns shared with the next)

and whatever lies outside that part sums to one. What was passed is kept, by clique, direction and wanted
columns, so that a batch of questions shares the work.

Reference: Shafer, Shenoy 1990 (local computation); Koller, Friedman 2009, sections 10.2 and 10.3.3 (queries
outside a clique).
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from dpsynth.model.calibration import CliqueTree
from dpsynth.model.estimates import LARGEST_MARGINAL

__all__ = ["Beliefs", "conditioned", "sharing_order"]

Floats: TypeAlias = npt.NDArray[np.float64]

_TINY = np.finfo(np.float64).tiny
_KEPT = 2**24  # cells of messages that are kept: 128 MB
_SMALL = 50_000  # products in a contraction that is not worth planning


class Beliefs:
    """A junction tree whose cliques agree, ready to be asked.

    Args:
        tree: The cliques.
        table: Gives the joint distribution of a clique's columns; asked at most once for each.
    """

    __slots__ = ("_cells", "_depths", "_masks", "_messages", "_table", "_tables", "_tops", "tree")

    def __init__(self, tree: CliqueTree, table: Callable[[int], Floats]) -> None:
        self.tree = tree
        self._table = table
        self._tables: dict[int, Floats] = {}
        self._messages: OrderedDict[tuple[int, int, frozenset[int]], Floats] = OrderedDict()
        self._cells = 0
        self._masks = [sum(1 << c for c in clique) for clique in tree.cliques]
        self._tops: dict[int, int] = {}
        self._depths: list[int] = []
        for i, (clique, parent) in enumerate(zip(tree.cliques, tree.parents, strict=True)):
            self._depths.append(0 if parent < 0 else self._depths[parent] + 1)
            for column in clique:
                self._tops.setdefault(column, i)

    def joint(self, columns: Sequence[int]) -> Floats:
        """Return the joint distribution of columns.

        Args:
            columns: All different; the axes of the answer, in this order.

        Returns:
            Array with one axis a column, of sum 1.

        Raises:
            ValueError: more than 2**26 cells are needed on the way.
        """
        trees: dict[int, list[int]] = {}
        for column in columns:
            trees.setdefault(self._root(self._tops[column]), []).append(column)
        answer, place = np.ones(()), list[int]()
        for wanted in trees.values():
            part, found = self._connected(frozenset(wanted))
            answer, place = np.multiply.outer(answer, part), place + found
        return answer.transpose([place.index(c) for c in columns])

    def _connected(self, wanted: frozenset[int]) -> tuple[Floats, list[int]]:
        """Return the joint distribution of columns of one component, and the order of its axes."""
        mask = sum(1 << c for c in wanted)
        holders = [i for i, held in enumerate(self._masks) if mask & held == mask]
        if holders:
            smallest = min(holders, key=lambda i: (math.prod(self.tree.shape(i)), i))
            return self._sum(smallest, wanted), sorted(wanted)
        part = self._between(wanted)
        last = 1 << max(wanted)
        root = max(part, key=lambda i: ((self._masks[i] & mask).bit_count(), self._masks[i] & last > 0, -i))
        walk: list[tuple[int, int]] = [(root, -1)]
        for clique, towards in walk:
            walk += [(other, clique) for other in part[clique] if other != towards]
        passed: dict[int, list[tuple[Floats, list[int], list[int]]]] = {}
        for clique, towards in reversed(walk):
            arrived = passed.pop(clique, [])
            shared = self._shared(clique, towards)
            found = [c for c in self.tree.cliques[clique] if c in wanted and c not in shared]
            found = sorted([*found, *(c for _, columns, _ in arrived for c in columns)])
            message = self._message(clique, towards, found, shared, arrived)
            passed.setdefault(towards, []).append((message, found, shared))
        ((joint, order, _),) = passed[-1]
        return joint, order

    def _message(
        self,
        clique: int,
        towards: int,
        found: list[int],
        shared: list[int],
        arrived: Sequence[tuple[Floats, list[int], list[int]]],
    ) -> Floats:
        """Return what a clique passes on: axes the found columns, then the shared."""
        key = (clique, towards, frozenset(found))
        if key in self._messages:
            self._messages.move_to_end(key)
            return self._messages[key]
        held = set(self.tree.cliques[clique])
        needed = sorted(held & {*found, *shared, *(c for _, _, given in arrived for c in given)})
        table = self._sum(clique, needed)
        if shared:
            away = tuple(i for i, c in enumerate(needed) if c not in shared)
            table = table / np.maximum(table.sum(axis=away, keepdims=True), _TINY)
        parts = [(table, needed), *((part, columns + given) for part, columns, given in arrived)]
        message = self._contract(parts, found + shared)
        self._keep(key, message)
        return message

    def _keep(self, key: tuple[int, int, frozenset[int]], message: Floats) -> None:
        self._messages[key] = message
        self._cells += message.size
        while self._cells > _KEPT:
            _, oldest = self._messages.popitem(last=False)
            self._cells -= oldest.size

    def _contract(self, parts: Sequence[tuple[Floats, list[int]]], kept: list[int]) -> Floats:
        """Return the product of tables, summed to the columns kept; numpy wants axes named from 0 on."""
        if math.prod(self.tree.sizes[c] for c in kept) > LARGEST_MARGINAL:
            raise ValueError(
                f"a marginal over these columns needs more than {LARGEST_MARGINAL} cells on the way"
            )
        names = {c: i for i, c in enumerate(dict.fromkeys(c for _, columns in parts for c in columns))}
        operands: list[Any] = [x for part, columns in parts for x in (part, [names[c] for c in columns])]
        products = math.prod(self.tree.sizes[c] for c in names)
        how = "greedy" if products > _SMALL else False
        product: Floats = np.einsum(*operands, [names[c] for c in kept], optimize=how)
        return product

    def _sum(self, clique: int, columns: Iterable[int]) -> Floats:
        """Return a clique's table summed to some of its columns, increasing."""
        if clique not in self._tables:
            self._tables[clique] = self._table(clique)
        kept = set(columns)
        away = tuple(i for i, c in enumerate(self.tree.cliques[clique]) if c not in kept)
        total: Floats = self._tables[clique].sum(axis=away)
        return total

    def _shared(self, clique: int, other: int) -> list[int]:
        return [c for c in self.tree.cliques[clique] if other >= 0 and self._masks[other] >> c & 1]

    def _root(self, clique: int) -> int:
        while self.tree.parents[clique] >= 0:
            clique = self.tree.parents[clique]
        return clique

    def _between(self, wanted: frozenset[int]) -> dict[int, list[int]]:
        """Return the smallest part of the tree that touches all these columns: its cliques' neighbours."""
        tops = sorted({self._tops[c] for c in wanted})
        parents, meeting, part = self.tree.parents, tops[0], {tops[0]}
        for top in tops[1:]:
            climbing = top
            while climbing not in part:
                if self._depths[meeting] >= self._depths[climbing]:
                    meeting = parents[meeting]
                    part.add(meeting)
                else:
                    part.add(climbing)
                    climbing = parents[climbing]
        near: dict[int, list[int]] = {clique: [] for clique in sorted(part)}
        for clique in sorted(part - {meeting}):
            near[clique].append(parents[clique])
            near[parents[clique]].append(clique)
        mask = sum(1 << c for c in wanted)
        ends = [clique for clique in near if len(near[clique]) == 1]
        while ends:
            end = ends.pop()
            if len(near) > 1 and not self._masks[end] & mask & ~self._masks[near[end][0]]:
                (other,) = near.pop(end)
                near[other].remove(end)
                if len(near[other]) == 1:
                    ends.append(other)
        return near


def sharing_order(queries: Sequence[Sequence[int]]) -> list[int]:
    """Return the order in which to ask for sets of columns: neighbours in it share most of their messages."""
    return sorted(range(len(queries)), key=lambda i: sorted(queries[i]))


def conditioned(
    tree: CliqueTree, tables: Sequence[Floats], weights: Mapping[int, Floats]
) -> tuple[tuple[Floats, ...], float]:
    """Return calibrated tables given evidence on some columns.

        p(x | evidence) = p(x) * prod over columns c of w_c(x_c) / P,   P = sum over x of the same

    One pass towards the roots, one back.

    Args:
        tree: The cliques.
        tables: Joint distribution of each clique, neighbours agreeing.
        weights: For some columns, the non-negative weight of each state.

    Returns:
        Calibrated tables of the same shapes, each of sum 1; and ``P``.

    Raises:
        ValueError: ``P`` is zero.
    """
    factors, seen = [], set[int]()
    for i, (clique, table) in enumerate(zip(tree.cliques, tables, strict=True)):
        shared = tree.separator(i)
        away = tuple(axis for axis, c in enumerate(clique) if c not in shared)
        factor = table / np.maximum(table.sum(axis=away, keepdims=True), _TINY) if shared else table
        for column in clique:
            if column in weights and column not in seen:
                seen.add(column)
                factor = factor * _spread(weights[column], (column,), clique)
        factors.append(factor)
    messages: list[Floats] = [np.ones(())] * len(factors)
    probability = 1.0
    for i in reversed(range(len(factors))):
        parent, shared = tree.parents[i], tree.separator(i)
        messages[i] = _summed(factors[i], tree.cliques[i], shared)
        if parent >= 0:
            factors[parent] = factors[parent] * _spread(messages[i], shared, tree.cliques[parent])
        else:
            probability *= float(messages[i])
    if not probability > 0.0:
        raise ValueError("the evidence has probability zero")
    for i, parent in enumerate(tree.parents):
        if parent >= 0:
            shared = tree.separator(i)
            there = _summed(factors[parent], tree.cliques[parent], shared)
            ratio = np.divide(there, messages[i], out=np.zeros_like(there), where=there > 0)
            factors[i] = factors[i] * _spread(ratio, shared, tree.cliques[i])
        factors[i] = factors[i] / factors[i].sum()
    return tuple(factors), probability


def _summed(table: Floats, clique: Sequence[int], kept: Sequence[int]) -> Floats:
    """Return a clique's table summed to some of its columns."""
    total: Floats = table.sum(axis=tuple(axis for axis, c in enumerate(clique) if c not in kept))
    return total


def _spread(table: Floats, columns: Sequence[int], clique: Sequence[int]) -> Floats:
    """Return a table of some of a clique's columns, increasing, with an axis of length 1 for each other."""
    lengths = iter(table.shape)
    return table.reshape([next(lengths) if c in columns else 1 for c in clique])
