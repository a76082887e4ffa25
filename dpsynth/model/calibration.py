"""Making a junction tree's cliques agree: with each other, and with estimated marginals.

Iterative proportional fitting: a clique is rescaled to one target after another, and what changed is passed
along the tree before the next clique has its turn. Started from independent columns it converges to the
distribution of greatest entropy with those marginals. Which cell of a clique falls into which cell of a
target or a separator never changes, so it is computed once and the inner loops are compiled.

References: Deming, Stephan 1940; Csiszár 1975 (entropy projections); Jiroušek, Přeučil 1995, "On the
effective implementation of the iterative proportional fitting procedure" (fitting on a junction tree).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["CliqueTree", "Target", "calibrate", "cell_index"]

Floats: TypeAlias = npt.NDArray[np.float64]
Groups: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Index: TypeAlias = npt.NDArray[np.int32]


@dataclass(frozen=True, slots=True)
class CliqueTree:
    """Cliques of a junction forest, parents before children.

    Attributes:
        sizes: Number of states of each column.
        cliques: Columns of each clique, increasing.
        parents: Position of each clique's parent, which comes before it; -1 for a root.

    Raises:
        ValueError: a parent that does not come before, columns out of range or not increasing, a column
            that is in no clique, or whose cliques are not connected.
    """

    sizes: tuple[int, ...]
    cliques: tuple[tuple[int, ...], ...]
    parents: tuple[int, ...]

    def __post_init__(self) -> None:
        if len(self.parents) != len(self.cliques):
            raise ValueError("a clique tree needs one parent a clique")
        entered: dict[int, int] = {}
        for i, (clique, parent) in enumerate(zip(self.cliques, self.parents, strict=True)):
            if not -1 <= parent < i:
                raise ValueError("a clique's parent must come before it")
            if list(clique) != sorted(set(clique)) or not all(0 <= c < len(self.sizes) for c in clique):
                raise ValueError("a clique's columns must increase and be columns of the domain")
            known = set(self.cliques[parent]) if parent >= 0 else set()
            for column in set(clique) - known:
                if entered.setdefault(column, i) != i:
                    raise ValueError("the cliques of a column are not connected")
        if len(entered) != len(self.sizes):
            raise ValueError("a column is in no clique")

    def shape(self, clique: int) -> tuple[int, ...]:
        """Shape of a clique's table."""
        return tuple(self.sizes[c] for c in self.cliques[clique])

    def separator(self, clique: int) -> tuple[int, ...]:
        """Columns that a clique shares with its parent, increasing."""
        parent = self.parents[clique]
        shared = set(self.cliques[parent]) if parent >= 0 else set()
        return tuple(c for c in self.cliques[clique] if c in shared)

    def smallest(self, columns: Sequence[int]) -> int | None:
        """Position of the smallest clique that holds all these columns, or None."""
        holders = [i for i, c in enumerate(self.cliques) if set(columns) <= set(c)]
        return min(holders, key=lambda i: (math.prod(self.shape(i)), i)) if holders else None


@dataclass(frozen=True, slots=True, eq=False)
class Target:
    """A marginal to be met.

    Attributes:
        columns: One or more columns.
        groups: For each, the target's group of each state.
        table: Probabilities of the groups, of sum 1, one axis a column; positive but where no row may be.
    """

    columns: tuple[int, ...]
    groups: tuple[Groups, ...]
    table: Floats


@dataclass(frozen=True, slots=True, eq=False)
class _Link:
    """The way from a clique to its parent and back, with the cells of both in the separator."""

    child: int
    parent: int
    child_index: Index
    parent_index: Index
    message: Floats
    scratch: Floats


def cell_index(
    clique: tuple[int, ...], sizes: Sequence[int], columns: Sequence[int], groups: Sequence[Groups]
) -> Index:
    """Return, for each cell of a clique's table, the cell of a smaller table that it adds to.

    Args:
        clique: Columns of the clique's table.
        sizes: Number of states of every column.
        columns: Columns of the smaller table, all in the clique.
        groups: For each of them, the group of each state.

    Returns:
        Flat int32 array, of the size of the clique's table.
    """
    shape = [sizes[c] for c in clique]
    index = np.zeros([1] * len(clique), dtype=np.int32)
    for column, group in zip(columns, groups, strict=True):
        along = [1] * len(clique)
        along[clique.index(column)] = -1
        index = index * np.int32(int(group.max()) + 1) + group.astype(np.int32).reshape(along)
    return np.ascontiguousarray(np.broadcast_to(index, shape)).ravel()


