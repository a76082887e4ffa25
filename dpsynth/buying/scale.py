"""Numbers and times as whole numbers while bounds are not known, and back to how a schema writes them."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Self

import numpy as np

from dpsynth.data.cells import Cells
from dpsynth.data.numeric import micros_of
from dpsynth.data.reading import GARBLED, NULL, moments, reals, wholes
from dpsynth.privacy.raw import Points
from dpsynth.schema.columns import Date, Datetime, Integer, Numeric, Real
from dpsynth.schema.purchases import OpenSchema
from dpsynth.schema.values import MAX_LATTICE, MAX_REAL

__all__ = ["Scale", "scales_of"]

_DAY: Final = 86_400
_FINEST: Final = 2**50  # grid steps that a float64 keeps apart
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  -- wall-clock arithmetic has no zone
_FIRST, _LAST = (
    micros_of(dt.date(1, 1, 10)),
    micros_of(dt.date(9999, 12, 20)),
)  # room for any zone around them


@dataclass(frozen=True, slots=True)
class Scale:
    """A lattice of whole numbers for one column.

    A point ``p`` stands for the number ``p`` (integer), ``p * 10**-decimals`` (real), ``p`` days after
    1970-01-01 (date), or ``p`` steps of the resolution after the stated lower bound, or after 1970 where none
    is stated (datetime).

    Attributes:
        spec: The column; bounds that are to be bought are made up in it.
        low: Least point that a value may become; those below become it.
        high: Greatest point, likewise.
        origin: Microseconds of point 0 since 1970, for times.
    """

    spec: Numeric
    low: int
    high: int
    origin: int = 0

    @classmethod
    def of(cls, spec: Numeric, keys: tuple[str, ...]) -> Self:
        """Lay out a column's lattice: as far as stated bounds allow, else as far as its kind does.

        Args:
            spec: The column.
            keys: What is to be bought of it.
        """
        origin = 0
        match spec:
            case Integer():
                low, high = 1 - MAX_LATTICE // 2, MAX_LATTICE // 2 - 1
                ends = spec.lower, spec.upper
            case Real():
                high = min(_FINEST, MAX_REAL * 10**spec.decimals)
                low = -high
                ends = (int(spec.lower * 10**spec.decimals), int(spec.upper * 10**spec.decimals))
            case Date() | Datetime():
                origin = 0 if "lower" in keys or isinstance(spec, Date) else micros_of(spec.lower)
                step = _step(spec)
                low, high = -((origin - _FIRST) // step), (_LAST - origin) // step
                ends = ((micros_of(spec.lower) - origin) // step, (micros_of(spec.upper) - origin) // step)
        if "lower" not in keys:
            low, high = ends[0], min(max(high, ends[0]), ends[0] + MAX_LATTICE - 1)
        if "upper" not in keys:
            low, high = max(min(low, ends[1]), ends[1] - MAX_LATTICE + 1), ends[1]
        return cls(spec, low, high, origin)

    def read(self, cells: Cells) -> Points:
        """Return a column's points; total in its values, and a row's point depends on that row alone."""
        match self.spec:
            case Integer():
                points, status = wholes(cells)
            case Real():
                values, status = reals(cells)
                scale = 10**self.spec.decimals
                limit = (max(abs(self.low), abs(self.high)) + 1) / scale
                points = np.rint(np.clip(values, -limit, limit) * scale).astype(np.int64)
            case Date() | Datetime():
                zone = self.spec.timezone if isinstance(self.spec, Datetime) else None
                micros, status = moments(cells, zone, _FIRST, _LAST)
                points = (micros - self.origin) // _step(self.spec)
        return Points(np.clip(points, self.low, self.high), status == NULL, status == GARBLED)

    def write(self, point: int) -> Any:
        """Return a point as plain values of a schema write it."""
        match self.spec:
            case Integer():
                return point
            case Real():
                return f"{Decimal(point).scaleb(-self.spec.decimals):f}"
            case Date():
                return (_EPOCH.date() + dt.timedelta(days=point)).isoformat()
            case Datetime():
                micros = self.origin + point * _step(self.spec)
                return (_EPOCH + dt.timedelta(microseconds=micros)).isoformat()


def scales_of(schema: OpenSchema) -> dict[str, Scale]:
    """Return the lattice of each column of numbers or times that something is to be bought of."""
    specs = schema.stand_in.columns
    return {
        p.column: Scale.of(spec, p.keys)
        for p in schema.purchases
        if isinstance(spec := specs[p.column], (Integer, Real, Date, Datetime))
    }


def _step(spec: Date | Datetime) -> int:
    return (spec.resolution if isinstance(spec, Datetime) else _DAY) * 1_000_000
