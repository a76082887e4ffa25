"""A decoded column as plain values, on its way to a dtype."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import numpy.typing as npt

from dpsynth.data.cells import Flags, Ints
from dpsynth.data.labels import LabelCoder
from dpsynth.data.numeric import Drawn, NumericCoder
from dpsynth.schema.columns import Boolean, Date, Datetime, Integer, Label, Ordinal, Real

__all__ = ["EXACT_FLOAT", "EXACT_FLOAT32", "Plain"]

Coder = NumericCoder | LabelCoder
Form = Literal["whole", "real", "truth", "moment", "text"]

EXACT_FLOAT: Final = 2**53
EXACT_FLOAT32: Final = 2**24
_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  -- wall-clock arithmetic has no zone


@dataclass(frozen=True, slots=True)
class Plain:
    """A decoded column and what it means.

    Attributes:
        coder: The column's coder, which holds its public description.
        drawn: The decoded points.
    """

    coder: Coder
    drawn: Drawn

    @property
    def null(self) -> Flags:
        """Where the column is missing."""
        return self.drawn.null

    @property
    def missing(self) -> bool:
        """Whether the column may be missing: public, unlike whether it is."""
        return self.coder.spec.missing

    @property
    def labels(self) -> range | tuple[Label, ...] | None:
        """The public labels of a labelled column."""
        return self.coder.labels if isinstance(self.coder, LabelCoder) else None

    @property
    def ordered(self) -> bool:
        """Whether the labels are in order."""
        return isinstance(self.coder.spec, Ordinal)

    @property
    def form(self) -> Form:
        """What the values are."""
        match self.coder.spec:
            case Integer():
                return "whole"
            case Real():
                return "real"
            case Boolean():
                return "truth"
            case Date() | Datetime():
                return "moment"
        labels = self.labels
        if labels is None or isinstance(labels, range) or type(labels[0]) is int:
            return "whole"
        return "truth" if isinstance(labels[0], bool) else "text"

    @property
    def span(self) -> tuple[int, int]:
        """The least and the greatest point that may occur: public."""
        if isinstance(self.coder, NumericCoder):
            return self.coder.origin, self.coder.origin + (self.coder.lattice.length - 1) * self.coder.step
        if self.form == "whole":
            labels = self.coder.labels
            whole = (0, len(labels) - 1) if isinstance(labels, range) else [int(label) for label in labels]
            return min(whole), max(whole)
        return 0, 1

    @property
    def widest(self) -> int:
        """The greatest absolute point that may occur."""
        return max(map(abs, self.span))

    def fits(self, dtype: str) -> bool:
        """Whether every whole number that may occur fits an integer dtype such as ``"int8"``."""
        info = np.iinfo(np.dtype(dtype))
        low, high = self.span
        return bool(info.min <= low and high <= info.max)

    def wholes(self) -> Ints:
        """Return whole numbers, 0 where missing."""
        labels = self.labels
        if labels is None or isinstance(labels, range):
            values = self.drawn.points
        else:
            values = np.array([int(label) for label in labels], dtype=np.int64)[self.drawn.points]
        return np.where(self.null, 0, values)

    def floats(self) -> npt.NDArray[np.float64]:
        """Return numbers as float64, NaN where missing."""
        spec = self.coder.spec
        whole = self.wholes().astype(np.float64)
        values = whole / 10**spec.decimals if isinstance(spec, Real) else whole
        return np.where(self.null, np.nan, values)

    def texts(self) -> npt.NDArray[np.object_]:
        """Return texts, ``None`` where missing: numerals, True/False, ISO 8601, or the labels."""
        match self.form:
            case "text":
                words = np.array([*(self.labels or ()), None], dtype=object)
                chosen: npt.NDArray[np.object_] = words[np.where(self.null, -1, self.drawn.points)]
                return chosen
            case "moment":
                day = isinstance(self.coder.spec, Date)
                return _mapped(
                    lambda point: _moment_text(point, day=day), self._with_nulls(self.drawn.points)
                )
            case "truth":
                return self._with_nulls(np.array(["False", "True"], dtype=object)[self.wholes()])
            case "real" if isinstance(self.coder.spec, Real) and self.coder.spec.decimals:
                decimals = self.coder.spec.decimals
                return _mapped(
                    lambda point: _decimal_text(point, decimals), self._with_nulls(self.drawn.points)
                )
            case _:
                return _mapped(str, self._with_nulls(self.wholes()))

    def truths(self) -> npt.NDArray[np.object_]:
        """Return ``True`` and ``False``, ``None`` where missing."""
        return self._with_nulls(self.wholes().astype(bool))

    def micros(self, unit: str, zone: str | None) -> tuple[Ints, str]:
        """Return counts of a time unit since 1970 and the unit, widened where the bounds need it.

        Args:
            unit: ``s``, ``ms``, ``us`` or ``ns``.
            zone: The zone of the dtype: the counts are then of UTC instants. A wall-clock time that the
                column's zone skips (summer time) is moved forward over the gap.
        """
        day = 86_400 * 10**6
        if unit == "ns" and self.widest + 2 * day > 2**63 // 1000 - 1:
            unit = "us"
        if unit in {"s", "ms"} and (self.span[0] % 10**6 if unit == "s" else self.span[0] % 10**3):
            unit = "us"
        micros = np.where(self.null, self.span[0], self.drawn.points)
        spec = self.coder.spec
        own = spec.timezone if isinstance(spec, Datetime) else None
        if zone is not None and own is not None:
            micros = _to_instants(micros, own)
        if unit == "ns":
            return micros * 1000, unit
        return micros // {"s": 10**6, "ms": 10**3, "us": 1}[unit], unit

    def _with_nulls(self, values: npt.NDArray[Any]) -> npt.NDArray[np.object_]:
        out = values.astype(object)
        out[self.null] = None
        return out


def _mapped(function: Callable[[Any], object], values: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Apply a function to each distinct value that is not ``None``."""
    known: dict[Any, Any] = {None: None}
    out = np.empty(len(values), dtype=object)
    for place, value in enumerate(values):
        if value not in known:
            known[value] = function(value)
        out[place] = known[value]
    return out


def _decimal_text(point: int, decimals: int) -> str:
    whole, fraction = divmod(abs(point), 10**decimals)
    return f"{'-' if point < 0 else ''}{whole}.{fraction:0{decimals}d}"


def _moment_text(micros: int, *, day: bool) -> str:
    moment = _EPOCH + dt.timedelta(microseconds=micros)
    return str(moment.date() if day else moment)


def _to_instants(micros: Ints, zone: str) -> Ints:
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    wall = pd.DatetimeIndex(micros.astype("datetime64[us]"))
    aware = wall.tz_localize(zone, ambiguous=np.ones(len(wall), dtype=bool), nonexistent="shift_forward")
    return np.asarray(aware.as_unit("us").asi8, dtype=np.int64)