def calibrate(
    tree: CliqueTree,
    margins: Sequence[Floats],
    targets: Sequence[Target],
    *,
    allowed: Sequence[Flags] | None = None,
    start: Sequence[Floats] | None = None,
    sweeps: int = 15,
    tolerance: float = 1e-4,
) -> tuple[tuple[Floats, ...], float]:
    """Fit clique tables to marginals.

    A message is passed, and a target met, only where a table has changed since: by more than a hundredth of
    ``tolerance`` in L1, summed over its changes.

    Args:
        tree: The cliques.
        margins: Distribution of each column; where the fit starts, as a product.
        targets: Marginals to be met; the columns of each lie in some clique.
        allowed: For each clique, where its table may be positive; these agree with each other, and each
            column in question has a target of its own. Everywhere if not given.
        start: Tables of the cliques that agree with each other, to start from instead: those of an earlier
            fit to most of these targets save most of its sweeps.
        sweeps: Most rounds over all targets.
        tolerance: Mean L1 gap of a target below which to stop.

    Returns:
        Calibrated tables (two cliques agree on the columns they share), each of sum 1; and the mean L1 gap
        between targets and fit that the last round found.
    """
    tables = [_outer([margins[c] for c in clique]) for clique in tree.cliques] if start is None else start
    if allowed is not None:
        tables = [table * flags for table, flags in zip(tables, allowed, strict=True)]
    fit = _Fit(tree, tables, tolerance / 100, agreed=allowed is None)
    for target in targets:
        fit.assign(target)
    tour = _tour(tree)
    gap = 0.0
    for _ in range(sweeps if targets else 0):
        gap = 0.0
        for clique, source in tour:
            if source is not None:
                fit.pass_on(source, clique)
            if source is None or source < clique:
                gap += fit.meet(clique) / len(targets)
        if gap < tolerance:
            break
    for i, parent in enumerate(tree.parents):
        if parent >= 0:
            fit.pass_on(parent, i, always=True)
    return tuple((t / t.sum()).reshape(tree.shape(i)) for i, t in enumerate(fit.tables)), gap


class _Fit:
    """Tables on their way to the targets, and how far each has moved when.

    Attributes:
        tables: Flat table of each clique; changed in place.
    """

    __slots__ = ("_agreed", "_assigned", "_links", "_met", "_moved", "_still", "_tree", "tables")

    def __init__(self, tree: CliqueTree, tables: Sequence[Floats], still: float, *, agreed: bool) -> None:
        self._tree, self._still = tree, still
        self.tables = [np.array(table, dtype=np.float64).ravel() for table in tables]
        self._links = [_link(tree, i) for i in range(len(tree.cliques))]
        self._moved = [0.0] * len(tree.cliques)  # L1 of all changes so far
        self._agreed = [0.0 if agreed else -math.inf] * len(
            tree.cliques
        )  # what both ends of a link had moved when they last agreed
        self._assigned: list[list[tuple[Index, Floats, Floats]]] = [[] for _ in tree.cliques]
        self._met: list[list[float]] = [[] for _ in tree.cliques]  # what a clique had moved when it met each

    def assign(self, target: Target) -> None:
        """Give a target to the smallest clique that holds its columns."""
        home = self._tree.smallest(target.columns)
        if home is None:
            raise ValueError("no clique holds the columns of a target")
        index = cell_index(self._tree.cliques[home], self._tree.sizes, target.columns, target.groups)
        self._assigned[home].append((index, target.table.ravel(), np.empty(target.table.size)))
        self._met[home].append(-math.inf)

    def meet(self, clique: int) -> float:
        """Rescale a clique to each of its targets; return the sum of the L1 gaps there were."""
        from dpsynth.model.kernels import scale_to  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

        total = 0.0
        for i, target in enumerate(self._assigned[clique]):
            gap = self._moved[clique] - self._met[clique][i]  # no more than this
            if gap > self._still:
                gap = scale_to(self.tables[clique], *target)
                self._moved[clique] += gap
                self._met[clique][i] = self._moved[clique]
            total += gap
        return total

    def pass_on(self, source: int, destination: int, *, always: bool = False) -> None:
        """Make a clique agree with its neighbour on the columns they share, if either has moved."""
        from dpsynth.model.kernels import marginalise, scale_to  # noqa: PLC0415  -- lazy: see meet

        child = max(source, destination)
        link = self._links[child]
        moved = self._moved[source] + self._moved[destination]
        if link is None or (moved - self._agreed[child] <= self._still and not always):
            return
        away, home = link.child_index, link.parent_index
        if source == link.parent:
            away, home = home, away
        marginalise(self.tables[source], away, link.message)
        self._moved[destination] += scale_to(self.tables[destination], home, link.message, link.scratch)
        self._agreed[child] = self._moved[source] + self._moved[destination]


def _outer(factors: Sequence[Floats]) -> Floats:
    product = np.ones(())
    for factor in factors:
        product = np.multiply.outer(product, factor)
    return product


def _link(tree: CliqueTree, child: int) -> _Link | None:
    parent = tree.parents[child]
    if parent < 0:
        return None
    shared = tree.separator(child)
    states = [np.arange(tree.sizes[c]) for c in shared]
    cells = math.prod(tree.sizes[c] for c in shared)
    return _Link(
        child,
        parent,
        cell_index(tree.cliques[child], tree.sizes, shared, states),
        cell_index(tree.cliques[parent], tree.sizes, shared, states),
        np.empty(cells),
        np.empty(cells),
    )


def _tour(tree: CliqueTree) -> list[tuple[int, int | None]]:
    """Return a walk over each tree, down and back up every link: (clique, the clique it comes from)."""
    children: list[list[int]] = [[] for _ in tree.cliques]
    for i, parent in enumerate(tree.parents):
        if parent >= 0:
            children[parent].append(i)
    walk: list[tuple[int, int | None]] = []
    for root in (i for i, parent in enumerate(tree.parents) if parent < 0):
        stack: list[tuple[int, int | None]] = [(root, None)]
        while stack:
            here, came = stack.pop()
            walk.append((here, came))
            if came is None or came < here:
                for child in reversed(children[here]):
                    stack += [(here, child), (child, here)]
    return walk
