"""Making a junction tree's cliques agree: with each other, and with estimated marginals.

Iterative proportional fitting: a clique is rescaled to one target after another, and what changed is passed
along the tree before the next clique has its turn. Started from independent columns it converges to the
distribution of greatest entropy with those marginals. Which cell of a clique falls into which cell of a
target or a separator never changes, so it is computed once and the inner loops are compiled.

All that a fit does is multiply independent columns by one factor for each cell of each target. These factors
say where it stands whatever the cliques were, so that a fit to more targets, on another tree, can start there
and ends where it would have ended.

References: Deming, Stephan 1940; Csiszár 1975 (entropy projections); Jiroušek, Přeučil 1995, "On the
effective implementation of the iterative proportional fitting procedure" (fitting on a junction tree).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Calibrated", "CliqueTree", "Target", "calibrate", "cell_index"]

Floats: TypeAlias = npt.NDArray[np.float64]
Groups: TypeAlias = npt.NDArray[np.int64]
Flags: TypeAlias = npt.NDArray[np.bool_]
Index: TypeAlias = npt.NDArray[np.int32]

_FAINTEST = 1e-250  # beside the largest of a table or message, the least cell to start from


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


class Calibrated(NamedTuple):
    """What a fit found.

    Attributes:
        tables: Joint distribution of each clique; two cliques agree on the columns they share.
        gap: Mean L1 gap between targets and fit that the last round found.
        potentials: For each target the logarithm of what its cells were multiplied by, in the target's shape.
    """

    tables: tuple[Floats, ...]
    gap: float
    potentials: tuple[Floats, ...]


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
    gain: float = 0.0,
) -> Calibrated:
    """Fit clique tables to marginals.

        p(x) = prod over columns c of m_c(x_c) * prod over targets t of exp(l_t(x_t)) / Z

    A message is passed, and a target met, only where a table has changed since: by more than a hundredth of
    ``tolerance`` in L1, summed over its changes.

    Args:
        tree: The cliques.
        margins: Distribution of each column; where the fit starts, as a product.
        targets: Marginals to be met; the columns of each lie in some clique.
        allowed: For each clique, where its table may be positive; these agree with each other, and each
            column in question has a target of its own. Everywhere if not given.
        start: For each target the potential ``l_t`` to start from, in the target's shape, and finite: those
            of an earlier fit to most of these targets save most of its sweeps, and change nothing of what
            it converges to. Zeros if not given.
        sweeps: Most rounds over all targets.
        tolerance: Mean L1 gap of a target below which to stop.
        gain: Stop also after a round that found the gap lowered by less than this share of it. Targets
            that contradict each other leave a gap, which falls ever more slowly.
    """
    tables = [_outer([margins[c] for c in clique]) for clique in tree.cliques]
    if allowed is not None:
        tables = [table * flags for table, flags in zip(tables, allowed, strict=True)]
    fit = _Fit(tree, tables, tolerance / 100, agreed=allowed is None)
    for target in targets:
        fit.assign(target)
    if start is not None:
        fit.start_from(start)
    tour = _tour(tree)
    gap, last = 0.0, math.inf
    for _ in range(sweeps if targets else 0):
        gap = fit.sweep(tour) / len(targets)
        if gap < tolerance or 0.0 <= last - gap < gain * last:
            break
        last = gap
    for i, parent in enumerate(tree.parents):
        if parent >= 0:
            fit.pass_on(parent, i, always=True)
    found = tuple((t / t.sum()).reshape(tree.shape(i)) for i, t in enumerate(fit.tables))
    return Calibrated(found, gap, fit.potentials())


@dataclass(slots=True, eq=False)
class _Assigned:
    """A target at its clique.

    Attributes:
        index: For each cell of the clique, the cell of the target.
        table: The target, flat.
        ratios: By what its cells were last multiplied.
        potential: Logarithm of what they were multiplied by in all.
        met: What the clique had moved when it last met the target.
    """

    index: Index
    table: Floats
    ratios: Floats
    potential: Floats
    met: float = -math.inf


class _Fit:
    """Tables on their way to the targets, and how far each has moved when.

    Attributes:
        tables: Flat table of each clique; changed in place.
    """

    __slots__ = ("_agreed", "_assigned", "_links", "_moved", "_order", "_still", "_tree", "tables")

    def __init__(self, tree: CliqueTree, tables: Sequence[Floats], still: float, *, agreed: bool) -> None:
        self._tree, self._still = tree, still
        self.tables = [np.array(table, dtype=np.float64).ravel() for table in tables]
        self._links = [_link(tree, i) for i in range(len(tree.cliques))]
        self._moved = [0.0] * len(tree.cliques)  # L1 of all changes so far
        # what both ends of a link had moved when they last agreed
        self._agreed = [0.0 if agreed else -math.inf] * len(tree.cliques)
        self._assigned: list[list[_Assigned]] = [[] for _ in tree.cliques]
        self._order: list[tuple[_Assigned, tuple[int, ...], int]] = []  # with shape and clique, as they came

    def assign(self, target: Target) -> None:
        """Give a target to the smallest clique that holds its columns."""
        home = self._tree.smallest(target.columns)
        if home is None:
            raise ValueError("no clique holds the columns of a target")
        index = cell_index(self._tree.cliques[home], self._tree.sizes, target.columns, target.groups)
        size = target.table.size
        assigned = _Assigned(index, target.table.ravel(), np.empty(size), np.zeros(size))
        self._assigned[home].append(assigned)
        self._order.append((assigned, target.table.shape, home))

    def potentials(self) -> tuple[Floats, ...]:
        """Return the logarithm of what each target's cells were multiplied by, in the order of assignment."""
        return tuple(assigned.potential.reshape(shape) for assigned, shape, _ in self._order)

    def start_from(self, potentials: Sequence[Floats]) -> None:
        """Multiply the tables by potentials, one a target, and make them agree: there and back once."""
        from dpsynth.model.kernels import marginalise, scale_to  # noqa: PLC0415  -- lazy: see meet

        weights = [np.zeros(table.size) for table in self.tables]
        for (assigned, _, home), potential in zip(self._order, potentials, strict=True):
            assigned.potential[:] = potential.ravel()
            weights[home] += assigned.potential[assigned.index]
        for table, link in zip(self.tables, self._links, strict=True):
            if link is not None:  # what it tells of its own columns, given those it shares with its parent
                scale_to(table, link.child_index, np.ones_like(link.message), link.scratch)
        for table, weight, link in reversed(list(zip(self.tables, weights, self._links, strict=True))):
            possible = table > 0
            weight[possible] += np.log(table[possible])
            largest = weight[possible].max()
            table[possible] = np.exp(np.maximum(weight[possible] - largest, math.log(_FAINTEST)))
            if link is not None:
                marginalise(table, link.child_index, link.message)
                arrived = np.log(np.maximum(link.message, _FAINTEST * link.message.max()))
                weights[link.parent] += arrived[link.parent_index]
        for i, link in enumerate(self._links):
            if link is None:
                self.tables[i] /= self.tables[i].sum()
            else:
                self.pass_on(link.parent, i, always=True)

    def sweep(self, tour: Sequence[tuple[int, int | None]]) -> float:
        """Meet every target once, passing on what changed; return the sum of the L1 gaps there were."""
        gap = 0.0
        for clique, source in tour:
            if source is not None:
                self.pass_on(source, clique)
            if source is None or source < clique:
                gap += self.meet(clique)
        return gap

    def meet(self, clique: int) -> float:
        """Rescale a clique to each of its targets; return the sum of the L1 gaps there were."""
        from dpsynth.model.kernels import scale_to  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

        total = 0.0
        for target in self._assigned[clique]:
            gap = self._moved[clique] - target.met  # no more than this
            if gap > self._still:
                gap = scale_to(self.tables[clique], target.index, target.table, target.ratios)
                np.log(target.ratios, out=target.ratios, where=target.ratios > 0)
                target.potential += target.ratios  # a cell without mass has ratio 0, and keeps its potential
                self._moved[clique] += gap
                target.met = self._moved[clique]
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
