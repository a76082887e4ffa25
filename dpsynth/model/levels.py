"""Nested resolutions of a column: fine codes, and ever coarser groups of them.

A pair of columns is measured at the resolution that the budget affords. Groups follow the *noisy* one-way
counts, so they are post-processing: an ordered column is cut into contiguous groups of about equal
``mass**0.75``, a code with much mass (an atom) stays alone; an unordered one keeps its frequent codes
alone and merges the tail.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Axis
from dpsynth.model.groups import group_sums
from dpsynth.privacy.marginal import frozen_groups

__all__ = ["Level", "nested_levels"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

_TARGETS = (64, 32, 16, 8, 4)
_FINEST = 256  # codes of the finest level that joint marginals use
_POWER = 0.75


@dataclass(frozen=True, slots=True, eq=False)
class Level:
    """One resolution of a column.

    Attributes:
        groups: Group, from 0, of each code; shape ``(size,)``. Kept as bytes that nobody can write to, so
            that any number of queries may share them.
        size: Number of groups.
        ordered: How many leading groups are in a meaningful order.
    """

    groups: Groups
    size: int
    ordered: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "groups", np.frombuffer(self.groups.astype(np.int64).tobytes(), np.int64))


def nested_levels(axis: Axis, masses: Floats) -> tuple[Level, ...]:
    """Return resolutions of a column from the finest to the coarsest, each nested in the one before.

    Args:
        axis: The column.
        masses: Non-negative noisy estimates of its one-way counts, shape ``(axis.size,)``.

    Returns:
        At least one level; the first keeps every code apart unless there are more than 256.
    """
    identity = Level(frozen_groups(np.arange(axis.size)), axis.size, axis.ordered)
    levels = [identity]
    for target in (_FINEST, *_TARGETS):
        current = levels[-1]
        if target >= 0.8 * current.size:
            continue
        coarser = _coarsen(current, group_sums(current.groups, masses, current.size), target)
        if coarser.size < 0.85 * current.size:
            levels.append(coarser)
    return tuple(levels) if axis.size <= _FINEST else tuple(levels[1:])


def _coarsen(level: Level, masses: Floats, target: int) -> Level:
    weights = np.maximum(masses, 1e-12) ** _POWER
    shares = weights / weights.sum()
    line, extra = shares[: level.ordered], shares[level.ordered :]
    line_groups = _cut_line(line, target)
    ordered = int(line_groups.max()) + 1 if line.size else 0
    merged = np.concatenate([line_groups, ordered + _merge_tail(extra, target)])
    return Level(frozen_groups(merged[level.groups]), int(merged.max()) + 1, ordered)


def _cut_line(shares: Floats, target: int) -> Groups:
    """Cut an ordered run into contiguous groups of about ``1/target``; larger codes stay alone."""
    groups: list[int] = []
    group, filled, alone = -1, np.inf, False
    for share in shares.tolist():
        atom = share >= 1.0 / target
        if alone or atom or filled + share / 2 > 1.0 / target:
            group, filled = group + 1, 0.0
        groups.append(group)
        alone = atom
        filled += share
    return np.array(groups, dtype=np.int64)


def _merge_tail(shares: Floats, target: int) -> Groups:
    """Keep frequent codes alone and merge the others, from the most frequent on, in runs of ``1/target``."""
    groups = np.zeros(shares.size, dtype=np.int64)
    order = np.argsort(-shares, kind="stable")
    runs = np.cumsum(shares[order])
    frequent = int((shares[order] >= 1.0 / target).sum())
    groups[order[:frequent]] = np.arange(frequent)
    rest = runs[frequent:] - (runs[frequent - 1] if frequent else 0.0)
    if rest.size:
        run = np.floor(np.maximum(rest - 1e-12, 0.0) * target).astype(np.int64)
        groups[order[frequent:]] = frequent + np.unique(run, return_inverse=True)[1]
    return groups
