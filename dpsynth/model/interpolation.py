"""Dependence inside the groups of an ordered column: interpolated between them.

A pair measured in groups says nothing of where inside a group its rows are. Taking every code of a group for
alike makes steps at its ends; along an ordered column the dependence more likely changes gradually. So the
density of a table relative to its margins is taken to be that of the group at the group's centre, and in
between to change linearly from centre to centre. A code that is a group of its own keeps what was measured.

Reference: after Tobler 1979, "Smooth pycnophylactic interpolation for geographical regions", JASA 74: what
is interpolated is then rescaled to the totals that are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from dpsynth.domain import Domain
from dpsynth.model.estimates import Estimate
from dpsynth.model.groups import coarser_group, group_sums

__all__ = ["Interpolation", "interpolation"]

Floats = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

_MOST = 20.0  # how many times more, or less, likely a cell can become
_TINY = np.finfo(np.float64).tiny


@dataclass(frozen=True, slots=True, eq=False)
class Interpolation:
    """By what factor cells of two columns are more likely than if the codes of a group were alike.

    Attributes:
        columns: The two columns.
        groups: For each, the group of each code: every code its own where there is something between groups.
        factor: Between 1/20 and 20, shape ``(groups of each column)``.
    """

    columns: tuple[int, ...]
    groups: tuple[Groups, ...]
    factor: Floats

    def along(self, columns: Sequence[int], classes: Sequence[Groups]) -> Floats:
        """Return the factor for a distribution over classes of some columns, to be broadcast.

        Args:
            columns: What the axes are; this one's columns are among them.
            classes: For each of them the class of each code; nested in this one's groups.
        """
        places = [columns.index(c) for c in self.columns]
        index = [coarser_group(classes[p], g) for p, g in zip(places, self.groups, strict=True)]
        factor = self.factor[np.ix_(*index)].transpose(np.argsort(places))
        return np.expand_dims(factor, tuple(i for i in range(len(columns)) if i not in places))


def interpolation(domain: Domain, nodes: Sequence[Floats], estimate: Estimate) -> Interpolation | None:
    """Return what lies between the groups of a table of two columns; None if nothing does.

    Args:
        domain: The columns.
        nodes: One-way distribution of each column.
        estimate: A table of two columns.
    """
    parts = list(zip(estimate.columns, estimate.groups, estimate.table.shape, strict=True))
    blends = [_blend(domain.axes[column].ordered, groups) for column, groups, _ in parts]
    if all(blend is None for blend in blends):
        return None
    margins = [group_sums(groups, nodes[column], size) for column, groups, size in parts]
    density = estimate.table / np.maximum(np.outer(*margins), _TINY)
    smooth, alike, own = density, density, []
    for axis, (blend, (_, groups, _)) in enumerate(zip(blends, parts, strict=True)):
        own.append(groups if blend is None else np.arange(groups.size))
        if blend is not None:
            smooth = np.moveaxis(np.tensordot(blend, smooth, (1, axis)), 0, axis)
            alike = np.take(alike, groups, axis)
    ratio = np.divide(smooth, alike, out=np.ones_like(smooth), where=alike > 0)
    return Interpolation(estimate.columns, tuple(own), np.clip(ratio, 1.0 / _MOST, _MOST))


def _blend(ordered: int, groups: Groups) -> Floats | None:
    """Return what each group counts for each code, shape ``(codes, groups)``; None if every code is alone.

    Args:
        ordered: How many leading codes are in a meaningful order; groups do not reach across.
        groups: Group, from 0, of each code; groups of ordered codes are meant to be runs of neighbours.
    """
    line = groups[:ordered]
    inside = np.flatnonzero(np.bincount(groups)[line] > 1)
    if not inside.size:
        return None
    present = np.unique(line)
    centres = np.bincount(line, weights=np.arange(ordered))[present] / np.bincount(line)[present]
    order = np.argsort(centres, kind="stable")
    present, centres = present[order], centres[order]
    blend = np.eye(int(groups.max()) + 1)[groups]
    for group, alone in zip(present, np.eye(present.size), strict=True):
        blend[inside, group] = np.interp(inside, centres, alone)
    return blend
