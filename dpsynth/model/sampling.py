"""Drawing codes, with as little variance as integers allow or independently. Free of privacy cost.

Systematic sampling puts ``n`` points at even distances, from one random start, on the cumulative
distribution: every category gets its expected number of rows, rounded up or down. Rows come in random
order, so that codes drawn later depend on earlier ones only through the model.

Reference: Madow 1949, "On the theory of systematic sampling, II", Ann. Math. Stat. 20.
"""

from __future__ import annotations

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt

__all__ = ["Method", "draw_given"]

Method: TypeAlias = Literal["systematic", "iid"]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]


def draw_given(parents: Codes, table: Floats, rng: np.random.Generator, method: Method) -> Codes:
    """Draw one code a row from the row of ``table`` that its parent code names.

    Args:
        parents: Parent code of each row to draw, shape ``(n,)``.
        table: Non-negative weights, shape ``(parent codes, codes)``; a row without mass counts as even.
        rng: Source of chance.
        method: ``"systematic"`` or ``"iid"``.

    Returns:
        int64 codes of shape ``(n,)``.
    """
    n = parents.size
    cumulative = _cumulative(table)
    points: Floats = rng.random(n)
    where = np.arange(n)
    if method == "systematic":
        where = rng.permutation(n)
        where = where[np.argsort(parents[where], kind="stable")]
        counts = np.bincount(parents, minlength=table.shape[0])
        starts = np.cumsum(counts) - counts
        ranks = np.arange(n) - np.repeat(starts, counts)
        offsets = np.repeat(rng.random(table.shape[0]), counts)
        points = (ranks + offsets) / np.repeat(counts, counts)
    rows = parents[where]
    # One search serves all parents: parent p's distribution lives on (p, p + 1].
    position = np.searchsorted(cumulative, rows + points, side="right")
    codes = np.empty(n, dtype=np.int64)
    codes[where] = np.clip(position - rows * table.shape[1], 0, table.shape[1] - 1)
    return codes


def _cumulative(table: Floats) -> Floats:
    mass = table.sum(axis=1, keepdims=True)
    share = np.divide(table, mass, out=np.full(table.shape, 1.0 / table.shape[1]), where=mass > 0)
    cumulative = np.cumsum(share, axis=1)
    cumulative /= cumulative[:, -1:]
    flat: Floats = (cumulative + np.arange(table.shape[0])[:, None]).ravel()
    return flat
