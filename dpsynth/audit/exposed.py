"""Which people an attack should aim at: those who are most unlike everybody else.

Reference: Meeus, Guepin, Cretu, de Montjoye 2023, "Achilles' Heels" (arXiv:2306.10308): the mean distance to
the five nearest neighbours finds records on which membership inference works best.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from dpsynth.audit.tables import Codes, Integers, Rows
from dpsynth.domain import Domain

__all__ = ["distances", "exposure", "most_exposed"]

Floats = npt.NDArray[np.float32]

_CELLS = 2**22  # of one block of distances: 16 MB


def distances(targets: Codes, rows: Codes, domain: Domain) -> Iterator[tuple[slice, Floats]]:
    """Give the distances of some rows to all others, in blocks.

    The mean over columns: of two codes in a meaningful order, how far apart they are as a share of the range;
    of any other two, 1 if they differ.

    Args:
        targets: Shape ``(targets, columns)``.
        rows: Shape ``(rows, columns)``.
        domain: Says which codes are in order.

    Yields:
        Which targets these are, and their distances, shape ``(targets of the block, rows)``, in [0, 1].

    Reference: Gower 1971, "A general coefficient of similarity and some of its properties".
    """
    step = max(1, _CELLS // max(1, len(rows)))
    columns = [np.ascontiguousarray(column) for column in rows.T]
    for start in range(0, len(targets), step):
        block = targets[start : start + step]
        found = np.zeros((len(block), len(rows)), dtype=np.float32)
        for axis, own, column in zip(domain, block.T, columns, strict=True):
            differ = own[:, None] != column[None, :]
            if axis.ordered > 1:
                span = np.float32(1 / (axis.ordered - 1))
                apart = np.abs(own[:, None] - column[None, :]).astype(np.float32) * span
                in_order = (own < axis.ordered)[:, None] & (column < axis.ordered)[None, :]
                found += np.where(in_order, apart, differ)
            else:
                found += differ
        yield slice(start, start + len(block)), found / np.float32(len(domain))


def exposure(targets: Rows, rows: Rows, domain: Domain, *, neighbours: int = 5) -> npt.NDArray[np.float64]:
    """Return each target row's mean distance to its nearest neighbours among other people's rows.

    Args:
        targets: The rows asked about.
        rows: Where neighbours are looked for; a target's own unit is left out.
        domain: Of both.
        neighbours: How many; all there are, if fewer.

    Returns:
        Shape ``(targets,)``; larger is more exposed.
    """
    found = np.empty(len(targets))
    for block, apart in distances(targets.codes, rows.codes, domain):
        apart[targets.units[block][:, None] == rows.units[None, :]] = np.inf
        nearest = np.partition(apart, min(neighbours, apart.shape[1]) - 1, axis=1)[:, :neighbours]
        far = np.isinf(nearest)
        found[block] = np.where(far, 1.0, nearest).mean(axis=1)
    return found


def most_exposed(
    rows: Rows, domain: Domain, *, number: int, candidates: int, rng: np.random.Generator
) -> Integers:
    """Return the units that are most unlike everybody else, the most exposed first.

    Args:
        rows: The training rows.
        domain: Theirs.
        number: How many units.
        candidates: Among how many units, drawn at random, they are looked for.
        rng: Of that draw.

    Privacy: not private; for attacks in a confidential audit.
    """
    people = rows.people
    chosen = rng.choice(people, size=min(candidates, people.size), replace=False)
    asked = rows.of(chosen)
    values = exposure(asked, rows, domain)
    units, place = np.unique(asked.units, return_inverse=True)
    means = np.bincount(place, weights=values) / np.bincount(place)
    return units[np.lexsort((units, -means))[:number]]
