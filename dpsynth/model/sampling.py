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

from dpsynth.model.groups import group_sums

__all__ = ["Method", "draw_given", "draw_within"]

Method: TypeAlias = Literal["systematic", "iid"]
Floats = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_TINY = np.finfo(np.float64).tiny


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
    width = table.shape[1]
    owners = np.repeat(np.arange(table.shape[0]), width)
    codes: Codes = (
        _draw(parents, table.ravel(), owners, table.shape[0], rng=rng, method=method) - parents * width
    )
    return codes


def draw_within(
    parents: Codes, groups: Codes, weights: Floats, rng: np.random.Generator, method: Method
) -> Codes:
    """Draw one code a row from among the codes of the group that the row is in.

    Args:
        parents: Group of each row to draw, shape ``(n,)``.
        groups: Group of each code; shape ``(codes,)``.
        weights: Non-negative weight of each code; a group without mass counts as even.
        rng: Source of chance.
        method: ``"systematic"`` or ``"iid"``.

    Returns:
        int64 codes of shape ``(n,)``.
    """
    order = np.argsort(groups, kind="stable")
    codes: Codes = order[
        _draw(parents, weights[order], groups[order], int(groups.max()) + 1, rng=rng, method=method)
    ]
    return codes


def _draw(
    parents: Codes, weights: Floats, owners: Codes, count: int, *, rng: np.random.Generator, method: Method
) -> Codes:
    """Draw for each row a position among those its parent owns; ``owners`` is sorted, ``count`` in all."""
    n = parents.size
    points: Floats = rng.random(n)
    where: Codes = np.arange(n)
    if method == "systematic":
        where = rng.permutation(n)
        where = where[np.argsort(parents[where], kind="stable")]
        sizes = np.bincount(parents, minlength=count)
        ranks = np.arange(n) - np.repeat(np.cumsum(sizes) - sizes, sizes)
        points = (np.repeat(rng.random(count), sizes) + ranks) / np.repeat(sizes, sizes)
    rows = parents[where]
    # One search serves all parents: parent p's distribution lives on (p, p + 1].
    points = np.minimum(points + rows, np.nextafter(rows + 1.0, 0.0))
    positions = np.empty(n, dtype=np.int64)
    positions[where] = np.searchsorted(_cumulative(weights, owners, count), points, side="right")
    return positions


def _cumulative(weights: Floats, owners: Codes, count: int) -> Floats:
    """Return each position's cumulative share among its owner's, plus the owner's number.

    Shares are summed afresh for each owner and reach 1 at its last position of positive weight, so that
    rounding can never give a position of zero weight a place of its own.
    """
    mass, members = group_sums(owners, weights, count), np.bincount(owners, minlength=count)
    even = (mass <= 0)[owners]
    share = np.where(even, 1.0 / members[owners], weights / np.maximum(mass, _TINY)[owners])
    running = np.cumsum(share)
    first = np.cumsum(members) - members
    before = np.where(first > 0, running[first - 1], 0.0)
    last = np.zeros(count, dtype=np.int64)
    np.maximum.at(last, owners, np.where(share > 0, np.arange(share.size), 0))
    reached = np.arange(share.size) >= last[owners]
    flat: Floats = np.where(reached, 1.0, np.minimum(running - before[owners], 1.0)) + owners
    return flat
