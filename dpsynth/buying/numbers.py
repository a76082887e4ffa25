"""Bounds and bins of a column of numbers or times, from noisy counts of public intervals.

**Bounds.** Counts of intervals that double in length away from zero; the outermost with more rows than noise
alone explains hold the bounds. For times, whose zero (1970) is no natural one, each of the two is then cut
into sixteen and counted again, twice.

**Bins.** A tree of intervals, level by level: the doubling intervals are the first, and each interval that
is full is split into sixteen whose rows are counted. ``tree`` calls an interval full when its count exceeds
one and a half standard deviations of the noise, so that a single value on which many rows pile up ends as a
bin of its own; parts whose counts look like chance are one bin again in the end. Half of the bins are for the
tree, the other half cut the range into equal widths. ``quantiles`` calls an interval full as long as it also
holds more than one bin's equal share of the rows, and cuts bins of equal shares out of the leaves.

Differs from PrivTree in noise and price: PrivTree splits in two, on counts with Laplace noise and a bias that
grows with depth, for one epsilon however deep the tree is. Here a level is one Gaussian histogram, the levels
share the budget evenly, and splitting in sixteen keeps them few (four for a value around a million); a level
that is not reached is not paid for. It gives counts of the leaves besides.

Reference: Zhang, Xiao, Xie 2016, "PrivTree" (arXiv:1601.03229), Algorithm 2.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist

from dpsynth.privacy.seller import Histogram

__all__ = [
    "FAN",
    "Count",
    "Leaf",
    "bounds_in",
    "closer",
    "cut_leaves",
    "doubling_edges",
    "equal_shares",
    "grow",
    "levels_of",
    "split",
    "surely_full",
    "tree_and_widths",
]

FAN = 16
FULL = 1.5  # standard deviations of the noise
_FALSE_ALARM = 1e-4  # chance that one of all empty intervals looks full
_NEXT = 2.5  # standard deviations at which an interval next to a full one holds a bound
_MOST_SPLIT = 256  # intervals of one level

Count = Callable[[Sequence[int]], Histogram]
"""Counts the intervals between edges, with noise."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """An interval ``[start, stop)`` and its noisy count."""

    start: int
    stop: int
    count: float


def doubling_edges(low: int, high: int) -> list[int]:
    """Return edges of intervals from ``low`` to ``high``, both included, that double away from 0.

    The intervals are ``{0}``, ``[2**i, 2**(i+1))`` and their mirror images.

    Example:
        >>> doubling_edges(-3, 9)
        [-3, -1, 0, 1, 2, 4, 8, 10]
    """
    powers = [2**i for i in range(64)]
    inner = {0, *powers, *(1 - p for p in powers)}
    return sorted({low, high + 1, *(e for e in inner if low < e <= high)})


def split(start: int, stop: int, parts: int = FAN) -> list[int]:
    """Return edges that cut ``[start, stop)`` into at most ``parts`` intervals of nearly equal length.

    Example:
        >>> split(0, 10, 4)
        [0, 2, 5, 7, 10]
    """
    parts = min(parts, stop - start)
    return [start + k * (stop - start) // parts for k in range(parts + 1)]


def surely_full(histogram: Histogram) -> list[int]:
    """Return which intervals have more rows than noise alone explains: one mistake in 10,000 histograms."""
    limit = histogram.sigma * NormalDist().inv_cdf(1 - _FALSE_ALARM / max(1, histogram.counts.size))
    return [i for i, count in enumerate(histogram.counts.tolist()) if count > limit]


def bounds_in(found: Histogram) -> tuple[Leaf, Leaf] | None:
    """Return the lowest and the highest interval that is full, or nothing if none surely is.

    From those that surely are, further ones follow outwards as long as their counts are clearly above zero:
    mistaken, a bound is then off by one interval and no more.
    """
    full = surely_full(found)
    if not full:
        return None
    limit = _NEXT * found.sigma
    while full[0] > 0 and found.counts[full[0] - 1] > limit:
        full.insert(0, full[0] - 1)
    while full[-1] + 1 < found.counts.size and found.counts[full[-1] + 1] > limit:
        full.append(full[-1] + 1)
    ends = [Leaf(found.edges[i], found.edges[i + 1], float(found.counts[i])) for i in (full[0], full[-1])]
    return ends[0], ends[1]


def closer(ends: tuple[Leaf, Leaf], count: Count) -> tuple[Leaf, Leaf]:
    """Cut the intervals that hold the bounds, count the parts, and return those that hold them now.

    Where no part is surely full the interval stays as it is.
    """
    low, high = ends
    edges = sorted({*split(low.start, low.stop), *split(high.start, high.stop)})
    if len(edges) == len({low.start, low.stop, high.start, high.stop}):
        return ends
    found = count(edges)
    inside = [Leaf(found.edges[i], found.edges[i + 1], float(found.counts[i])) for i in surely_full(found)]
    lows = [leaf for leaf in inside if low.start <= leaf.start < low.stop]
    highs = [leaf for leaf in inside if high.start <= leaf.start < high.stop]
    return (lows[0] if lows else low), (highs[-1] if highs else high)


def levels_of(length: int) -> int:
    """Return how many levels of splitting lead to single points.

    Example:
        >>> levels_of(1), levels_of(16), levels_of(17), levels_of(1_000_000)
        (1, 1, 2, 5)
    """
    levels = 1
    while FAN**levels < length:
        levels += 1
    return levels


def grow(first: Histogram, count: Callable[[int], Count], least: float) -> list[Leaf]:
    """Return the leaves of a tree of intervals, in order.

    Args:
        first: Counts of the intervals to begin with.
        count: For the most levels there can be, how to count intervals; called once.
        least: An interval with fewer rows than this fraction of all is not split; 0 for as deep as counts
            tell.
    """
    roots = parts = _parts(first, {first.edges[0]: first.edges[-1]})
    rows = sum(max(part.count, 0.0) for part in parts)
    full = _to_split(parts, max(FULL * first.sigma, least * rows))
    levels = max((levels_of(part.stop - part.start) for part in full), default=0)
    ask = count(levels) if levels else None
    children: dict[Leaf, list[Leaf]] = {}
    sigma = first.sigma
    while full and ask is not None:
        found = ask(sorted({edge for leaf in full for edge in split(leaf.start, leaf.stop)}))
        parts = _parts(found, {leaf.start: leaf.stop for leaf in full})
        for leaf in full:
            children[leaf] = [part for part in parts if leaf.start <= part.start < leaf.stop]
        sigma = found.sigma
        full = _to_split(parts, max(FULL * sigma, least * rows))
    return [leaf for root in roots for leaf in _pruned(root, children, sigma)]


def _pruned(leaf: Leaf, children: Mapping[Leaf, Sequence[Leaf]], sigma: float) -> list[Leaf]:
    """Return the leaves below an interval, or the interval where they look like chance within it."""
    if leaf not in children:
        return [leaf]
    below = [_pruned(child, children, sigma) for child in children[leaf]]
    if all(len(leaves) == 1 for leaves in below) and _even([leaves[0] for leaves in below], sigma):
        return [leaf]
    return [one for leaves in below for one in leaves]


def _even(leaves: Sequence[Leaf], sigma: float) -> bool:
    """Whether counts are as even as noise and sampling leave them: chi-square within 5 deviations of due."""
    whole, length = sum(leaf.count for leaf in leaves), leaves[-1].stop - leaves[0].start
    distance = 0.0
    for leaf in leaves:
        due = whole * (leaf.stop - leaf.start) / length
        distance += (leaf.count - due) ** 2 / (sigma**2 + max(due, 0.0))
    free = len(leaves) - 1
    return distance <= free + 5 * math.sqrt(2 * free)


def _parts(found: Histogram, spans: Mapping[int, int]) -> list[Leaf]:
    """Return the counted intervals that lie in one of these spans, not in a gap between two of them."""
    parts, stop = [], found.edges[0]
    for (start, end), number in zip(itertools.pairwise(found.edges), found.counts.tolist(), strict=True):
        stop = spans.get(start, stop)
        if start < stop:
            parts.append(Leaf(start, end, float(number)))
    return parts


def _to_split(parts: Sequence[Leaf], limit: float) -> list[Leaf]:
    """Return the intervals that are full and of more than one point; the fullest, where they are too many."""
    full = [part for part in parts if part.count > limit and part.stop - part.start > 1]
    return sorted(sorted(full, key=lambda leaf: -leaf.count)[:_MOST_SPLIT], key=lambda leaf: leaf.start)


def cut_leaves(leaves: Sequence[Leaf], bins: int) -> list[int]:
    """Return where bins start, at most ``bins`` of them: neighbours with the fewest rows together are merged.

    Example:
        >>> cut_leaves([Leaf(0, 1, 90), Leaf(1, 5, 2), Leaf(5, 9, 3), Leaf(9, 10, 50)], 3)
        [0, 1, 9]
    """
    kept = list(leaves)
    while len(kept) > bins:
        sums = [max(a.count, 0) + max(b.count, 0) for a, b in itertools.pairwise(kept)]
        i = sums.index(min(sums))
        kept[i : i + 2] = [Leaf(kept[i].start, kept[i + 1].stop, sums[i])]
    return [leaf.start for leaf in kept]


def tree_and_widths(leaves: Sequence[Leaf], low: int, high: int, bins: int) -> list[int]:
    """Return where bins start: at most half of them by the leaves, the others at equal widths.

    Example:
        >>> tree_and_widths([Leaf(0, 7, 2), Leaf(7, 8, 90), Leaf(8, 64, 3)], 0, 59, 8)
        [0, 7, 8, 12, 24, 36, 48]
    """
    most = max(1, bins // 2)
    starts = {start for start in cut_leaves(leaves, most) if low < start <= high}
    return sorted({low, *starts, *split(low, high + 1, max(1, bins - len(starts) - 1))[:-1]})


def equal_shares(leaves: Sequence[Leaf], bins: int) -> list[int]:
    """Return where bins start that hold about equal numbers of rows, at most ``bins`` of them.

    Example:
        >>> equal_shares([Leaf(0, 1, 90), Leaf(1, 5, 20), Leaf(5, 9, 45), Leaf(9, 10, 25)], 3)
        [0, 1, 9]
    """
    whole = sum(max(leaf.count, 0) for leaf in leaves)
    starts, held = [leaves[0].start], 0.0
    for leaf, after in itertools.pairwise(leaves):
        held += max(leaf.count, 0)
        if held * bins >= whole and len(starts) < bins:
            starts.append(after.start)
            held = 0.0
    return starts
