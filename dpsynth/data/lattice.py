"""One integer lattice for every column of numbers or times.

The values such a column may take are ``origin + i * step`` for ``i = 0 .. length-1``: whole numbers,
multiples of ``10**-decimals``, days, or moments ``resolution`` seconds apart. The lattice is cut into bins
``[start_k, start_{k+1})``; a bin of one point is exact, a longer one is an interval.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt

__all__ = ["Lattice", "codes_dtype"]

Ints = npt.NDArray[np.int64]


def codes_dtype(size: int) -> type[np.unsignedinteger[Any]]:
    """Return the smallest unsigned type that holds the codes ``0 .. size-1``."""
    if size <= 2**8:
        return np.uint8
    return np.uint16 if size <= 2**16 else np.uint32


@dataclass(frozen=True, slots=True)
class Lattice:
    """The points ``0 .. length-1`` cut into bins.

    Attributes:
        length: Number of points, at least 1 and at most ``2**62``.
        starts: First point of each bin, increasing from 0; ``None`` when every point is its own bin.
        held: Spans of points, increasing and apart, outside of which none is drawn; ``None`` for all points.
    """

    length: int
    starts: Ints | None
    held: tuple[range, ...] | None = None

    @classmethod
    def cut(
        cls, length: int, *, bins: int, edges: Iterable[int] | None = None, spikes: Iterable[int] = ()
    ) -> Self:
        """Cut a lattice into bins.

        With at most ``bins`` points each point is a bin. Otherwise both end points and every spike are
        bins of one point, and the rest is cut at ``edges`` or, without them, into equal widths, so that
        there are at most ``bins`` bins, spikes included (or as few as the spikes allow).

        Args:
            length: Number of points.
            bins: Most bins to make, at least 2; not used with ``edges``.
            edges: Points that start a bin.
            spikes: Points that get a bin of their own.
        """
        if length <= bins:
            return cls(length, None)
        singles = {0, length - 1, *spikes}
        starts = {0} | singles | {s + 1 for s in singles if s + 1 < length}
        if edges is not None:
            starts |= set(edges)
        else:
            wanted = max(bins - len(starts) + 1, 1)
            starts |= {k * length // wanted for k in range(1, wanted)}
        return cls(length, np.array(sorted(starts), dtype=np.int64))

    def refined(self, cuts: Iterable[int]) -> Lattice:
        """Return the lattice cut also where a point of ``cuts`` starts a bin; points outside cut nothing."""
        if self.starts is None:
            return self
        starts = {*self.starts.tolist(), *(cut for cut in cuts if 0 < cut < self.length)}
        return Lattice(self.length, np.array(sorted(starts), dtype=np.int64))

    def bounds(self) -> tuple[Ints, Ints]:
        """Return the first point of each bin, and the first beyond it."""
        starts = np.arange(self.length, dtype=np.int64) if self.starts is None else self.starts
        return starts, np.append(starts[1:], self.length)

    @property
    def size(self) -> int:
        """Number of bins."""
        return self.length if self.starts is None else len(self.starts)

    def bin_of(self, points: Ints) -> Ints:
        """Return the bin of each point."""
        if self.starts is None:
            return points
        return np.searchsorted(self.starts, points, side="right") - 1

    def reach(self) -> tuple[Ints, Ints]:
        """Return :meth:`bounds`, narrowed to between the first and the last point that may be drawn."""
        low, high = self.bounds()
        if self.held:
            low, high = np.maximum(low, self.held[0].start), np.minimum(high, self.held[-1].stop)
        return low, high

    def shares(self) -> npt.NDArray[np.float64]:
        """Return the share of each bin's points that may be drawn."""
        low, high = self.bounds()
        return (self._rank(high) - self._rank(low)) / (high - low)

    def draw(self, bins: Ints, rng: np.random.Generator) -> Ints:
        """Return one point uniformly from those of each given bin that may be drawn, or any if none may.

        A bin of one point needs no chance.
        """
        if self.starts is None:
            return bins.astype(np.int64)
        low, high = (ends[bins] for ends in self.bounds())
        if self.held is not None:
            return self._draw_held(low, high, rng)
        points = low.copy()
        wide = np.flatnonzero(high - low > 1)
        points[wide] = rng.integers(low[wide], high[wide])
        return points

    def _draw_held(self, low: Ints, high: Ints, rng: np.random.Generator) -> Ints:
        first, beyond = self._rank(low), self._rank(high)
        some = np.flatnonzero(beyond > first)
        ranks = rng.integers(first[some], beyond[some])
        starts, before = self._spans()
        span = np.searchsorted(before, ranks, side="right") - 1
        points = low.copy()
        points[some] = starts[span] + ranks - before[span]
        return points

    def _spans(self) -> tuple[Ints, Ints]:
        """Return the first point of each span that may be drawn, and how many points those before it have."""
        held = (range(self.length),) if self.held is None else self.held
        lengths = np.array([len(span) for span in held], dtype=np.int64)
        return np.array([span.start for span in held], dtype=np.int64), np.cumsum(lengths) - lengths

    def _rank(self, points: Ints) -> Ints:
        """Return how many points that may be drawn are less than each."""
        held = (range(self.length),) if self.held is None else self.held
        starts, before = self._spans()
        lengths = np.array([len(span) for span in held], dtype=np.int64)
        span = np.searchsorted(starts, points, side="right") - 1
        inside = np.minimum(points - starts[span], lengths[span])
        return np.where(span < 0, 0, before[span] + inside)
