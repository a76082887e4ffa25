"""Domains, groupings and forests of every shape, small enough to enumerate every cell.

``forests()`` draws a valid :class:`TreeModel`: chains, stars, random trees, forests of several parts, lone
columns; edges in any order and either direction; groupings finer or coarser than each other, in any
numbering; codes and groups of probability zero. ``brute_force`` is the model's docstring as code.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from hypothesis import strategies as st

from dpsynth.domain import Axis, Domain
from dpsynth.model.estimates import Estimate
from dpsynth.model.network import NetworkModel
from dpsynth.model.structure import fit_network
from dpsynth.model.tree import TreeModel

SHAPES = ("single", "lone", "chain", "star", "random", "disconnected")

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]


@st.composite
def domains(draw: st.DrawFn, *, min_columns: int = 1, max_columns: int = 5, max_size: int = 5) -> Domain:
    """Domains of small columns, some of one code, some ordered in part."""
    count = draw(st.integers(min_columns, max_columns))
    sizes = [draw(st.integers(1, max_size)) for _ in range(count)]
    return Domain(tuple(Axis(f"c{i}", s, draw(st.integers(0, s))) for i, s in enumerate(sizes)))


@st.composite
def groupings(draw: st.DrawFn, size: int) -> Groups:
    """A grouping of ``size`` codes without gaps, in any numbering."""
    raw = draw(st.lists(st.integers(0, size - 1), min_size=size, max_size=size))
    labels = draw(st.permutations(sorted(set(raw))))
    return np.array([labels.index(g) for g in raw], dtype=np.int64)


@st.composite
def distributions(draw: st.DrawFn, size: int) -> Floats:
    """Probabilities of ``size`` codes, some of them exactly zero."""
    weights = draw(
        st.lists(st.sampled_from([0.0, 0.0, 1e-6, 0.1, 1.0, 2.0, 7.0]), min_size=size, max_size=size)
    )
    if not any(weights):
        weights[draw(st.integers(0, size - 1))] = 1.0
    return np.array(weights) / sum(weights)


def ends_of(shape: str, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """The edges of a forest over columns ``0 .. count-1``, columns and directions shuffled."""
    links = {
        "single": [],
        "lone": [],
        "chain": [(i, i + 1) for i in range(count - 1)],
        "star": [(0, i) for i in range(1, count)],
        "random": [(int(rng.integers(i)), i) for i in range(1, count)],
        "disconnected": [(i, i + 2) for i in range(count - 2)],
    }[shape]
    names = rng.permutation(count)
    turned = [(names[a], names[b]) if rng.random() < 0.5 else (names[b], names[a]) for a, b in links]
    return [(int(turned[i][0]), int(turned[i][1])) for i in rng.permutation(len(turned))]


def coupling(rows: Floats, columns: Floats, rng: np.random.Generator) -> Floats:
    """A joint distribution with these margins: independence, moved along random 2 x 2 cycles."""
    table = np.outer(rows, columns)
    for _ in range(3 * table.size if min(table.shape) > 1 else 0):
        a, b = rng.choice(rows.size, 2, replace=False)
        c, d = rng.choice(columns.size, 2, replace=False)
        step = rng.random() * min(table[a, d], table[b, c])
        table[[a, b], [c, d]] += step
        table[[a, b], [d, c]] -= step
    return np.maximum(table, 0.0)


@st.composite
def forests(
    draw: st.DrawFn, *, shape: str | None = None, max_columns: int = 5, max_size: int = 4
) -> TreeModel:
    """A valid model of the shape, or of any."""
    kind = draw(st.sampled_from(SHAPES)) if shape is None else shape
    low, high = (1, 1) if kind == "single" else (2, max_columns)
    domain = draw(domains(min_columns=low, max_columns=high, max_size=max_size))
    nodes = tuple(draw(distributions(a.size)) for a in domain)
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    edges = []
    for first, second in ends_of(kind, len(domain), rng):
        groups = [draw(groupings(domain.axes[c].size)) for c in (first, second)]
        margins = [np.bincount(g, weights=nodes[c]) for g, c in zip(groups, (first, second), strict=True)]
        table = coupling(margins[0], margins[1], rng)
        edges.append(pair_of(first, second, groups[0], groups[1], table / table.sum()))
    total = draw(st.sampled_from([0.0, 1.0, 17.5, 1e6]))
    return TreeModel(domain, total, nodes, tuple(edges))


def brute_force(model: TreeModel) -> Floats:
    """The joint distribution over every cell of the domain, from the docstring's formula alone."""
    joint = np.empty(model.domain.sizes)
    for cell in itertools.product(*map(range, model.domain.sizes)):
        p = 1.0
        for v, x in enumerate(cell):
            p *= model.nodes[v][x]
        for e in model.estimates:
            a, b = e.groups[0][cell[e.columns[0]]], e.groups[1][cell[e.columns[1]]]
            pa = sum(p_ for p_, g in zip(model.nodes[e.columns[0]], e.groups[0], strict=True) if g == a)
            pb = sum(p_ for p_, g in zip(model.nodes[e.columns[1]], e.groups[1], strict=True) if g == b)
            p = p * e.table[a, b] / (pa * pb) if pa * pb > 0 else 0.0
        joint[cell] = p
    return joint


def marginal_of(joint: Floats, columns: Sequence[int]) -> Floats:
    """Sum a joint distribution to some columns, in the order given."""
    kept = sorted(columns)
    table = joint.sum(axis=tuple(i for i in range(joint.ndim) if i not in kept))
    return np.asarray(table).transpose([kept.index(c) for c in columns])


def pair_of(first: int, second: int, first_groups: Groups, second_groups: Groups, table: Floats) -> Estimate:
    """An estimated pair."""
    return Estimate((first, second), (first_groups, second_groups), table)


