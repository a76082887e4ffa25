"""Junction trees, grown one dependence at a time.

A forest of cliques in which every column's cliques are connected (the running intersection property). It is
grown by sets of columns: the price of one more is read off the part of the forest between its columns, so
that no candidate ever asks for a new triangulation.

Adding a set ``K``: take the smallest subtree ``T`` that touches every column of ``K``, and one end of it as
the root. Each column of ``K`` is carried from where it is held towards the root, through new cliques: the
one beside ``i`` in ``T`` holds the separators between ``i`` and its neighbours in ``T``, and the columns of
``K`` at or beyond ``i``. The root's holds all of ``K``. (For a pair ``(a, b)`` on a path with separators
``S_1, ..., S_m`` those are ``S_i + S_{i+1} + {a}``, up to ``S_m + {a, b}``.) The price is the number of
cells of the largest. Every end is tried as the root, and the cheapest taken.

Reference: Lauritzen, Spiegelhalter 1988; Koller, Friedman 2009, "Probabilistic Graphical Models", chapter 10.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

__all__ = ["JunctionForest"]


@dataclass(frozen=True, slots=True)
class _Step:
    """One clique of the subtree on the way to its root, and the new clique that stands in for it, if any."""

    node: int
    towards: int | None
    clique: frozenset[int] | None


class JunctionForest:
    """A junction forest over columns ``0 .. len(sizes)-1``; at first each column is a clique of its own.

    Args:
        sizes: Number of states of each column.

    Attributes:
        cliques: Live cliques by number; each a frozenset of columns.
        links: For each live clique, its neighbours.
    """

    __slots__ = ("_above", "_holders", "_next", "cliques", "links", "sizes")

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.cliques: dict[int, frozenset[int]] = {c: frozenset((c,)) for c in range(len(sizes))}
        self.links: dict[int, set[int]] = {c: set() for c in self.cliques}
        self._holders: list[set[int]] = [{c} for c in self.cliques]
        self._next = len(self.sizes)
        self._above: dict[int, tuple[int, int, int]] | None = None

    @classmethod
    def of_cliques(
        cls, sizes: Sequence[int], cliques: Sequence[Iterable[int]], parents: Sequence[int]
    ) -> Self:
        """Return the forest of a clique tree; cliques inside a neighbour are merged into it.

        Args:
            sizes: Number of states of each column.
            cliques: Columns of each clique; every column in one or more, those of a column connected.
            parents: Position of each clique's parent; -1 for a root.
        """
        forest = cls(sizes)
        for node in list(forest.cliques):
            forest._remove(node)
        nodes = [forest._new(frozenset(clique)) for clique in cliques]
        for node, parent in zip(nodes, parents, strict=True):
            if parent >= 0:
                forest._link(node, nodes[parent])
        for node in nodes:
            forest._absorb(node)
        return forest

    def cells(self, columns: Iterable[int]) -> int:
        """Number of cells of a table over these columns."""
        return math.prod(self.sizes[c] for c in columns)

    def covers(self, columns: Sequence[int]) -> bool:
        """Whether some clique holds all these columns."""
        return bool(set.intersection(*(self._holders[c] for c in columns)))

    def price(self, columns: Sequence[int]) -> int:
        """Return the cells of the largest clique that holding these columns together would make.

        Args:
            columns: One or more columns, all different.

        Returns:
            The number of cells; 0 if some clique holds them all.
        """
        if self.covers(columns):
            return 0
        parts = self._parts(columns)
        apart = self.cells(columns) if len(parts) > 1 else 0
        return max(apart, *(_largest(self, steps) for steps in parts))

    def add(self, columns: Sequence[int]) -> None:
        """Make some clique hold all these columns, at the price that :meth:`price` tells."""
        if self.covers(columns):
            return
        parts = self._parts(columns)
        roots = [self._carry(steps) for steps in parts]
        if len(roots) > 1:
            together = self._new(frozenset(columns))
            for root in roots:
                self._link(together, root)
            self._absorb(together)
            for root in roots:
                if root in self.cliques:
                    self._absorb(root)

    def _parts(self, columns: Sequence[int]) -> list[list[_Step]]:
        """Return, for each tree that holds some of the columns, the cheapest way to bring these together."""
        above = self._rooted()
        trees: dict[int, list[int]] = {}
        for column in columns:
            trees.setdefault(above[min(self._holders[column])][2], []).append(column)
        return [self._brought_together(frozenset(held)) for held in trees.values()]

    def _brought_together(self, wanted: frozenset[int]) -> list[_Step]:
        """Return the steps of the cheapest root; the root's comes last."""
        subtree = self._between(wanted)
        ends = [node for node in sorted(subtree) if len(subtree[node]) <= 1]
        return min((self._steps(subtree, end, wanted) for end in ends), key=lambda s: _largest(self, s))

    def _steps(self, subtree: dict[int, list[int]], root: int, wanted: frozenset[int]) -> list[_Step]:
        walk: list[tuple[int, int | None]] = [(root, None)]
        for node, towards in walk:
            walk += [(other, node) for other in subtree[node] if other != towards]
        carried: dict[int, frozenset[int]] = {}
        steps = []
        for node, towards in reversed(walk):
            held = self.cliques[node]
            beyond = [carried[other] for other in subtree[node] if other != towards]
            carried[node] = (wanted & held).union(*beyond)
            clique = carried[node].union(*(held & self.cliques[other] for other in subtree[node]))
            steps.append(_Step(node, towards, None if clique <= held else clique))
        return steps

    def _carry(self, steps: Sequence[_Step]) -> int:
        """Put the new cliques in place of the subtree's links, each by its old clique; return the root."""
        stands_in = {s.node: s.node if s.clique is None else self._new(s.clique) for s in steps}
        for step in steps:
            if step.towards is not None:
                self._unlink(step.node, step.towards)
                self._link(stands_in[step.node], stands_in[step.towards])
            if step.clique is not None:
                self._link(step.node, stands_in[step.node])
        root = stands_in[steps[-1].node]
        for node in sorted({*stands_in, *stands_in.values()}):
            merged = self._absorb(node)
            root = merged if node == root else root
        return root

    def _absorb(self, node: int) -> int:
        """Merge a clique into a neighbour that holds all its columns; return where its columns are now."""
        for other in sorted(self.links[node]):
            if self.cliques[node] <= self.cliques[other]:
                for third in sorted(self.links[node] - {other}):
                    self._link(other, third)
                self._remove(node)
                return other
        return node

    def ordered(self) -> tuple[tuple[tuple[int, ...], ...], tuple[int, ...]]:
        """Return the cliques, parents before children, and each one's parent's position (-1 for roots)."""
        position: dict[int, int] = {}
        parents: list[int] = []
        for root in sorted(self.cliques):
            stack = [] if root in position else [(root, -1)]
            while stack:
                node, parent = stack.pop()
                position[node] = len(parents)
                parents.append(parent)
                stack += [
                    (n, position[node]) for n in sorted(self.links[node], reverse=True) if n not in position
                ]
        cliques = sorted(position, key=position.__getitem__)
        return tuple(tuple(sorted(self.cliques[n])) for n in cliques), tuple(parents)

    def _between(self, wanted: frozenset[int]) -> dict[int, list[int]]:
        """Return the smallest subtree that touches every wanted column, as the neighbours of each clique."""
        first, *others = sorted(wanted)
        start = min(self._holders[first])
        nodes = {start}
        for column in others:
            nodes.update(self._path(start, min(self._holders[column])))
        subtree = {node: sorted(self.links[node] & nodes) for node in sorted(nodes)}
        ends = [node for node in subtree if len(subtree[node]) == 1]
        while ends:
            end = ends.pop()
            if len(subtree) > 1 and wanted & self.cliques[end] <= self.cliques[subtree[end][0]]:
                (other,) = subtree.pop(end)
                subtree[other].remove(end)
                if len(subtree[other]) == 1:
                    ends.append(other)
        return subtree

    def _path(self, i: int, j: int) -> list[int]:
        """Return the cliques from one to another of the same tree, by climbing to where they meet."""
        above = self._rooted()
        left, right = [i], [j]
        while left[-1] != right[-1]:
            side = left if above[left[-1]][1] >= above[right[-1]][1] else right
            side.append(above[side[-1]][0])
        return left + right[-2::-1]

    def _rooted(self) -> dict[int, tuple[int, int, int]]:
        """Return each clique's parent, depth and root; kept until a clique comes or goes."""
        if self._above is None:
            above: dict[int, tuple[int, int, int]] = {}
            for root in self.cliques:
                queue = [] if root in above else [root]
                if queue:
                    above[root] = (root, 0, root)
                for node in queue:
                    for other in self.links[node]:
                        if other not in above:
                            above[other] = (node, above[node][1] + 1, root)
                            queue.append(other)
            self._above = above
        return self._above

    def _new(self, clique: frozenset[int]) -> int:
        number, self._next = self._next, self._next + 1
        self.cliques[number], self.links[number] = clique, set()
        for column in clique:
            self._holders[column].add(number)
        self._above = None
        return number

    def _remove(self, node: int) -> None:
        for other in list(self.links.pop(node)):
            self.links[other].discard(node)
        for column in self.cliques.pop(node):
            self._holders[column].discard(node)
        self._above = None

    def _link(self, i: int, j: int) -> None:
        self.links[i].add(j)
        self.links[j].add(i)

    def _unlink(self, i: int, j: int) -> None:
        self.links[i].discard(j)
        self.links[j].discard(i)


def _largest(forest: JunctionForest, steps: Sequence[_Step]) -> int:
    return max((forest.cells(s.clique) for s in steps if s.clique is not None), default=0)
