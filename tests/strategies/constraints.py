"""Schemas with rules across columns, and what a rule says of a row, told without the library.

``constrained()`` draws a schema of few codes and one to four constraints. They may leave no row.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import pyarrow as pa
from hypothesis import strategies as st

from dpsynth.schema import Schema
from dpsynth.schema.columns import Column
from dpsynth.schema.constraints import AtMost, Constraint, Determines, Impossible
from dpsynth.schema.ranges import Range, key_text

Row = Mapping[str, Any]
DAY = dt.date(2020, 1, 1)
MOMENT = dt.datetime(2020, 3, 1, 5)  # noqa: DTZ001  -- wall-clock time
FAMILIES = {
    "number": ("integer", "real"),
    "date": ("date",),
    "datetime": ("datetime",),
    "ordinal": ("ordinal",),
    "word": ("categorical", "boolean"),
}


@st.composite
def column_specs(draw: st.DrawFn, family: str) -> dict[str, Any]:
    """A column of few codes; those of one family, but for words, can be compared."""
    kind = draw(st.sampled_from(FAMILIES[family]))
    spec: dict[str, Any] = {"kind": kind, "missing": draw(st.booleans())}
    if kind == "categorical":
        return spec | {"values": ["a", "b", "c", "d"][: draw(st.integers(1, 4))]}
    if kind == "ordinal":
        values = ["low", "mid", "high", "top"][: draw(st.integers(1, 4))]
        return spec | {"values": values, "out_of_domain": draw(st.sampled_from(["other", "clip"]))}
    if kind == "boolean":
        return spec
    low, span = draw(st.integers(-12, 12)), draw(st.integers(0, 25))
    spec["bins"] = draw(st.integers(2, 9))
    lower, step = low, 1
    if kind == "real":
        spec["decimals"] = draw(st.integers(0, 2))
        lower, step = Decimal(low), Decimal(1).scaleb(-draw(st.sampled_from([0, spec["decimals"]])))
    elif kind == "date":
        lower, step = DAY + dt.timedelta(days=low), dt.timedelta(days=1)
    elif kind == "datetime":
        spec["resolution"] = 60
        lower, step = MOMENT + dt.timedelta(minutes=low), dt.timedelta(minutes=1)
    return spec | {"lower": lower, "upper": lower + span * step}


def values_of(column: Column) -> list[Any]:
    """Every value of a column of few codes, in order, without *missing*."""
    match column.kind:
        case "boolean":
            return [False, True]
        case "categorical" | "ordinal":
            return [*column.labels, *([column.other] if column.other not in (None, *column.labels) else [])]
        case "integer":
            return list(range(column.lower, column.upper + 1))
        case "real":
            steps = int((column.upper - column.lower) * 10**column.decimals)
            return [column.lower + Decimal(i).scaleb(-column.decimals) for i in range(steps + 1)]
    step = dt.timedelta(days=1) if column.kind == "date" else dt.timedelta(seconds=column.resolution)
    return [column.lower + i * step for i in range((column.upper - column.lower) // step + 1)]


@st.composite
def constraints_of(draw: st.DrawFn, schema: Schema) -> Constraint:
    """One constraint over two or three columns of a schema."""
    names = list(schema.columns)
    families = {
        n: next(f for f, kinds in FAMILIES.items() if c.kind in kinds) for n, c in schema.columns.items()
    }
    alike = [
        (a, b) for a in names for b in names if a < b and families[a] == families[b] and families[a] != "word"
    ]
    kind = draw(st.sampled_from(["impossible", "determines", *(["at_most"] * 3 if alike else [])]))
    if kind == "at_most":
        return AtMost(*draw(st.sampled_from(alike)))
    chosen = draw(st.permutations(names))
    if kind == "determines":
        by, column = (schema.columns[n] for n in chosen[:2])
        keys = draw(st.lists(st.sampled_from(values_of(by)), min_size=1, max_size=4, unique=True))
        return Determines(
            by=chosen[0], column=chosen[1], map={key_text(k): draw(_values(column)) for k in keys}
        )
    some = chosen[: draw(st.integers(2, min(3, len(chosen))))]
    return Impossible({n: draw(_conditions(schema.columns[n])) for n in some})


def _values(column: Column) -> st.SearchStrategy[Any]:
    return st.sampled_from([*values_of(column), *([None] if column.missing else [])])


@st.composite
def _conditions(draw: st.DrawFn, column: Column) -> Any:
    if column.kind in {"categorical", "boolean"} or draw(st.booleans()):
        return tuple(draw(st.lists(_values(column), min_size=1, max_size=3, unique_by=repr)))
    points = list(column.labels) if column.kind == "ordinal" else values_of(column)
    low, high = sorted(draw(st.lists(st.integers(0, len(points) - 1), min_size=2, max_size=2)))
    limits = {}
    if draw(st.booleans()):
        limits = {"above": points[low - 1]} if low and draw(st.booleans()) else {"at_least": points[low]}
    if not limits or draw(st.booleans()):
        strict = high + 1 < len(points) and draw(st.booleans())
        limits |= {"below": points[high + 1]} if strict else {"at_most": points[high]}
    return Range(**limits)


@st.composite
def constrained(draw: st.DrawFn) -> Schema:
    """A schema with constraints."""
    families = draw(st.lists(st.sampled_from(list(FAMILIES)), min_size=2, max_size=4))
    families += [families[0]] * draw(st.integers(0, 2))
    columns = {f"c{i}": draw(column_specs(family)) for i, family in enumerate(families)}
    plain = Schema.from_dict({"privacy_unit": "row", "columns": columns})
    constraints = draw(st.lists(constraints_of(plain), min_size=1, max_size=4))
    return Schema.from_dict({"privacy_unit": "row", "columns": columns, "constraints": constraints})


def rows_of(schema: Schema, table: pa.Table) -> list[Row]:
    """The rows of an Arrow table in the types of a schema's values."""
    rows = table.to_pylist()
    for name, column in schema.columns.items():
        if column.kind == "real":
            for row in rows:
                if row[name] is not None:
                    row[name] = round(Decimal(repr(row[name])), column.decimals)
    return rows


def keeps(schema: Schema, constraint: Constraint, row: Row) -> bool:
    """Whether a row of values keeps a constraint, by its meaning alone."""
    match constraint:
        case Impossible(conditions):
            return not all(_meets(schema.columns[n], c, row[n]) for n, c in conditions.items())
        case Determines():
            key = None if row[constraint.by] is None else key_text(row[constraint.by])
            if key is None or key not in constraint.map:
                return True
            return row[constraint.column] in (constraint.map[key], None)
    low, high = (_place(schema.columns[n], row[n]) for n in (constraint.first, constraint.second))
    return low is None or high is None or low <= high


def _meets(column: Column, condition: Any, value: Any) -> bool:
    if not isinstance(condition, Range):
        return value in condition
    place = _place(column, value)
    if place is None:
        return False
    test = {
        "below": lambda limit: place < limit,
        "at_most": lambda limit: place <= limit,
        "above": lambda limit: place > limit,
        "at_least": lambda limit: place >= limit,
    }
    return all(test[k](_place(column, v)) for k, v in condition.limits() if v is not None)


def _place(column: Column, value: Any) -> Any:
    """Where a value stands in its column's order; nowhere if missing or other."""
    if value is None or column.kind != "ordinal":
        return value
    return column.labels.index(value) if value in column.labels else None