GRAPHS = ("empty", "full", "chain", "cycle", "star", "two cycles", "random")


def graph_edges(shape: str, count: int, rng: np.random.Generator) -> list[tuple[int, int]]:
    """The edges of a graph over columns ``0 .. count-1``, in any order and direction, columns shuffled."""
    every = list(itertools.combinations(range(count), 2))
    half = count // 2
    links = {
        "empty": [],
        "full": every,
        "chain": [(i, i + 1) for i in range(count - 1)],
        "cycle": [(i, (i + 1) % count) for i in range(count if count > 2 else count - 1)],
        "star": [(0, i) for i in range(1, count)],
        "two cycles": [(i, j) for i, j in every if (i < half) == (j < half)],
        "random": [pair for pair in every if rng.random() < 0.5],
    }[shape]
    names = [int(c) for c in rng.permutation(count)]
    turned = [(names[a], names[b]) if rng.random() < 0.5 else (names[b], names[a]) for a, b in links]
    return [turned[i] for i in rng.permutation(len(turned))]


def merged_groups(size: int, rng: np.random.Generator) -> Groups:
    """A grouping of ``size`` codes into about half as many groups, without gaps."""
    return np.unique(rng.integers(0, max(size // 2, 1), size), return_inverse=True)[1].astype(np.int64)


def edges_of(
    joint: Floats,
    pairs: Sequence[tuple[int, int]],
    groups: Sequence[Sequence[Groups]],
    rng: np.random.Generator,
) -> tuple[Estimate, ...]:
    """Tables of these pairs, each column at one of its groupings: the margins of one joint distribution."""
    edges = []
    for first, second in pairs:
        ends = [groups[c][int(rng.integers(len(groups[c])))] for c in (first, second)]
        table = np.zeros([int(g.max()) + 1 for g in ends])
        np.add.at(table, np.ix_(*ends), marginal_of(joint, (first, second)))
        edges.append(pair_of(first, second, ends[0], ends[1], table))
    return tuple(edges)


def fitted_joint(joint: Floats, edges: Sequence[Estimate], sweeps: int = 3_000) -> Floats:
    """Oracle: from independent columns, scale the whole product space to one target after another.

    Its limit is the distribution of greatest entropy (relative to the independent columns) among those with
    the targets' margins.
    """
    fitted = np.ones(())
    for column in range(joint.ndim):
        fitted = np.multiply.outer(fitted, marginal_of(joint, (column,)))
    for _ in range(sweeps):
        gap = 0.0
        for e in edges:
            found = np.zeros_like(e.table)
            np.add.at(found, np.ix_(e.groups[0], e.groups[1]), marginal_of(fitted, e.columns))
            gap = max(gap, float(np.abs(found - e.table).sum()))
            ratio = np.divide(e.table, found, out=np.zeros_like(found), where=found > 0)
            ratio = ratio[np.ix_(e.groups[0], e.groups[1])]
            ratio = ratio if e.columns[0] < e.columns[1] else ratio.T
            shape = [s if c in e.columns else 1 for c, s in enumerate(joint.shape)]
            fitted = fitted * ratio.reshape(shape)
        if gap < 1e-12:
            break
    return fitted


@st.composite
def networks(
    draw: st.DrawFn, *, shape: str | None = None, beyond: bool = False, max_columns: int = 5
) -> NetworkModel:
    """A network fitted to the margins of one joint distribution; codes of probability zero among them.

    With ``beyond`` few pairs fit into the junction tree, so that most are met beyond it.
    """
    kind = draw(st.sampled_from(GRAPHS)) if shape is None else shape
    domain = draw(domains(min_columns=2, max_columns=max_columns, max_size=4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    joint = rng.random(domain.sizes) + 0.05
    for axis, size in enumerate(domain.sizes):
        if size > 1 and rng.random() < 0.3:
            joint = np.where(np.indices(domain.sizes)[axis] == rng.integers(size), 0.0, joint)
    joint /= joint.sum()
    groups = [(np.arange(s), merged_groups(s, rng)) for s in domain.sizes]
    edges = edges_of(joint, graph_edges(kind, len(domain), rng), groups, rng)
    nodes = tuple(marginal_of(joint, (c,)) for c in range(len(domain)))
    total = draw(st.sampled_from([0.0, 17.5, 1e6]))
    return fit_network(domain, total, nodes, edges, largest=9 if beyond else 10**6)


def network_joint(model: NetworkModel) -> Floats:
    """The joint distribution of states: each clique's table given what it shares with its parent."""
    tree, everything = model.tree, list(range(len(model.domain)))
    joint = np.ones(tree.sizes)
    for i, (clique, table) in enumerate(zip(tree.cliques, model.tables, strict=True)):
        shared = [c for c in clique if tree.parents[i] >= 0 and c in tree.cliques[tree.parents[i]]]
        away = tuple(j for j, c in enumerate(clique) if c not in shared)
        given = table.sum(axis=away, keepdims=True)
        part = np.divide(table, given, out=np.zeros_like(table), where=given > 0)
        joint = np.einsum(joint, everything, part, list(clique), everything)
    return joint


def network_brute_force(model: NetworkModel) -> Floats:
    """The joint distribution over every cell of the domain: codes follow their one-way within a state."""
    joint = network_joint(model)
    for column, (groups, node) in enumerate(zip(model.groups, model.nodes, strict=True)):
        mass = np.bincount(groups, weights=node)[groups]
        within = np.divide(node, mass, out=np.zeros_like(node), where=mass > 0)
        along = [-1 if c == column else 1 for c in range(joint.ndim)]
        joint = np.take(joint, groups, axis=column) * within.reshape(along)
    return joint
