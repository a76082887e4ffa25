"""A joint distribution brought into line with what was estimated of its columns.

Rescaling to one-way distributions and estimated tables in turn. All of these are sums over groups of codes,
so it is done on classes: codes that are in the same groups throughout. What follows within a class is its
one-way distribution, before and after.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.model.estimates import Estimate
from dpsynth.model.groups import coarser_group, group_sums

__all__ = ["common_classes", "raked", "share_within"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

_TINY = np.finfo(np.float64).tiny
_SWEEPS = 20
_CLOSE = 1e-11  # L1 gap of all targets together below which another sweep changes nothing that is shown


@dataclass(frozen=True, slots=True, eq=False)
class _Target:
    """An estimated table over some axes of a joint distribution.

    Attributes:
        places: The axes, in the order of the table's own.
        index: For each cell of the axes' classes, in increasing order of the axes, the cell of the table.
        shape: Numbers of classes of those axes, in increasing order.
        table: The estimate, flat.
    """

    places: tuple[int, ...]
    index: Groups
    shape: tuple[int, ...]
    table: Floats

    def ratio(self, joint: Floats) -> tuple[Floats, float]:
        """Return by what to multiply each cell, to be broadcast, and the L1 gap there is."""
        others = tuple(i for i in range(joint.ndim) if i not in self.places)
        part = joint.sum(axis=others)
        found = np.bincount(self.index, weights=part.ravel(), minlength=self.table.size)
        ratio = (self.table / np.maximum(found, _TINY))[self.index].reshape(self.shape)
        return np.expand_dims(ratio, others), float(np.abs(found - self.table).sum())


def raked(
    joint: Floats,
    columns: Sequence[int],
    classes: Sequence[Groups],
    nodes: Sequence[Floats],
    estimates: Sequence[Estimate],
) -> Floats:
    """Return a joint distribution rescaled to its one-way distributions and to the estimates inside it.

    Estimates that leave no cell possible at all leave the distribution as it was.

    Args:
        joint: Distribution of the columns' classes, one axis a column.
        columns: What the axes are.
        classes: For each of them the class of each code; nested in the estimates' groups.
        nodes: One-way distribution of each of them.
        estimates: Tables over columns among these.
    """
    margins = [group_sums(c, n, size) for c, n, size in zip(classes, nodes, joint.shape, strict=True)]
    targets = [_target(estimate, columns, classes) for estimate in estimates]
    start = joint
    for _ in range(_SWEEPS):
        gap = 0.0
        for axis, margin in enumerate(margins):
            found = joint.sum(axis=tuple(i for i in range(joint.ndim) if i != axis))
            gap += float(np.abs(found - margin).sum())
            ratio = margin / np.maximum(found, _TINY)
            joint = joint * ratio.reshape([-1 if i == axis else 1 for i in range(joint.ndim)])
        for target in targets:
            ratio, away = target.ratio(joint)
            joint, gap = joint * ratio, gap + away
        if gap < _CLOSE or joint.ndim <= 1:
            break
    result: Floats = joint / joint.sum() if joint.sum() > 0 else start / start.sum()
    return result


def _target(estimate: Estimate, columns: Sequence[int], classes: Sequence[Groups]) -> _Target:
    places = tuple(columns.index(c) for c in estimate.columns)
    index = np.zeros((1,) * len(places), dtype=np.int64)
    for axis, (place, groups) in enumerate(zip(places, estimate.groups, strict=True)):
        along = [1] * len(places)
        along[axis] = -1
        index = index * estimate.table.shape[axis] + coarser_group(classes[place], groups).reshape(along)
    index = index.transpose(np.argsort(places))
    return _Target(places, index.ravel(), index.shape, estimate.table.ravel())


def common_classes(groupings: Sequence[Groups]) -> Groups:
    """Return the class of each code: codes of one class are in the same group of every grouping.

    Args:
        groupings: One or more; the first one's numbering is kept where it is the finest.
    """
    first, *others = groupings
    classes, size = first, int(first.max()) + 1
    for groups in others:
        coarser = np.zeros(size, dtype=np.int64)
        coarser[classes] = groups
        if not np.array_equal(coarser[classes], groups):
            _, classes = np.unique(classes * (int(groups.max()) + 1) + groups, return_inverse=True)
            size = int(classes.max()) + 1
    return classes


def share_within(classes: Groups, node: Floats) -> Floats:
    """Return the probability of each code given its class; zeros where the class has none."""
    mass = group_sums(classes, node)[classes]
    share: Floats = np.divide(node, mass, out=np.zeros_like(node), where=mass > 0)
    return share
