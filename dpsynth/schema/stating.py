"""Constraints as a schema file or plain values state them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from dataclasses import fields
from decimal import Decimal
from typing import Any

from dpsynth.schema.constraints import CONSTRAINTS, AtMost, Constraint, Determines, Impossible
from dpsynth.schema.ranges import Condition, Range, Value
from dpsynth.schema.values import MisplacedError, as_decimal

__all__ = ["read_constraint"]

_ONE_KEY = (
    "a constraint is one of impossible: {COLUMN: VALUES, ...}, determines: {column: NAME, by: NAME, map: "
    "{...}} and at_most: [COLUMN, COLUMN]"
)


def read_constraint(said: object) -> Constraint:
    """Read one item of a schema's ``constraints``, or take a constraint as it is.

    Raises:
        ValueError: says what is wrong, and under which key.
    """
    if isinstance(said, (Impossible, Determines, AtMost)):
        return said
    if not isinstance(said, Mapping) or len(said) != 1 or next(iter(said)) not in CONSTRAINTS:
        raise ValueError(_ONE_KEY)
    (kind, content) = next(iter(said.items()))
    return {"impossible": _read_impossible, "determines": _read_determines, "at_most": _read_at_most}[kind](
        content
    )


def _read_impossible(content: object) -> Constraint:
    if not isinstance(content, Mapping):
        raise MisplacedError(
            "a mapping of columns to values is expected, such as {age: {below: 16}, status: [married]}",
            "impossible",
        )
    conditions: dict[str, Condition] = {}
    for name, said in content.items():
        at = ("impossible", name)
        if isinstance(said, Range):
            conditions[name] = said
        elif isinstance(said, (list, tuple)):
            conditions[name] = tuple(_read_value(value, *at, i) for i, value in enumerate(said))
        elif isinstance(said, Mapping):
            conditions[name] = _read_range(said, at)
        else:
            raise MisplacedError(
                "a list of values such as [a, b], or a range such as {below: 16}, is expected", *at
            )
    return Impossible(conditions)


def _read_range(said: Mapping[Any, Any], at: tuple[str, ...]) -> Range:
    known = [field.name for field in fields(Range)]
    for key, value in said.items():
        if key not in known:
            raise MisplacedError(f"unknown key; known are {', '.join(known)}", *at, key)
        if _read_value(value, *at, key) is None:
            raise MisplacedError("a value to compare with is expected", *at, key)
    try:
        return Range(**{key: _read_value(value) for key, value in said.items()})
    except MisplacedError as error:
        raise MisplacedError(str(error), *at, *error.at) from None


def _read_determines(content: object) -> Constraint:
    keys = ("column", "by", "map")
    if not isinstance(content, Mapping):
        raise MisplacedError("a mapping with the keys column, by and map is expected", "determines")
    for key in content:
        if key not in keys:
            raise MisplacedError(f"unknown key; known are {', '.join(keys)}", "determines", key)
    for key in keys:
        if key not in content:
            raise MisplacedError(f"the key {key} is missing; state column, by and map", "determines")
        if key != "map" and not isinstance(content[key], str):
            raise MisplacedError("the name of a column is expected", "determines", key)
    table = content["map"]
    if not isinstance(table, Mapping):
        raise MisplacedError(
            "a mapping is expected, of values of by to values of column, such as {1: low, 2: high}",
            *("determines", "map"),
        )
    read = {key: _read_value(value, "determines", "map", key) for key, value in table.items()}
    return Determines(column=content["column"], by=content["by"], map=read)


def _read_at_most(content: object) -> Constraint:
    if (
        not isinstance(content, (list, tuple))
        or len(content) != 2
        or not all(isinstance(name, str) for name in content)
    ):
        raise MisplacedError("a list of two columns is expected, such as [start, end]", "at_most")
    return AtMost(*content)


def _read_value(value: object, *at: str | int) -> Value:
    if isinstance(value, float):
        return as_decimal(value)  # type: ignore[return-value]
    if value is None or isinstance(value, (bool, int, str, Decimal, dt.date)):
        return value
    raise MisplacedError("a text, a number, a day, a moment, true, false or null is expected", *at)
