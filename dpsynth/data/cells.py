"""One column as it was read, before the schema says what it means.

A column comes in one of three forms: plain numbers, moments in microseconds, or distinct values with an
index into them. Whatever a cell holds, reading it never fails: what cannot be a label, a number or a time
(a list, a struct, an arbitrary object) becomes :data:`UNREADABLE`, which the codec treats by rule.

A cell's form depends on that cell and on the column's dtype alone, never on the rows around it, so that
one person's row is coded the same whoever else is in the table.
"""

from __future__ import annotations

import datetime as dt
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import numpy as np
import numpy.typing as npt

__all__ = [
    "UNREADABLE",
    "Cells",
    "Factored",
    "Numbers",
    "Times",
    "factor_objects",
    "factored",
    "object_array",
    "plain_datetime",
]

Ints = npt.NDArray[np.int64]
Flags = npt.NDArray[np.bool_]

_EPOCH: Final = dt.datetime(1970, 1, 1)  # noqa: DTZ001  -- wall-clock arithmetic has no zone
_MICROSECOND: Final = dt.timedelta(microseconds=1)


class _Unreadable:
    """Stands for a value that is neither a label, a number nor a time."""

    __slots__ = ()

    def __repr__(self) -> str:
        return "<unreadable>"


UNREADABLE: Final = _Unreadable()


class _Quiet:
    """A repr that names the form and nothing else."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(<private>)"


@dataclass(frozen=True, slots=True, repr=False)
class Numbers(_Quiet):
    """Plain numbers.

    Attributes:
        values: 1-D booleans, integers or float64; a NaN is a null.
        null: Where the other nulls are, or ``None`` when the form has none.
    """

    values: npt.NDArray[Any]
    null: Flags | None = None


@dataclass(frozen=True, slots=True, repr=False)
class Times(_Quiet):
    """Moments.

    Attributes:
        micros: Microseconds since 1970-01-01: of wall-clock time, or of UTC when ``aware``.
        null: Where nulls are.
        aware: Whether the moments are instants (the dtype has a zone).
    """

    micros: Ints
    null: Flags
    aware: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class Factored(_Quiet):
    """Distinct values and an index into them.

    Attributes:
        index: Position in ``values`` of each row, -1 for a null.
        values: ``str``, ``int``, ``float``, ``bool``, ``Decimal``, ``date``, ``datetime`` or
            :data:`UNREADABLE`.
    """

    index: Ints
    values: Sequence[Any]


Cells = Numbers | Times | Factored


def factored(cells: Cells) -> Factored:
    """Return a column as distinct Python values and an index into them."""
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    if isinstance(cells, Factored):
        return cells
    if isinstance(cells, Times):
        index, micros = pd.factorize(cells.micros)
        values: list[Any] = [_moment(int(m), aware=cells.aware) for m in micros]
        null: Flags | None = cells.null
    else:
        index, plain = pd.factorize(cells.values)  # a NaN gets -1
        values, null = plain.tolist(), cells.null
    index = index.astype(np.int64, copy=False)
    return Factored(index if null is None else np.where(null, -1, index), values)


def factor_objects(objects: npt.NDArray[np.object_]) -> Factored:
    """Return arbitrary Python objects as distinct readable values and an index into them.

    Values that Python holds equal but that differ in type (``True``, ``1``, ``1.0``), and decimals that are
    written with other digits (``1.0``, ``1.00``), stay apart, so what a row becomes never depends on which of
    them came first.
    """
    import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

    kinds = set(map(type, objects)) - {type(None), type(pd.NaT), type(pd.NA)}
    if kinds <= {str, float} or kinds in ({int}, {bool}, {dt.date}):
        index, values = pd.factorize(objects)
        return Factored(index.astype(np.int64, copy=False), list(values))
    found: dict[tuple[type, Any], int] = {}
    out = np.empty(len(objects), dtype=np.int64)
    distinct: list[Any] = []
    for row, item in enumerate(objects):
        value = _readable(item)
        if value is None:
            out[row] = -1
            continue
        key = (type(value), str(value) if isinstance(value, Decimal) else value)
        position = found.setdefault(key, len(distinct))
        if position == len(distinct):
            distinct.append(value)
        out[row] = position
    return Factored(out, distinct)


def object_array(values: Iterable[object]) -> npt.NDArray[np.object_]:
    """Return values as a 1-D array of objects, lists among them included."""
    items = list(values)
    out = np.empty(len(items), dtype=object)
    for place, item in enumerate(items):
        out[place] = item
    return out


def _readable(item: object) -> object:  # noqa: C901  -- one case a type
    """Return one cell as a plain value, ``None`` for a null, or ``UNREADABLE``; never fails."""
    if item is None or type(item).__name__ in {"NaTType", "NAType"}:
        return None
    if isinstance(item, np.datetime64):
        return _numpy_moment(item)
    if isinstance(item, np.generic) and not isinstance(item, (np.timedelta64, np.void, np.bytes_)):
        item = item.item()
    match item:
        case bool() | int():
            value: object = bool(item) if isinstance(item, bool) else int(item)
        case float():
            value = None if item != item else float(item)  # noqa: PLR0124  NaN alone differs from itself
        case str():
            value = str.__str__(item)
        case Decimal():
            value = None if item.is_nan() else item
        case dt.datetime():
            value = plain_datetime(item)
        case dt.date():
            value = dt.date(item.year, item.month, item.day)
        case uuid.UUID():
            value = str(item)
        case _:
            value = UNREADABLE
    return value


def _numpy_moment(item: np.datetime64) -> object:
    if np.isnat(item):
        return None
    seconds = int(item.astype("datetime64[s]").astype(np.int64))
    try:
        return _EPOCH + dt.timedelta(seconds=seconds)
    except OverflowError:
        return float("inf") if seconds > 0 else float("-inf")


def plain_datetime(item: dt.datetime) -> object:
    """Return a datetime as itself (naive) or as the same instant in UTC, without subclass or fold."""
    plain = dt.datetime(  # noqa: DTZ001  -- wall-clock time; the offset is applied below
        item.year, item.month, item.day, item.hour, item.minute, item.second, item.microsecond
    )
    try:
        offset = item.replace(fold=0).utcoffset()
    except (ValueError, OverflowError, TypeError, NotImplementedError):
        return UNREADABLE
    if offset is None:
        return plain
    try:
        return (plain - offset).replace(tzinfo=dt.UTC)
    except OverflowError:
        return plain.replace(tzinfo=dt.UTC)


def _moment(micros: int, *, aware: bool) -> object:
    try:
        moment = _EPOCH + micros * _MICROSECOND
    except OverflowError:
        return float("inf") if micros > 0 else float("-inf")
    return moment.replace(tzinfo=dt.UTC) if aware else moment
