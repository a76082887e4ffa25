"""Small tables and questions for the privacy tests."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import combinations

import numpy as np

from dpsynth.domain import Axis, Domain
from dpsynth.privacy.curator import Backend, Curator, Marginal
from dpsynth.privacy.guarantee import Adjacency, Guarantee
from dpsynth.privacy.sealed import CodedTable

SIZES = (3, 2, 4)
DOMAIN = Domain(tuple(Axis(name, size) for name, size in zip("abc", SIZES, strict=True)))


def rows(n: int, sizes: Sequence[int] = SIZES, seed: int = 1) -> np.ndarray:
    """Return ``n`` random rows of codes."""
    rng = np.random.default_rng(seed)
    return np.stack([rng.integers(0, s, n) for s in sizes], axis=1).reshape(n, len(sizes))


def table(content: np.ndarray, sizes: Sequence[int] = SIZES, rows_per_unit: int = 1) -> CodedTable:
    """Seal rows of codes."""
    domain = Domain(tuple(Axis(f"c{i}", s) for i, s in enumerate(sizes)))
    columns = [content[:, i].astype(np.uint8) for i in range(len(sizes))]
    return CodedTable(domain, columns, rows_per_unit=rows_per_unit)


def curator(
    content: np.ndarray,
    sizes: Sequence[int] = SIZES,
    k: int = 1,
    backend: Backend = "exact",
    *,
    delta: float = 1e-6,
    adjacency: Adjacency = "add-remove",
    delta_aside: Fraction = Fraction(0),
) -> Curator:
    """Return a curator of rows with a generous guarantee."""
    guarantee = Guarantee(epsilon=10.0, delta=delta, rows_per_unit=k, adjacency=adjacency)
    return Curator(table(content, sizes, k), guarantee, backend=backend, delta_aside=delta_aside)


def marginal(*columns: int, sizes: Sequence[int] = SIZES) -> Marginal:
    """Return the full-resolution marginal of some columns."""
    return Marginal(columns, tuple(np.arange(sizes[c]) for c in columns))


def every_marginal(sizes: Sequence[int] = SIZES) -> list[Marginal]:
    """Return all marginals of one or more columns at full resolution."""
    d = len(sizes)
    return [marginal(*c, sizes=sizes) for r in range(1, d + 1) for c in combinations(range(d), r)]


def brute_force(content: np.ndarray, query: Marginal) -> np.ndarray:
    """Count with a Python loop."""
    counts = np.zeros(query.shape, dtype=np.int64)
    for row in content.tolist():
        counts[tuple(int(g[row[c]]) for c, g in zip(query.columns, query.groups, strict=True))] += 1
    return counts
