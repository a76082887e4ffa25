"""Total variation distance between the marginals of two tables.

For a marginal over columns ``r`` with shares ``p`` and ``q``: ``TV = 1/2 * sum |p - q|``, between 0 (equal)
and 1 (disjoint). Reported as the mean over all ``k``-way marginals, at the schema's full resolution.

Privacy: *not private*. These numbers are computed from real rows and are for whoever may see those rows;
they are no part of a release.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.data.codec import Codec
from dpsynth.data.source import open_source
from dpsynth.schema import Schema

__all__ = ["compare", "mean_total_variation", "total_variation"]

Codes = npt.NDArray[Any]

_DENSE = 2**22  # cells up to which a table is counted densely


def compare(schema: Schema, real: Any, synthetic: Any, *, ways: Sequence[int] = (1, 2)) -> dict[int, float]:
    """Return the mean total variation distance between two tables, for each number of columns at a time.

    Args:
        schema: Of both tables.
        real: A frame, or a path to a file.
        synthetic: A frame, or a path to a file.
        ways: Numbers of columns; those above the number of learned columns are left out.

    Returns:
        For each ``k`` the mean over all ``k``-way marginals.

    Raises:
        DataError: a column is absent, or a file cannot be read.

    Privacy: not private; computed from real rows.
    """
    codec = Codec(schema)
    first, second = codec.codes(open_source(real)), codec.codes(open_source(synthetic))
    sizes = codec.domain.sizes
    return {k: mean_total_variation(first, second, sizes, k) for k in ways if k <= len(sizes)}


def total_variation(real: Sequence[Codes], synthetic: Sequence[Codes], sizes: Sequence[int]) -> float:
    """Return the total variation distance of one marginal.

    Args:
        real: Codes of the marginal's columns, one array a column.
        synthetic: The same for the synthetic table; may have another number of rows.
        sizes: Number of codes of each column.

    Returns:
        Distance in [0, 1]; 1 if exactly one of the tables has no rows, 0 if neither has.
    """
    n, m = real[0].size, synthetic[0].size
    if not n or not m:
        return float(n != m)
    first, second = _keys(real, sizes), _keys(synthetic, sizes)
    cells = int(np.prod([float(s) for s in sizes]))
    if cells > _DENSE:
        keys, places = np.unique(np.concatenate([first, second]), return_inverse=True)
        first, second, cells = places[:n], places[n:], keys.size
    p, q = np.bincount(first, minlength=cells) / n, np.bincount(second, minlength=cells) / m
    return float(np.abs(p - q).sum() / 2)


def mean_total_variation(
    real: Sequence[Codes], synthetic: Sequence[Codes], sizes: Sequence[int], ways: int
) -> float:
    """Return the mean total variation distance over all marginals of ``ways`` columns.

    Raises:
        ValueError: there are fewer than ``ways`` columns.
    """
    subsets = list(itertools.combinations(range(len(sizes)), ways))
    if not subsets:
        raise ValueError(f"{ways}-way marginals need at least {ways} columns; the table has {len(sizes)}")
    distances = [
        total_variation([real[c] for c in s], [synthetic[c] for c in s], [sizes[c] for c in s])
        for s in subsets
    ]
    return float(np.mean(distances))


def _keys(columns: Sequence[Codes], sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return one integer a row: the cell of the marginal it lies in."""
    key = columns[0].astype(np.int64)
    span = sizes[0]
    for column, size in zip(columns[1:], sizes[1:], strict=True):
        if span * size >= 2**62:
            raise ValueError("a marginal of more than 2**62 cells cannot be compared")
        key = key * size + column.astype(np.int64)
        span *= size
    return key
