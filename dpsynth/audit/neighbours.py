"""Neighbouring tables to replay a mechanism on: made up from a schema, each pair to bring out some mistake.

One pair shows little: dropping rare values shows from one copy of a row to two, but not from none to one; a
wrong sensitivity of distances shows where rows move apart. So there is a family, and each is run both ways.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from dpsynth.data.codec import Codec
from dpsynth.data.layout import Layout
from dpsynth.privacy.guarantee import Adjacency
from dpsynth.schema import OpenSchema, Schema, UnitColumn

__all__ = ["Pair", "neighbours"]

_USUAL: Final = 4  # different rows that the others are made of
_MOST_APART: Final = 6  # different outliers
_MOST_ROWS: Final = 1_000  # of one unit; where a schema allows more, its maximum is not reached
_LABELS: Final = ("red", "green", "blue", "grey")
_STRANGE: Final[Mapping[str, Any]] = {
    "missing": None,
    "NaN": math.nan,
    "infinite": math.inf,
    "huge": 10**30,
    "no such value": "no such value",
}

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Pair:
    """Two tables that differ by one unit: by its rows, there or not, or in another's place.

    Attributes:
        name: What it is meant to bring out; unique in a family.
        first: A pandas frame, of objects but for the pair that is about dtypes.
        second: The other one; of add-remove neighbours the one with more rows.
    """

    name: str
    first: Any
    second: Any


def neighbours(
    schema: Schema | OpenSchema, *, adjacency: Adjacency = "add-remove", rows: int = 30, seed: int = 0
) -> tuple[Pair, ...]:
    """Return a family of neighbouring tables on a schema.

    One more copy of an outlier after 0, 1, 2 and 5 of them; one row after none; a random row; one more in the
    busiest cell; rows of nothing but missing, infinite, huge or unknown values, the unknown ones also in
    dtypes that pandas finds for them; where a unit can have several rows, a unit of all it may have and of
    two more, alike and apart, alone and beside one like it. Which of a unit's rows are kept is chance; so a
    unit of too many rows is the one that comes and goes.

    Args:
        schema: Names, kinds and values; of what is to be bought, values are made up.
        adjacency: Under ``"replace-one"`` an ordinary unit of as many rows stands in the other's place.
        rows: Of the rows that do not change.
        seed: Of the audit's own chance.

    Returns:
        Pairs of frames with every column that the schema names, and the unit's.

    Privacy: free; no row was read.
    """
    stock = _Stock.of(schema, seed)
    common = stock.table(rows)
    whole, pairs = stock.frame(common), []
    for name, before, extra in _family(stock, common):
        other: list[Row] = []
        if adjacency == "replace-one":
            other = [stock.owned(stock.usual[0], "leaver")] * len(extra)
        alone = not other and len(before) == rows
        first = whole if alone else stock.frame([*before, *other])
        pairs.append(Pair(name=name, first=first, second=stock.frame([*before, *extra])))
        if name == "row of no such value":
            tables = [stock.frame(table, plain=False) for table in ([*before, *other], [*before, *extra])]
            pairs.append(Pair(name=f"{name}, in dtypes of its own", first=tables[0], second=tables[1]))
    return tuple(pairs)


def _family(stock: _Stock, common: Sequence[Row]) -> Iterator[tuple[str, list[Row], list[Row]]]:
    """Give the name of each pair, the rows that stay, and those of the unit that comes or goes."""
    outlier, whole = stock.outliers[0], list(common)
    for copies in (0, 1, 2, 5):
        there = [stock.owned(outlier, f"copy {i}") for i in range(copies)]
        yield f"outlier {copies} -> {copies + 1}", [*whole, *there], [stock.owned(outlier)]
    yield "empty -> 1", [], [stock.owned(outlier)]
    yield "random row", whole, [stock.owned(stock.random())]
    crowd = [stock.owned(stock.usual[0], f"crowd {i}") for i in range(20)]
    yield "busiest cell", [*whole, *crowd], [stock.owned(stock.usual[0])]
    for name, value in _STRANGE.items():
        yield f"row of {name}", whole, [stock.owned(dict.fromkeys(outlier, value))]
    most = min(stock.most_rows, _MOST_ROWS)
    if most > 1:
        for count in (most, most + 2):
            alike = [stock.owned(outlier)] * count
            apart = [stock.owned(stock.outliers[i % len(stock.outliers)]) for i in range(count)]
            yield f"unit of {count} rows alike", whole, alike
            yield f"unit of {count} rows apart", whole, apart
        again = [stock.owned(outlier, "twin")] * most
        yield f"unit of {most} rows beside its twin", [*whole, *again], [stock.owned(outlier)] * most


@dataclass(frozen=True, slots=True)
class _Stock:
    """What tables on a schema are made of."""

    unit: str | None
    most_rows: int
    usual: tuple[Row, ...]
    outliers: tuple[Row, ...]
    rng: np.random.Generator

    @classmethod
    def of(cls, schema: Schema | OpenSchema, seed: int) -> _Stock:
        """Take codes from both ends of each column's, and decode them."""
        rng = np.random.default_rng(seed)
        known = schema.stand_in if isinstance(schema, OpenSchema) else schema
        content = {k: v for k, v in known.to_dict().items() if k not in ("constraints", "review")}
        codec = Codec(Schema.from_dict(content))  # without rules: rows may break them
        codes = [np.array(_codes(size), dtype=np.int64) for size in codec.domain.sizes]
        cells = codec.decode(codes, Layout("pandas", ()), rng).astype(object)
        cells = cells.where(cells.notna(), None)
        if isinstance(schema, OpenSchema):
            for purchase in schema.purchases:
                made = _made_up(known.columns[purchase.column], purchase.keys)
                if made is not None:
                    cells[purchase.column] = made
        drawn = tuple(dict(zip(cells.columns, row, strict=True)) for row in cells.itertuples(index=False))
        unit = known.privacy_unit.column if isinstance(known.privacy_unit, UnitColumn) else None
        return cls(unit, known.max_rows, drawn[:_USUAL], drawn[_USUAL:], rng)

    def owned(self, row: Row, owner: str = "newcomer") -> Row:
        """Return a row of some unit."""
        return row if self.unit is None else {**row, self.unit: owner}

    def random(self) -> Row:
        """Return a row whose columns mostly go together."""
        first = self.usual[int(self.rng.integers(_USUAL))]
        other = self.usual[int(self.rng.integers(_USUAL))]
        keep = self.rng.random(len(first)) < 0.7
        return {name: (first if k else other)[name] for name, k in zip(first, keep, strict=True)}

    def table(self, rows: int) -> list[Row]:
        """Return rows of which two belong to a unit, where units can have two."""
        together = min(2, self.most_rows)
        return [self.owned(self.random(), f"unit {i // together}") for i in range(rows)]

    def frame(self, rows: Sequence[Row], *, plain: bool = True) -> Any:
        """Return rows as a frame of objects, or of the dtypes that pandas finds for them."""
        import pandas as pd  # noqa: PLC0415  -- lazy: pandas costs 0.4 s at import

        names = list(dict.fromkeys([*self.usual[0], *([self.unit] if self.unit else [])]))
        dtype = object if plain else None
        return pd.DataFrame({name: pd.Series([row[name] for row in rows], dtype=dtype) for name in names})


def _codes(size: int) -> list[int]:
    """Return codes of the usual rows, from the column's beginning, and of outliers, from its end."""
    most = max(size - 1, 1)
    return [i % most for i in range(_USUAL)] + [(size - 1 - i) % size for i in range(_MOST_APART)]


def _made_up(spec: Any, keys: Sequence[str]) -> list[Any] | None:
    """Return cells of a column whose values or bounds are to be bought; None where both are stated."""
    if "values" in keys:
        return [*_LABELS, *(f"outlier {i}" for i in range(_MOST_APART))]
    if not {"lower", "upper"} & {*keys}:
        return None
    steps = [1, 2, 3, 5, *(1_000 + 500 * i for i in range(_MOST_APART))]
    start, sign = (spec.lower, 1) if "lower" not in keys or "upper" in keys else (spec.upper, -1)
    if isinstance(start, dt.date):  # a datetime is one too
        return [start + sign * dt.timedelta(days=step) for step in steps]
    return [start + sign * step for step in steps]
