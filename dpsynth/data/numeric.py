"""Numbers and times to codes and back, on one integer lattice."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Self

import numpy as np
import numpy.typing as npt

from dpsynth.data.cells import Cells, Flags, Ints
from dpsynth.data.lattice import Lattice, codes_dtype
from dpsynth.data.reading import GARBLED, NULL, Status, moments, reals, wholes
from dpsynth.schema.columns import Date, Datetime, Integer, Numeric, Real

__all__ = ["Drawn", "NumericCoder", "micros_of", "too_fine"]

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  -- wall-clock arithmetic has no zone
_MICROSECOND: Final = dt.timedelta(microseconds=1)
_DAY: Final = 86_400
_MOST_STEPS: Final = 2**50


@dataclass(frozen=True, slots=True)
class Drawn:
    """A decoded column before it is written in a dtype.

    Attributes:
        points: What each row holds: the number itself (integer), ``value * 10**decimals`` (real),
            microseconds of wall-clock time (date, datetime), or the position of the label.
        null: Where the row is missing; ``points`` means nothing there.
    """

    points: Ints
    null: Flags


def micros_of(moment: dt.date) -> int:
    """Return microseconds since 1970-01-01 of a day's start or of a wall-clock time."""
    if not isinstance(moment, dt.datetime):
        moment = dt.datetime(moment.year, moment.month, moment.day)  # noqa: DTZ001  -- a day has no zone
    return (moment - _EPOCH) // _MICROSECOND


def too_fine(spec: Numeric) -> bool:
    """Whether a real column has more digits than a float64 keeps apart: a bound above 2**50 grid steps."""
    return isinstance(spec, Real) and max(abs(spec.lower), abs(spec.upper)) * 10**spec.decimals > _MOST_STEPS


@dataclass(frozen=True, slots=True)
class NumericCoder:
    """Codes one numeric or time column: bins in order, then ``missing`` if it may be.

    Attributes:
        spec: What the schema says.
        lattice: The bins.
        origin: The lower bound, in the units of :class:`Drawn`.
        step: Distance of two neighbouring points in those units.
    """

    spec: Numeric
    lattice: Lattice
    origin: int
    step: int

    @classmethod
    def build(cls, spec: Numeric) -> Self:
        """Cut a column's public range into bins."""
        step = 1
        match spec:
            case Integer():
                origin, top = spec.lower, spec.upper
                edges, spikes = spec.edges, set(spec.spikes)
            case Real():
                scale = 10**spec.decimals
                origin, top = _scaled(spec.lower, scale), _scaled(spec.upper, scale)
                edges = None if spec.edges is None else tuple(_scaled(e, scale) for e in spec.edges)
                spikes = {_scaled(s, scale) for s in spec.spikes}
            case Date() | Datetime():
                step = (spec.resolution if isinstance(spec, Datetime) else _DAY) * 1_000_000
                origin, top = micros_of(spec.lower), micros_of(spec.upper)
                edges = None if spec.edges is None else tuple(micros_of(e) for e in spec.edges)
                spikes = {micros_of(s) for s in spec.spikes}
        if isinstance(spec, (Integer, Real)) and origin < 0 < top:
            spikes.add(0)
        length = (top - origin) // step + 1
        lattice = Lattice.cut(
            length,
            bins=spec.bins,
            edges=None if edges is None else _inside(length, (-((origin - e) // step) for e in edges)),
            spikes=((s - origin) // step for s in spikes),
        )
        return cls(spec, lattice, origin, step)

    @property
    def ordered(self) -> int:
        """Number of bins; they come first and are in order."""
        return self.lattice.size

    @property
    def size(self) -> int:
        """Number of codes."""
        return self.ordered + self.spec.missing

    def encode(self, cells: Cells) -> npt.NDArray[np.unsignedinteger[Any]]:
        """Code a column; total in its values."""
        grid, status, low = self._on_grid(cells)
        high = low + self.lattice.length - 1
        codes = self.lattice.bin_of(np.clip(grid, low, high) - low).astype(codes_dtype(self.size))
        if self.spec.out_of_domain == "missing":
            codes[(status != 0) | (grid < low) | (grid > high)] = self.size - 1
            return codes
        if status.any():
            codes[status == GARBLED] = 0
            codes[status == NULL] = self.size - 1 if self.spec.missing else 0
        return codes

    def _on_grid(self, cells: Cells) -> tuple[Ints, Status, int]:
        """Return grid coordinates, reading status, and the coordinate of the lower bound."""
        match self.spec:
            case Integer():
                return *wholes(cells), self.origin
            case Real():
                values, status = reals(cells)
                scale = 10**self.spec.decimals
                limit = 2 * _MOST_STEPS / scale
                return np.rint(np.clip(values, -limit, limit) * scale).astype(np.int64), status, self.origin
            case Date() | Datetime():
                zone = self.spec.timezone if isinstance(self.spec, Datetime) else None
                top = self.origin + (self.lattice.length - 1) * self.step
                micros, status = moments(cells, zone, self.origin, top)
                return (micros - self.origin) // self.step, status, 0

    def decode(self, codes: npt.NDArray[np.integer[Any]], rng: np.random.Generator) -> Drawn:
        """Draw one point of each code's bin, uniformly."""
        null = codes >= self.ordered
        bins = np.where(null, 0, codes).astype(np.int64)
        return Drawn(self.origin + self.lattice.draw(bins, rng) * self.step, null)


def _scaled(value: Decimal, scale: int) -> int:
    return int(value * scale)


def _inside(length: int, points: Iterable[int]) -> list[int]:
    return [p for p in points if p < length]
