"""The values a schema states: labels, numbers, days and moments, each read exactly as it is written."""

from __future__ import annotations

import datetime as dt
import re
from decimal import Decimal
from typing import Annotated, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, StrictBool, StrictInt, StrictStr

__all__ = [
    "LABEL_TYPES",
    "MAX_BINS",
    "MAX_CATEGORIES",
    "MAX_LATTICE",
    "MAX_REAL",
    "NOT_UTF8",
    "Day",
    "Items",
    "Label",
    "MisplacedError",
    "Moment",
    "Number",
    "Point",
    "Text",
    "Whole",
    "as_day",
    "as_decimal",
    "as_moment",
    "check_label",
    "check_labels",
    "check_text",
]

MAX_CATEGORIES = 10_000_000
MAX_BINS = 65_536
MAX_LATTICE = 2**62
MAX_REAL = 10**15
NOT_UTF8 = "this text has half of a surrogate pair, which UTF-8 cannot hold; correct it"
_SURROGATE = re.compile("[\ud800-\udfff]")


class MisplacedError(ValueError):
    """A rule between keys is broken; says which key of the column to point at.

    Attributes:
        at: Path of that key inside the column, such as ``("upper",)`` or ``("spikes", 3)``.
    """

    def __init__(self, problem: str, *at: str | int) -> None:
        self.at = at
        super().__init__(problem)


def _as_items(value: object) -> object:
    """Take a list or a tuple; a set has no order and a generator can be read only once."""
    if value is None or isinstance(value, (list, tuple)):
        return value
    raise ValueError(f"a list such as [a, b] is expected, not {type(value).__name__}")


def as_decimal(value: object) -> object:
    """Read 0.1 as the decimal 0.1, not as the nearest binary fraction."""
    if isinstance(value, int) and not isinstance(value, bool):
        return Decimal(value)
    if isinstance(value, float):
        return Decimal(repr(float(value)))
    if isinstance(value, str) and re.fullmatch(r"[-+]?\d{1,40}(\.\d{0,40})?", value, re.ASCII):
        return Decimal(value)
    if isinstance(value, Decimal):
        return value
    raise ValueError("a decimal number such as 12.5 is expected")


def as_day(value: object) -> object:
    """Read a day, or a text such as 2024-01-31."""
    if isinstance(value, dt.date) and not isinstance(value, dt.datetime):
        return value
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value, re.ASCII):
        try:
            return dt.date.fromisoformat(value)
        except ValueError:
            raise ValueError("there is no such day in the calendar") from None
    raise ValueError("a day such as 2024-01-31 is expected, without a time of day")


def as_moment(value: object) -> object:
    """Read a wall-clock time, or a text such as 2024-01-31T23:59:59."""
    if isinstance(value, str) and re.fullmatch(
        r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d{1,6})?)?", value, re.ASCII
    ):
        try:
            return dt.datetime.fromisoformat(value)
        except ValueError:
            raise ValueError("there is no such moment in the calendar") from None
    if isinstance(value, dt.datetime) and value.tzinfo is None:
        return value
    raise ValueError(
        "a moment such as 2024-01-31T23:59:59 is expected: with a time of day, since the last day of a range "
        "is otherwise lost, and without an offset, since the zone is stated once, as timezone"
    )


def check_text(text: str) -> str:
    """Refuse a text that UTF-8 cannot hold.

    Raises:
        ValueError: it has half of a surrogate pair.
    """
    if not text.isascii() and _SURROGATE.search(text):
        raise ValueError(NOT_UTF8)
    return text


Text = Annotated[StrictStr, AfterValidator(check_text)]
Label = StrictInt | StrictStr | StrictBool
Items = BeforeValidator(_as_items)
Whole = Annotated[StrictInt, Field(ge=-MAX_LATTICE, le=MAX_LATTICE)]
Number = Annotated[Decimal, Field(ge=-MAX_REAL, le=MAX_REAL), BeforeValidator(as_decimal)]
Day = Annotated[dt.date, BeforeValidator(as_day)]
Moment = Annotated[dt.datetime, BeforeValidator(as_moment)]
Point = TypeVar("Point", int, Decimal, dt.date, dt.datetime)

LABEL_TYPES: dict[type, str] = {str: "texts", int: "whole numbers", bool: "true and false"}


def check_labels(values: tuple[Label, ...]) -> None:
    """Refuse a list that mixes types, repeats a value or has an integer of more than 63 bits."""
    first = type(values[0])
    seen: dict[Label, int] = {}
    for i, value in enumerate(values):
        if type(value) is not first:
            raise MisplacedError(
                f"values mix {LABEL_TYPES[first]} with {LABEL_TYPES[type(value)]} (this is number {i + 1} of "
                "the list); quote them all as texts, or none",
                "values",
                i,
            )
        if value in seen:
            raise MisplacedError(
                f"number {i + 1} of the list is the same as number {seen[value] + 1}; remove one", "values", i
            )
        seen[value] = i
        check_label(value, "values", i)


def check_label(label: Label, *at: str | int) -> None:
    """Refuse a label that cannot be written; ``at`` says where it stands in the column.

    Raises:
        MisplacedError: a whole number that 64 bits might not hold, or a text that UTF-8 cannot hold.
    """
    if isinstance(label, str):
        try:
            check_text(label)
        except ValueError as error:
            raise MisplacedError(str(error), *at) from None
    if isinstance(label, int) and abs(label) > MAX_LATTICE:
        raise MisplacedError("a whole number here must lie within -2**62 .. 2**62; quote longer codes", *at)
