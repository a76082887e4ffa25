"""Values of a column as a constraint names them: a list, or a range; each read in the column's own type."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from decimal import Decimal
from fractions import Fraction
from typing import Any

from dpsynth.schema.columns import (
    Boolean,
    Categorical,
    Column,
    Date,
    Datetime,
    Integer,
    Numeric,
    Ordinal,
    Real,
)
from dpsynth.schema.values import LABEL_TYPES, MisplacedError, as_day, as_decimal, as_moment

__all__ = [
    "Condition",
    "Range",
    "Value",
    "condition_of",
    "grid_position",
    "grid_span",
    "key_text",
    "ordinal_span",
    "read_key",
    "value_reader",
]

Value = bool | int | Decimal | str | dt.date | dt.datetime | None
"""A value of a column in the column's own type; ``None`` is a missing one."""

_WHOLE = re.compile("-?(0|[1-9][0-9]{0,30})")
_EPOCH = dt.datetime(1970, 1, 1)  # noqa: DTZ001  -- wall-clock arithmetic has no zone
_MICROSECOND = dt.timedelta(microseconds=1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Range:
    """The values of a column of numbers, times or ordered labels that lie in a range.

    Attributes:
        below: They are less than this.
        at_most: They are not more than this.
        above: They are more than this.
        at_least: They are not less than this.

    Raises:
        ValueError: nothing is stated, or two limits on one side.
    """

    below: Value = None
    at_most: Value = None
    above: Value = None
    at_least: Value = None

    def __post_init__(self) -> None:
        if not any(value is not None for _, value in self.limits()):
            raise MisplacedError("a range needs one of below, at_most, above and at_least")
        for one, other in (("below", "at_most"), ("above", "at_least")):
            if getattr(self, one) is not None and getattr(self, other) is not None:
                raise MisplacedError(f"state either {one} or {other}, not both", other)

    def limits(self) -> Iterator[tuple[str, Value]]:
        """Give each limit by name, ``None`` where there is none."""
        yield from ((field.name, getattr(self, field.name)) for field in fields(self))


Condition = tuple[Value, ...] | Range
"""Some of a column's values: these, or those in a range."""


def condition_of(column: Column, said: Condition, *at: str | int) -> Condition:
    """Return a condition with its values in the column's type.

    Raises:
        ValueError: a value that the column cannot hold, a range without an order, or one that holds no value.
    """
    if isinstance(said, tuple):
        read = value_reader(column)
        return tuple(read(value, *at, i) for i, value in enumerate(said))
    if isinstance(column, (Categorical, Boolean)):
        raise MisplacedError(f"a {column.kind} column has no order; list the values instead", *at)
    read = value_reader(column) if isinstance(column, Ordinal) else _type_reader(column)
    found = Range(**{k: read(v, *at, k) for k, v in said.limits() if v is not None})
    if isinstance(column, Ordinal):
        for key, value in found.limits():
            if value is not None and value not in column.labels:
                raise MisplacedError("this value has no place in the order of the column's values", *at, key)
        holds = bool(len(ordinal_span(column, found)))
    else:
        holds = bool(len(grid_span(column, found)))  # type: ignore[arg-type]
    if not holds:
        raise MisplacedError("no value of the column lies in this range", *at)
    return found


def ordinal_span(column: Ordinal, said: Range) -> range:
    """Return the positions, on an ordinal column's scale, of the values in a range."""
    places = {name: column.labels.index(v) for name, v in said.limits() if v is not None}  # type: ignore[arg-type]
    return _span(len(column.labels), **{name: Fraction(place) for name, place in places.items()})


def grid_span(column: Numeric, said: Range) -> range:
    """Return the positions, on a column's grid of values from the lower bound on, of those in a range."""
    start, step = _units(column.lower), _step(column)
    length = math.floor((_units(column.upper) - start) / step) + 1
    limits = {name: grid_position(column, v) for name, v in said.limits() if v is not None}
    return _span(length, **limits)


def grid_position(column: Numeric, value: Value) -> Fraction:
    """Return where a value stands on a column's grid, the lower bound at 0; whole for a value on it."""
    return (_units(value) - _units(column.lower)) / _step(column)


def _span(length: int, **limits: Fraction) -> range:
    first, last = 0, length
    if "at_least" in limits or "above" in limits:
        first = math.ceil(limits["at_least"]) if "at_least" in limits else math.floor(limits["above"]) + 1
    if "below" in limits or "at_most" in limits:
        last = math.ceil(limits["below"]) if "below" in limits else math.floor(limits["at_most"]) + 1
    return range(min(max(first, 0), length), min(max(last, 0), length))


def _units(value: Any) -> Fraction:
    """A number as it is, a day or moment in microseconds."""
    if isinstance(value, dt.datetime):
        return Fraction((value - _EPOCH) // _MICROSECOND)
    if isinstance(value, dt.date):
        return Fraction(value.toordinal())
    return Fraction(value)


def _step(column: Numeric) -> Fraction:
    """The distance of two neighbouring values, in the same units."""
    match column:
        case Real():
            return Fraction(1, 10**column.decimals)
        case Datetime():
            return Fraction(column.resolution * 10**6)
        case _:
            return Fraction(1)


def value_reader(column: Column) -> Callable[..., Value]:
    """Return what reads one of the column's values, and refuses any other."""
    typed = _type_reader(column)
    if isinstance(column, (Categorical, Ordinal)):
        labels = column.labels if isinstance(column.labels, range) else frozenset(column.labels)

    def read(value: Value, *at: str | int) -> Value:
        if value is None:
            if not column.missing:  # type: ignore[union-attr]
                raise MisplacedError("the column is declared missing: false", *at)
            return None
        found: Any = typed(value, *at)
        if isinstance(column, (Categorical, Ordinal)):
            if found not in labels and found != column.other:
                raise MisplacedError("this is not one of the column's values", *at)
        elif isinstance(column, (Integer, Real, Date, Datetime)):
            if not column.lower <= found <= column.upper:
                raise MisplacedError("this is not between the column's bounds", *at)
            if grid_position(column, found).denominator > 1:
                raise MisplacedError(
                    "this is not on the column's grid of values; see its decimals or resolution", *at
                )
        result: Value = found
        return result

    return read


def _type_of(column: Column) -> type:
    """Return the type of a labelled or integer column's values; that of others is read from texts too."""
    if isinstance(column, (Categorical, Ordinal)):
        return type(column.labels[0])
    return {Boolean: bool, Integer: int}.get(type(column), str)


def _type_reader(column: Column) -> Callable[..., Value]:
    """Return what reads a value of the column's type."""
    reads: dict[type, Callable[[object], Any]] = {Real: as_decimal, Date: as_day, Datetime: as_moment}
    wanted, parse = _type_of(column), reads.get(type(column))

    def read(value: Value, *at: str | int) -> Value:
        if parse is None and type(value) is not wanted:
            raise MisplacedError(f"one of {LABEL_TYPES[wanted]} is expected, as the column's values are", *at)
        try:
            found: Value = value if parse is None else parse(value)
        except ValueError as error:
            raise MisplacedError(str(error), *at) from None
        return found

    return read


def key_text(key: object) -> str:
    """Write a value as a key of a map: ``true``, plain digits, ISO 8601, or the text."""
    match key:
        case bool():
            return str(key).lower()
        case Decimal() | float():
            text = f"{as_decimal(key):f}"
            return text.rstrip("0").rstrip(".") if "." in text else text
        case dt.date():
            return key.isoformat()
        case _:
            return str(key)


def read_key(column: Column, key: str, *at: str | int) -> Value:
    """Read what :func:`key_text` wrote, in the type of a column's values; does not look for it among them.

    Raises:
        ValueError: it cannot be read so.
    """
    typed = _type_reader(column)
    if _type_of(column) is bool and key in {"true", "false"}:
        return key == "true"
    if _type_of(column) is int and _WHOLE.fullmatch(key):
        return int(key)
    return typed(key, *at)
