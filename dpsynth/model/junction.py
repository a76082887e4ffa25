"""Junction trees, grown one dependence at a time.

A forest of cliques in which every column's cliques are connected (the running intersection property). It is
grown by edges: the price of one more edge is read off the path between its two ends, so that no candidate
ever asks for a new triangulation.

Adding ``(a, b)`` where the nearest cliques of ``a`` and ``b`` are joined by a path with separators
``S_1, ..., S_m``: column ``a`` is carried along the path, from clique to clique, through new cliques, the
unions ``S_i + S_{i+1} + {a}`` up to ``S_m + {a, b}``. The price is the number of cells of the largest.
Carrying ``b`` towards ``a`` is priced as well, and the cheaper way is taken.

Reference: Lauritzen, Spiegelhalter 1988; Koller, Friedman 2009, "Probabilistic Graphical Models", chapter 10.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence

__all__ = ["JunctionForest"]


class JunctionForest:
    """A junction forest over columns ``0 .. len(sizes)-1``; at first each column is a clique of its own.

    Args:
        sizes: Number of states of each column.

    Attributes:
        cliques: Live cliques by number; each a frozenset of columns.
        links: For each live clique, its neighbours.
    """

    __slots__ = ("_next", "cliques", "links", "sizes")

    def __init__(self, sizes: Sequence[int]) -> None:
        self.sizes = tuple(sizes)
        self.cliques: dict[int, frozenset[int]] = {c: frozenset((c,)) for c in range(len(sizes))}
        self.links: dict[int, set[int]] = {c: set() for c in self.cliques}
        self._next = len(self.sizes)

    def cells(self, columns: frozenset[int]) -> int:
        """Number of cells of a table over these columns."""
        return math.prod(self.sizes[c] for c in columns)

    def covers(self, columns: Sequence[int]) -> bool:
        """Whether some clique holds all these columns."""
        wanted = frozenset(columns)
        return any(wanted <= clique for clique in self.cliques.values())

    def price(self, a: int, b: int) -> int:
        """Return the cells of the largest clique that the edge ``(a, b)`` would make; 0 if it needs none."""
        if self.covers((a, b)):
            return 0
        path = self._path(a, b)
        if path is None:
            return self.sizes[a] * self.sizes[b]
        forth, back = self._carried(path, a, b), self._carried(path[::-1], b, a)
        return min(max(map(self.cells, forth)), max(map(self.cells, back)))

    def add(self, a: int, b: int) -> None:
        """Add the edge ``(a, b)``, so that some clique holds both columns."""
        if self.covers((a, b)):
            return
        path = self._path(a, b)
        if path is None:
            self._join(a, b)
            return
        forth, back = self._carried(path, a, b), self._carried(path[::-1], b, a)
        if max(map(self.cells, back)) < max(map(self.cells, forth)):
            path, forth = path[::-1], back
        self._carry(path, forth)

    def _carried(self, path: list[int], a: int, b: int) -> list[frozenset[int]]:
        """Return the cliques that carry ``a`` along the path: one a step, the last with ``b``."""
        separators = [self.cliques[i] & self.cliques[j] for i, j in itertools.pairwise(path)]
        steps = zip(separators, [*separators[1:], frozenset((b,))], strict=True)
        return [s | t | {a} for s, t in steps]

    def _carry(self, path: list[int], carried: list[frozenset[int]]) -> None:
        """Replace the path's links by a chain of the carrying cliques, each next to its old clique."""
        for i, j in itertools.pairwise(path):
            self._unlink(i, j)
        before = path[0]
        for old, clique in zip(path[1:], carried, strict=True):
            new = self._new(clique)
            self._link(before, new)
            self._link(new, old)
            before = new
        for node in list(self.cliques):
            self._absorb(node)

    def _join(self, a: int, b: int) -> None:
        new = self._new(frozenset((a, b)))
        for column in (a, b):
            holder = next(i for i, c in self.cliques.items() if column in c and i != new)
            self._link(new, holder)
        for node in list(self.cliques):
            self._absorb(node)

    def _absorb(self, node: int) -> None:
        """Merge a clique into a neighbour that holds all its columns."""
        for other in sorted(self.links[node]):
            if self.cliques[node] <= self.cliques[other]:
                for third in sorted(self.links[node] - {other}):
                    self._unlink(node, third)
                    self._link(other, third)
                self._unlink(node, other)
                del self.cliques[node], self.links[node]
                return

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

    def _path(self, a: int, b: int) -> list[int] | None:
        """Return the cliques from the last with ``a`` to the first with ``b``, or None if they are apart."""
        start = next(i for i, c in self.cliques.items() if a in c)
        came: dict[int, int | None] = {start: None}
        queue = [start]
        for node in queue:
            if b in self.cliques[node]:
                path = [node]
                while (step := came[path[-1]]) is not None:
                    path.append(step)
                path.reverse()
                first = max(i for i, n in enumerate(path) if a in self.cliques[n])
                return path[first:]
            for other in sorted(self.links[node]):
                if other not in came:
                    came[other] = node
                    queue.append(other)
        return None

    def _new(self, clique: frozenset[int]) -> int:
        number, self._next = self._next, self._next + 1
        self.cliques[number], self.links[number] = clique, set()
        return number

    def _link(self, i: int, j: int) -> None:
        self.links[i].add(j)
        self.links[j].add(i)

    def _unlink(self, i: int, j: int) -> None:
        self.links[i].discard(j)
        self.links[j].discard(i)
