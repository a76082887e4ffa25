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
    sweeps: int = 15,
    tolerance: float = 1e-4,
) -> tuple[tuple[Floats, ...], float]:
    """Fit clique tables to marginals.

    Args:
        tree: The cliques.
        margins: Distribution of each column; where the fit starts, as a product.
        targets: Marginals to be met; the columns of each lie in some clique.
        allowed: For each clique, where its table may be positive; these agree with each other, and each
            column in question has a target of its own. Everywhere if not given.
        sweeps: Most rounds over all targets.
        tolerance: Mean L1 gap of a target below which to stop.

    Returns:
        Calibrated tables (two cliques agree on the columns they share), each of sum 1; and the mean L1 gap
        between targets and fit that the last round found.
    """
    from dpsynth.model.kernels import scale_to  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

    tables = [_outer([margins[c] for c in clique]).ravel() for clique in tree.cliques]
    if allowed is not None:
        tables = [table * flags.ravel() for table, flags in zip(tables, allowed, strict=True)]
    links = [_link(tree, i) for i in range(len(tree.cliques))]
    assigned: list[list[tuple[Index, Floats, Floats]]] = [[] for _ in tree.cliques]
    for target in targets:
        home = tree.smallest(target.columns)
        if home is None:
            raise ValueError("no clique holds the columns of a target")
        index = cell_index(tree.cliques[home], tree.sizes, target.columns, target.groups)
        assigned[home].append((index, target.table.ravel(), np.empty(target.table.size)))
    tour = _tour(tree)
    gap = 0.0
    for _ in range(sweeps if targets else 0):
        gap = 0.0
        for clique, source in tour:
            if source is not None:
                _pass(tables, links[max(clique, source)], source, clique)
            arrived = assigned[clique] if source is None or source < clique else []
            gap += sum(scale_to(tables[clique], *target) for target in arrived) / len(targets)
        if gap < tolerance:
            break
    for i, parent in enumerate(tree.parents):
        if parent >= 0:
            _pass(tables, links[i], parent, i)
    return tuple((table / table.sum()).reshape(tree.shape(i)) for i, table in enumerate(tables)), gap


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


def _pass(tables: list[Floats], link: _Link | None, source: int, destination: int) -> None:
    """Make one clique agree with its neighbour on the columns they share."""
    from dpsynth.model.kernels import marginalise, scale_to  # noqa: PLC0415  -- lazy: see calibrate

    if link is None:
        return
    up = source == link.child
    away, home = (link.child_index, link.parent_index) if up else (link.parent_index, link.child_index)
    marginalise(tables[source], away, link.message)
    scale_to(tables[destination], home, link.message, link.scratch)


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
