"""Total variation distance between the marginals of two tables.

For a marginal over columns ``r`` with shares ``p`` and ``q``: ``TV = 1/2 * sum |p - q|``, between 0 (equal)
and 1 (disjoint). Reported as the mean over all ``k``-way marginals, at the schema's full resolution.

Privacy: *not private*. These numbers are computed from real rows and are for whoever may see those rows;
they are no part of a release.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from dpsynth.data.codec import Codec
from dpsynth.data.source import open_source
from dpsynth.schema import Schema

__all__ = ["compare", "mean_total_variation", "total_variation", "workload_error"]

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

    Raises:
        ValueError: the marginal has more than ``2**62`` cells.
    """
    return mean_total_variation(real, synthetic, sizes, len(sizes))


def mean_total_variation(
    real: Sequence[Codes], synthetic: Sequence[Codes], sizes: Sequence[int], ways: int
) -> float:
    """Return the mean total variation distance over all marginals of ``ways`` columns.

    Raises:
        ValueError: there are fewer than ``ways`` columns, or a marginal has more than ``2**62`` cells.
    """
    n, m = real[0].size, synthetic[0].size
    gaps = _gaps(real, synthetic, sizes, ways, (m, n))
    return float(np.mean(gaps) / (2 * n * m)) if n and m else float(n != m)


def workload_error(
    real: Sequence[Codes], synthetic: Sequence[Codes], sizes: Sequence[int], ways: int = 3
) -> float:
    """Return the error of a workload, all marginals of ``ways`` columns, as the AIM paper measures it.

    ``1/|W| * sum_r ||M_r(D) - M_r(D^)||_1 / n``, with counts as they are and ``n`` rows in the real table. Of
    tables with as many rows it is twice the mean total variation distance; another number of rows adds to it.

    Raises:
        ValueError: there are fewer than ``ways`` columns, the real table has no rows, or a marginal has more
            than ``2**62`` cells.

    Reference: arXiv 2201.12677, section 2.
    """
    if not real[0].size:
        raise ValueError("the error of a workload is a share of the real rows, and there are none")
    return float(np.mean(_gaps(real, synthetic, sizes, ways, (1, 1))) / real[0].size)


def _gaps(
    real: Sequence[Codes],
    synthetic: Sequence[Codes],
    sizes: Sequence[int],
    ways: int,
    weights: tuple[int, int],
) -> list[int]:
    """Return ``sum |w1 * count1 - w2 * count2|`` of every marginal of ``ways`` columns."""
    from dpsynth.evaluate.kernels import gap  # noqa: PLC0415  -- lazy: numba costs 0.4 s at import

    subsets = list(itertools.combinations(range(len(sizes)), ways))
    if not subsets:
        raise ValueError(f"{ways}-way marginals need at least {ways} columns; the table has {len(sizes)}")
    first, second = _stacked(real, sizes), _stacked(synthetic, sizes)
    cells = [math.prod(sizes[c] for c in s) for s in subsets]
    scratch = np.zeros(max((c for c in cells if c <= _DENSE), default=0), dtype=np.int64)
    gaps = []
    for subset, size in zip(subsets, cells, strict=True):
        chosen, kept = list(subset), [sizes[c] for c in subset]
        if size <= _DENSE:
            strides = np.array([math.prod(kept[i + 1 :]) for i in range(ways)], dtype=np.int64)
            gaps.append(int(gap(first[chosen], second[chosen], strides, weights, scratch, size)))
        else:
            gaps.append(_sparse_gap(first[chosen], second[chosen], kept, weights))
    return gaps


def _sparse_gap(first: Codes, second: Codes, sizes: Sequence[int], weights: tuple[int, int]) -> int:
    """Return the same for one marginal with more cells than are counted densely."""
    keys = np.concatenate([_keys(first, sizes), _keys(second, sizes)])
    found, places = np.unique(keys, return_inverse=True)
    n = first.shape[1]
    p, q = (np.bincount(part, minlength=found.size) for part in (places[:n], places[n:]))
    return int(np.abs(weights[0] * p - weights[1] * q).sum())


def _stacked(columns: Sequence[Codes], sizes: Sequence[int]) -> Codes:
    """Return the columns as rows of one array, in 32 bits if they fit: half the bytes, half the time."""
    return np.stack([np.asarray(c).astype(np.int32 if max(sizes) < 2**31 else np.int64) for c in columns])


def _keys(columns: Codes, sizes: Sequence[int]) -> npt.NDArray[np.int64]:
    """Return one integer a row: the cell of the marginal it lies in."""
    key: npt.NDArray[np.int64] = columns[0].astype(np.int64)
    span = sizes[0]
    for column, size in zip(columns[1:], sizes[1:], strict=True):
        if span * size >= 2**62:
            raise ValueError("a marginal of more than 2**62 cells cannot be compared")
        key = key * size + column.astype(np.int64)
        span *= size
    return key
