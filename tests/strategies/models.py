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
from dpsynth.model.estimates import Edge
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
        edges.append(Edge(first, second, groups[0], groups[1], table / table.sum()))
    total = draw(st.sampled_from([0.0, 1.0, 17.5, 1e6]))
    return TreeModel(domain, total, nodes, tuple(edges))


def brute_force(model: TreeModel) -> Floats:
    """The joint distribution over every cell of the domain, from the docstring's formula alone."""
    joint = np.empty(model.domain.sizes)
    for cell in itertools.product(*map(range, model.domain.sizes)):
        p = 1.0
        for v, x in enumerate(cell):
            p *= model.nodes[v][x]
        for e in model.edges:
            a, b = e.first_groups[cell[e.first]], e.second_groups[cell[e.second]]
            pa = sum(p_ for p_, g in zip(model.nodes[e.first], e.first_groups, strict=True) if g == a)
            pb = sum(p_ for p_, g in zip(model.nodes[e.second], e.second_groups, strict=True) if g == b)
            p = p * e.table[a, b] / (pa * pb) if pa * pb > 0 else 0.0
        joint[cell] = p
    return joint


def marginal_of(joint: Floats, columns: Sequence[int]) -> Floats:
    """Sum a joint distribution to some columns, in the order given."""
    kept = sorted(columns)
    table = joint.sum(axis=tuple(i for i in range(joint.ndim) if i not in kept))
    return np.asarray(table).transpose([kept.index(c) for c in columns])
